"""A mailbox with applications: the policy that the documentation shows, carried out by the command; and what mailboxes hold in store."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.events import wrong_events
from tests.systems.imap_office import CANARY, FOLDER, LONG_AGO, NOON, PATIENCE, SOURCE, Mail, field, installation, policy
from tests.systems.servers.dovecot import Dovecot, running_dovecot
from tests.systems.servers.imap_proxy import ImapProxy
from worker.core.facts import FieldType
from worker.core.select import EVERYTHING, OnOrBefore, Suspect, Union
from worker.core.sources import Field
from worker.errors import ConfigurationError, SourceFailed
from worker.ports import Changes, Key, KeyRange, Left, OpenSource, Undone

_NUMBER = iter(range(10_000))


@pytest.fixture
def mail(dovecot: Dovecot) -> Mail:
    """Give a mailbox of the test's own."""
    return Mail(dovecot, f"mailbox{next(_NUMBER)}")


@pytest.fixture
def opened() -> Iterator[Callable[..., OpenSource]]:
    """Open mailboxes, and close them at the end."""
    sources: list[OpenSource] = []

    def make(mail: Mail, *args: object, **options: str) -> OpenSource:
        sources.append(mail.open(*args, **options))  # type: ignore[arg-type]
        return sources[-1]

    yield make
    for each in sources:
        each.close()


def keys_of(source: OpenSource, selection: object = EVERYTHING) -> list[Key]:
    """Return the keys of the messages that a selection holds."""
    with source.reader() as reader:
        return [(row[0], row[1]) for page in reader.rows(selection, ()) for row in page]  # type: ignore[arg-type,misc]


def delete(source: OpenSource, keys: list[Key]) -> list[Undone]:
    """Delete messages in one batch."""
    with source.batch("b", KeyRange(keys[0], keys[-1]), EVERYTHING, ()) as batch:
        batch.write(Changes(delete=keys))
        return list(batch.commit())


def test_plan_approve_apply_verify(mail: Mail, tmp_path: Path) -> None:
    """Of 300 applications the due ones go for good; young, kept and held ones stay, other folders too; then nothing is due."""
    day = dt.timedelta(days=1)
    mail.arrive_all((f"p{number}", NOON - day * (20 + number)) for number in range(300))
    mail.arrive("hired", NOON - day * 400, flags="Keep")
    mail.arrive("elsewhere", NOON - day * 400, folder="INBOX")
    mail.arrive("elsewhere", NOON - day * 400, folder="Trash")
    office = installation(tmp_path, mail)
    hold = ("hold", "add", "--kind", "legal", "--scope", "subject", "--owner", "Legal", "--reason", "file 12", "--review-on", "2027-01-01")
    said = office(*hold, "--subject", "-", typed=f"P250.{CANARY}@EXAMPLE.example\n")
    assert 0 == said.code, said.err
    assert 0 == office("policies", "check").code
    checked = office("sources", "check")
    assert 0 == checked.code, checked.out + checked.err
    assert "holds 1 messages that are no records of this source" in checked.out + checked.err
    applied = office("apply", office.approved())
    assert 0 == applied.code, applied.err
    # P8W after 30 June less 57 days is the first day that is over; p0 arrived 20 days ago.
    assert [*range(1, 38), 251, 301] == mail.uids()
    assert (1, 1) == (len(mail.uids("INBOX")), len(mail.uids("Trash")))
    run = office("runs", "--json").json[0]["run_id"]
    verified = office("verify", "--json", run)
    assert 0 == verified.code, verified.err
    again = office("plan", "--json", "-o", tmp_path / "again.jsonl")
    assert {"delete": 0, "pseudonymise": 0, "treat": 0} == again.json["sources"]["applications"]["actions"]
    key = tmp_path / "retention.pub"
    key.write_text(office("audit", "key").out)
    assert 0 == office("audit", "verify", *sorted(office.audit.glob("*.jsonl")), "--key", key).code
    assert 262 == len(office.events("retention.record_deleted"))
    assert [] == wrong_events(tmp_path)
    trail = b"".join(path.read_bytes() for path in office.state.rglob("*") if path.is_file())
    secrets = (CANARY, mail.user, mail.server.password)
    assert [] == [each for each in secrets if each.encode() in trail or any(each in text for text in office.everything)]


class TestNumberedAnew:
    """Numbers mean something within one numbering of a folder only."""

    def _renumber(self, mail: Mail) -> None:
        """Replace the folder, as a restored server does: it is numbered anew, and the same numbers name other messages."""
        mail.arrive_all([("other", LONG_AGO)])
        with mail.server.session(mail.user) as session:
            assert ("OK", "OK") == (session.rename(FOLDER, "Old")[0], session.create(FOLDER)[0])
        mail.arrive_all((f"new{number}", LONG_AGO) for number in range(6))

    def test_an_old_plan_deletes_nothing(self, mail: Mail, opened: Callable[..., OpenSource]) -> None:
        """What a plan named by old numbers is not looked up under the new ones: the batch is refused, and who has the number stays."""
        mail.arrive_all((f"p{number}", LONG_AGO) for number in range(6))
        old = keys_of(opened(mail))
        self._renumber(mail)
        assert {uid for _, uid in old} <= set(mail.uids())
        with pytest.raises(SourceFailed, match="Make a new plan"):
            delete(opened(mail), old)
        assert 6 == len(mail.uids())

    def test_between_the_reading_of_a_batch_and_its_commit(self, mail: Mail, opened: Callable[..., OpenSource]) -> None:
        """A folder that is replaced after a batch has read it loses no message to the batch."""
        mail.arrive_all((f"p{number}", LONG_AGO) for number in range(6))
        source = opened(mail)
        keys = keys_of(source)
        with source.batch("b", KeyRange(keys[0], keys[-1]), EVERYTHING, ()) as batch:
            batch.write(Changes(delete=keys))
            self._renumber(mail)
            undone = list(batch.commit())
        assert {Left.BUSY} == {each.why for each in undone}
        assert (6, 7) == (len(mail.uids()), len(mail.uids("Old")))

    def test_nobody_says_that_it_is_gone(self, mail: Mail, opened: Callable[..., OpenSource]) -> None:
        """What old numbers named can't be read back: neither there nor gone, until a person says that it may count as gone."""
        mail.arrive_all((f"p{number}", LONG_AGO) for number in range(6))
        old = keys_of(opened(mail))
        self._renumber(mail)
        for source in (opened(mail), opened(mail, renumbered="refuse")):
            with source.reader() as reader:
                with pytest.raises(SourceFailed, match="numbered anew"):
                    reader.get(old[0], ())
                with pytest.raises(SourceFailed, match="numbered anew"):
                    list(reader.rows(EVERYTHING, (), within=KeyRange(old[0], old[-1])))
        with opened(mail, renumbered="accept").reader() as reader:
            assert (None, []) == (reader.get(old[0], ()), list(reader.rows(EVERYTHING, (), within=KeyRange(old[0], old[-1]))))

    def test_while_it_is_read(self, mail: Mail) -> None:
        """A folder that is replaced between two pages, while the connection breaks, is not read on as if it were the same."""
        mail.arrive_all((f"p{number}", LONG_AGO) for number in range(255))
        with ImapProxy(("127.0.0.1", mail.server.port)).running() as proxy:
            source = mail.open(port=proxy.port)
            with source.reader() as reader:
                pages = reader.rows(EVERYTHING, ())
                assert 250 == len(next(pages))
                self._renumber(mail)
                proxy.cut()
                with pytest.raises(SourceFailed, match="while it was read"):
                    list(pages)
            source.close()


class TestWhatOthersDo:
    """Other programs work in the same folder."""

    def test_messages_that_others_marked_stay(self, mail: Mail, opened: Callable[..., OpenSource]) -> None:
        """Only the message that is named is expunged: what others have marked as deleted stays, marked."""
        mail.arrive_all([("anna", LONG_AGO), ("bram", LONG_AGO)])
        mail.arrive("carla", flags="\\Deleted")
        mail.arrive("daan", flags="\\Deleted")
        source = opened(mail)
        keys = keys_of(source)
        assert [] == delete(source, [keys[0], keys[2]])
        assert [(2, ""), (4, "\\Deleted")] == mail.left()

    def test_a_message_that_somebody_deleted_is_a_record(self, mail: Mail, opened: Callable[..., OpenSource]) -> None:
        """A message that is marked and not expunged is listed, counted by the check, and goes."""
        mail.arrive("anna", flags="\\Deleted \\Seen")
        source = opened(mail)
        with source.reader() as reader:
            assert [[(*mail.keys()[0], True)]] == list(reader.rows(EVERYTHING, ("deleted",)))
        assert 1 == sum("1 messages are marked as deleted" in each.what for each in source.problems(None, {})[1])
        assert [] == delete(source, mail.keys())
        assert [] == mail.uids()

    def test_a_flag_that_was_decided_on(self, mail: Mail, opened: Callable[..., OpenSource]) -> None:
        """When a declared flag changes after the batch was read, the message stays and is said to have changed; another flag is nothing."""
        mail.arrive_all([("anna", LONG_AGO), ("bram", LONG_AGO)])
        source = opened(mail, replace(SOURCE, fields=(*SOURCE.fields, field("kept", "flag.Keep", FieldType.BOOLEAN))))
        keys = keys_of(source)
        with source.batch("b", KeyRange(keys[0], keys[-1]), EVERYTHING, ()) as batch:
            batch.write(Changes(delete=keys))
            with mail.server.session(mail.user) as session:
                session.select(FOLDER)
                session.uid("STORE", "1", "+FLAGS", "(Keep)")
                session.uid("STORE", "2", "+FLAGS", "(\\Seen)")
            assert [(keys[0], Left.CHANGED)] == [(each.key, each.why) for each in batch.commit()]
        assert [(1, "Keep")] == mail.left()

    def test_a_message_by_two_senders_is_left_for_a_person(self, mail: Mail, opened: Callable[..., OpenSource]) -> None:
        """Where the subject can't be read no hold could be found, so the message stays and is named; a message by nobody goes."""
        with mail.server.session(mail.user) as session:
            for sender in (b"From: a@b.example, c@d.example\r\n", b"From: Anna\r\n", b"", b"From: a@b.example\r\n"):
                session.append(FOLDER, "", LONG_AGO, sender + b"Subject: Hello\r\n\r\nHello")
        source = opened(mail)
        keys = keys_of(source)
        undone = delete(source, keys)
        assert [(key, Left.FAILED, "unreadable identifier") for key in keys[:2]] == [(each.key, each.why, each.answer) for each in undone]
        assert [(1, ""), (2, "")] == mail.left()

    def test_a_message_that_others_expunged(self, mail: Mail, opened: Callable[..., OpenSource]) -> None:
        """A message that somebody else removed meanwhile is said to be gone, and is not counted as ours."""
        mail.arrive_all([("anna", LONG_AGO), ("bram", LONG_AGO)])
        source = opened(mail)
        keys = keys_of(source)
        with source.batch("b", KeyRange(keys[0], keys[-1]), EVERYTHING, ()) as batch:
            batch.write(Changes(delete=keys))
            with mail.server.session(mail.user) as session:
                session.select(FOLDER)
                session.uid("STORE", "1", "+FLAGS", "(\\Deleted)")
                session.expunge()
            assert [(keys[0], Left.GONE)] == [(each.key, each.why) for each in batch.commit()]
        assert [] == mail.uids()

    def test_a_message_that_somebody_moves_to_the_bin(self, mail: Mail, opened: Callable[..., OpenSource]) -> None:
        """A message that somebody moved to the bin is no record any more, is not erased, and the check says that it lies there."""
        mail.arrive("anna")
        with mail.server.session(mail.user) as session:
            session.select(FOLDER)
            session._simple_command("UID", "MOVE", "1", "Trash")
        source = opened(mail)
        assert [] == keys_of(source)
        assert 1 == len(mail.uids("Trash"))
        assert 1 == sum("\\Trash holds 1 messages" in each.what for each in source.problems(None, {})[1])
        trash = opened(mail, replace(SOURCE, table="Trash"))
        assert [] == delete(trash, keys_of(trash))
        assert [] == mail.uids("Trash")


class TestRights:
    """What an account may not do is said by day, and nothing looks done at night."""

    def _only(self, mail: Mail, rights: str) -> None:
        """Give the account no other rights in the folder than these."""
        mail.arrive_all([("anna", LONG_AGO), ("bram", LONG_AGO)])
        path = mail.server.folder(mail.user, FOLDER) / "dovecot-acl"
        path.write_text(f"user={mail.user} {rights}\nowner {rights}\n")
        os.chown(path, mail.server.account.uid, mail.server.account.gid)

    @pytest.mark.parametrize(
        ("rights", "words", "answer"),
        [
            ("lr", "may only look", "IMAP READ-ONLY"),
            ("lrs", "may not mark for deletion and not expunge", "IMAP mark not taken"),
            ("lrst", "may not expunge", "IMAP not removed"),
        ],
    )
    def test_rights_that_are_missing(self, mail: Mail, opened: Callable[..., OpenSource], rights: str, words: str, answer: str) -> None:
        """An account that may look, or mark and not expunge, is a problem unless it only looks; a batch deletes nothing and says so."""
        self._only(mail, rights)
        source = opened(mail)
        assert [True] == [words in each.what for each in source.problems(policy(), {})[0]]
        assert [] == source.problems(None, {})[0]
        undone = delete(source, keys_of(source))
        assert [(Left.FAILED, answer)] * 2 == [(each.why, each.answer) for each in undone]
        assert [(1, ""), (2, "")] == mail.left()

    def test_rights_that_are_enough(self, mail: Mail, opened: Callable[..., OpenSource]) -> None:
        """The rights that the page names are enough."""
        self._only(mail, "lrte")
        source = opened(mail)
        assert [] == source.problems(policy(), {})[0]
        assert [] == delete(source, keys_of(source))
        assert [] == mail.left()


def test_a_period_that_runs_from_what_the_sender_wrote(mail: Mail, opened: Callable[..., OpenSource]) -> None:
    """A period may run from the header Date, and the check says who writes that."""
    source = opened(mail)
    said = [[each.what for each in source.problems(policy(start), {})[1]] for start in ("received_at", "sent_at")]
    assert [[], ["a period runs from @sent, which the sender writes as he likes."]] == said


class TestServers:
    """Servers that can't do what is needed are refused."""

    def test_without_uidplus(self, opened: Callable[..., OpenSource]) -> None:
        """Without UIDPLUS nothing can be removed alone, so nothing is."""
        with running_dovecot(settings="\nimap_capability = IMAP4rev1 SASL-IR LITERAL+\n") as server:
            mail = Mail(server, "old")
            mail.arrive("anna")
            source = opened(mail)
            assert [True] == ["no UIDPLUS" in each.what for each in source.problems(policy(), {})[0]]
            (undone,) = delete(source, keys_of(source))
            assert (Left.FAILED, "IMAP without UIDPLUS") == (undone.why, undone.answer)
            assert [(1, "")] == mail.left()

    def test_where_folders_are_labels(self, opened: Callable[..., OpenSource]) -> None:
        """A server that calls itself Gmail is refused, but for its bin."""
        with running_dovecot(settings="\nimap_capability = +X-GM-EXT-1\n") as server:
            mail = Mail(server, "labels")
            assert [True] == ["labels" in each.what for each in opened(mail).problems(policy(), {})[0]]
            assert [] == opened(mail, replace(SOURCE, table="Trash")).problems(policy(), {})[0]

    @pytest.mark.parametrize("scheme", ["imaps", "imap+starttls"])
    def test_encrypted(self, mail: Mail, scheme: str) -> None:
        """Both ways of encryption work with the server's own authority, and without it nobody signs in."""
        from connectors.plugins import imap_mailbox
        from worker.ports import Connection

        mail.arrive("anna")
        url = mail.server.url(mail.user, scheme=scheme)
        trusting = imap_mailbox(SOURCE, Connection(url, options={**PATIENCE, "ca_file": str(mail.server.certificate)}))
        assert mail.keys() == keys_of(trusting)
        trusting.close()
        with pytest.raises(ConfigurationError, match="certificate"):
            keys_of(imap_mailbox(SOURCE, Connection(url, options=PATIENCE)))

    def test_no_such_folder(self, mail: Mail, opened: Callable[..., OpenSource]) -> None:
        """A folder that isn't there is a matter of the settings and not an empty source; names of other scripts are found."""
        with pytest.raises(ConfigurationError, match="no such folder"):
            keys_of(opened(mail, replace(SOURCE, table="Nowhere")))
        with mail.server.session(mail.user) as session:
            session.create('"B&APw-ro/Zo&AOs- &- Co"')
        assert [] == keys_of(opened(mail, replace(SOURCE, table="Büro/Zoë & Co")))


class TestSelections:
    """The server leaves out what was received too late, and nothing else."""

    MOMENTS = tuple(
        dt.datetime(2026, 3, day, hour, minute, tzinfo=dt.timezone(dt.timedelta(hours=zone)))
        for day in (1, 2, 3, 4, 5)
        for hour, minute in ((0, 0), (23, 59))
        for zone in (-12, 0, 14)
    )

    def test_days_at_their_edges(self, mail: Mail, opened: Callable[..., OpenSource]) -> None:
        """Whatever zone a message was received in, a selection by the day holds exactly those of the organisation's days."""
        mail.arrive_all((f"p{number}", at) for number, at in enumerate(self.MOMENTS))
        source, zone = opened(mail), SOURCE.fields[0].reading.zone
        for day in (dt.date(2026, 2, 28) + dt.timedelta(days=number) for number in range(8)):
            expected = [key for key, at in zip(mail.keys(), self.MOMENTS, strict=True) if at.astimezone(zone).date() <= day]
            assert expected == keys_of(source, OnOrBefore("received_at", day))
            with_future = [*expected, *(key for key, at in zip(mail.keys(), self.MOMENTS, strict=True) if at.astimezone(zone).date() > day)]
            assert sorted(with_future) == keys_of(source, Union((OnOrBefore("received_at", day), Suspect("received_at", day))))

    def test_the_server_is_asked_to_leave_out(self, mail: Mail, opened: Callable[..., OpenSource]) -> None:
        """What was received long after the day isn't even fetched."""
        mail.arrive_all([("old", LONG_AGO), ("young", NOON)])
        source = opened(mail)
        fetched = [item.uid for page in source._records.pages(OnOrBefore("received_at", dt.date(2021, 1, 1)), None) for item in page]  # type: ignore[attr-defined]
        assert [1] == fetched


class TestDeclarations:
    """What can't be right is said before anything is asked of a server."""

    @pytest.mark.parametrize(
        ("changed", "words"),
        [
            ({"key": ("uid",)}, "key"),
            ({"options": {"delete": "trash"}}, "no such option"),
            ({"fields": (field("body", "@body"),)}, "no column"),
            ({"fields": (field("evil", "header.X)\r\n"),)}, "no column"),
            ({"fields": (field("at", "@received"),)}, "moment"),
        ],
    )
    def test_each(self, mail: Mail, changed: dict[str, object], words: str) -> None:
        """A wrong key, option, column or type is refused."""
        with pytest.raises(ConfigurationError, match=words):
            mail.open(replace(SOURCE, **changed))  # type: ignore[arg-type]


def test_headers_as_people_write_them(mail: Mail, opened: Callable[..., OpenSource]) -> None:
    """Two senders, damaged words and dates without a zone are unreadable on a real server too; nothing of the others is lost."""
    columns: tuple[Field, ...] = (field("subject", "subject"), field("x", "header.X-Thing"), field("to", "to"))
    mail.arrive("anna", headers='X-Thing: =?utf-8?q?Z=C3=B6?=\r\n =?utf-8?q?_e?=\r\nTo: a@b.example, "B, C" <c@d.example>\r\n')
    mail.arrive("bram", headers="X-Thing: =?nonsense?q?a?=\r\nX-Thing: b\r\nTo: undisclosed-recipients:;\r\nDate: yesterday\r\n")
    source = opened(mail, replace(SOURCE, fields=(*SOURCE.fields, *columns)))
    with source.reader() as reader:
        rows = [row[2:] for page in reader.rows(EVERYTHING, ("sender", "x", "to", "sent_at")) for row in page]
    assert (f"anna.{CANARY}@example.example", "Zö e", "a@b.example, c@d.example", None) == rows[0]
    assert [f"bram.{CANARY}@example.example", "Unreadable()", "None", "Unreadable()"] == [str(each) for each in rows[1]]
