"""A process that dies over a mailbox: what became of its messages is read back, and where nobody can tell nobody says."""

from __future__ import annotations

import datetime as dt
import signal
from pathlib import Path

import pytest

from tests.acceptance.killing import Killer, killed
from tests.events import wrong_events
from tests.systems.imap_office import FOLDER, LONG_AGO, NOON, Mail, installation
from tests.systems.servers.dovecot import Dovecot
from worker.audit.outcomes import outcomes
from worker.ports import AFTER_COMMIT, AFTER_FSYNC, BEFORE_COMMIT

_NUMBER = iter(range(10_000))


@pytest.fixture
def mail(dovecot: Dovecot) -> Mail:
    """Give a mailbox with six applications, four of which are due."""
    made = Mail(dovecot, f"crash{next(_NUMBER)}")
    made.arrive_all(
        [*((f"p{number}", LONG_AGO) for number in range(4)), *((f"q{number}", NOON - dt.timedelta(days=2)) for number in range(2))]
    )
    return made


@pytest.mark.parametrize(
    ("point", "left"), [(AFTER_FSYNC, [1, 2, 3, 4, 5, 6]), (BEFORE_COMMIT, [1, 2, 3, 4, 5, 6]), (AFTER_COMMIT, [5, 6])]
)
def test_the_next_run_finds_out(mail: Mail, tmp_path: Path, point: str, left: list[int]) -> None:
    """Killed before or after the messages went: the next run reads back, does what is left, and every deletion is told once."""
    office = installation(tmp_path, mail)
    assert signal.SIGKILL == killed(office, Killer(point), "apply", office.approved())
    assert left == mail.uids()
    assert office("run").code in (0, 4)
    assert [5, 6] == mail.uids()
    assert 4 == len(list(outcomes(office.audit)))
    assert [] == wrong_events(tmp_path)


def test_a_folder_that_is_numbered_anew_after_a_crash(mail: Mail, tmp_path: Path) -> None:
    """A batch that nobody can read back stays open, and nothing is written, until a person says that its messages may count as gone."""
    office = installation(tmp_path, mail)
    assert signal.SIGKILL == killed(office, Killer(BEFORE_COMMIT), "apply", office.approved())
    with mail.server.session(mail.user) as session:
        assert ("OK", "OK") == (session.rename(FOLDER, "Old")[0], session.create(FOLDER)[0])
    mail.arrive_all((f"new{number}", LONG_AGO) for number in range(3))
    said = office("run")
    assert said.code not in (0, 4)
    assert "numbered anew" in said.out + said.err
    assert ([1, 2, 3], 6) == (mail.uids(), len(mail.uids("Old")))
    assert [] == list(outcomes(office.audit))
    accepting = installation(tmp_path, mail, renumbered="accept")
    assert accepting("run").code in (0, 4)
    assert ([], 6) == (mail.uids(), len(mail.uids("Old")))
    closed = [each for each in accepting.events("retention.batch_closed") if each["retention.batch_outcome"] == "resolved_after_crash"]
    assert [(True, 4)] == [(each.get("retention.presumed"), each["retention.count"]) for each in closed]
