"""What the imap_mailbox connector makes of connections that break, servers that refuse, and answers that get lost, on a real Dovecot."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator

import pytest

from tests.systems.imap_office import CANARY, LONG_AGO, Mail, policy
from tests.systems.servers.dovecot import Dovecot
from tests.systems.servers.imap_proxy import Fault, ImapProxy, is_write
from worker.core.select import EVERYTHING
from worker.errors import ConfigurationError, RetentionError, Retriable, SourceFailed
from worker.ports import Changes, Key, KeyRange, Left, OpenSource, Undone

_NUMBER = iter(range(10_000))


@pytest.fixture(scope="module")
def proxy(dovecot: Dovecot) -> Iterator[ImapProxy]:
    """Give a proxy in front of the server."""
    with ImapProxy(("127.0.0.1", dovecot.port)).running() as made:
        yield made


@pytest.fixture
def mail(dovecot: Dovecot, proxy: ImapProxy) -> Mail:
    """Give a mailbox with six applications."""
    proxy.heal()
    made = Mail(dovecot, f"badday{next(_NUMBER)}")
    made.arrive_all((f"p{number}", LONG_AGO) for number in range(6))
    return made


@pytest.fixture
def source(mail: Mail, proxy: ImapProxy) -> Iterator[OpenSource]:
    """Give the mailbox as the connector opens it, through the proxy."""
    opened = mail.open(port=proxy.port)
    yield opened
    opened.close()


def read(source: OpenSource) -> list[Key]:
    """Return the keys of all messages."""
    with source.reader() as reader:
        return [(row[0], row[1]) for page in reader.rows(EVERYTHING, ("sender",)) for row in page]  # type: ignore[misc]


def delete(source: OpenSource, keys: list[Key], *, whole: KeyRange | None = None) -> list[Undone]:
    """Delete messages in one batch."""
    with source.batch("b", whole or KeyRange(keys[0], keys[-1]), EVERYTHING, ()) as batch:
        batch.write(Changes(delete=keys))
        return list(batch.commit())


class TestReading:
    """Nothing is missing, or it is said."""

    @pytest.mark.parametrize("command", ["EXAMINE", "FETCH", "AUTHENTICATE"])
    @pytest.mark.parametrize("answer", [None, "NO [UNAVAILABLE] Later", "NO [INUSE] Later", "NO [LIMIT] Too many"])
    def test_reading_is_patient(self, mail: Mail, proxy: ImapProxy, source: OpenSource, command: str, answer: str | None) -> None:
        """A command that reads is sent again when the connection breaks or the server has no time, and then nothing is missing."""
        fault = proxy.on(command, answer, times=2)
        assert mail.keys() == read(source)
        assert fault.met == 3

    def test_a_connection_that_breaks_between_two_pages(self, dovecot: Dovecot, proxy: ImapProxy) -> None:
        """Reading goes on behind the last message it had, on another connection: each message once, in order, none missing."""
        mail = Mail(dovecot, "manypages")
        with dovecot.session(mail.user) as session:
            for _ in range(255):
                session.append("Applications", "", None, b"From: a@example.example\r\n\r\n")
        proxy.heal()
        fault = proxy.on("FETCH", after=1, times=1)
        opened = mail.open(port=proxy.port)
        assert mail.keys() == read(opened)
        assert fault.met >= 3
        opened.close()

    @pytest.mark.parametrize("answer", [None, "NO Internal error", "BAD What?", "NO [UNAVAILABLE] Later"])
    def test_a_server_that_is_down_is_no_empty_folder(self, mail: Mail, proxy: ImapProxy, source: OpenSource, answer: str | None) -> None:
        """A server that never answers rightly is an error, for a reader and for a batch, and never an empty folder."""
        keys = read(source)
        proxy.on("FETCH", answer)
        with pytest.raises((SourceFailed, Retriable)):
            read(source)
        with pytest.raises((SourceFailed, Retriable)), source.batch("b", KeyRange(keys[0], keys[-1]), EVERYTHING, ()):
            pass

    def test_a_server_that_does_not_answer_in_time(self, mail: Mail, proxy: ImapProxy) -> None:
        """A command without an answer in time is sent again on another connection."""
        opened = mail.open(port=proxy.port, timeout="0.5")
        proxy.on("FETCH", delay=1.0, applied=True, times=1)
        assert mail.keys() == read(opened)
        opened.close()

    @pytest.mark.parametrize("answer", ["NO [NOPERM] You may not", "NO [NONEXISTENT] No"])
    def test_what_may_not_be_opened_is_an_error(self, proxy: ImapProxy, source: OpenSource, answer: str) -> None:
        """A folder that isn't there or may not be opened is a matter of the settings, and never an empty folder."""
        proxy.on("EXAMINE", answer)
        with pytest.raises(ConfigurationError):
            read(source)


class TestSigningIn:
    """A wrong password and a server that takes nobody now are told apart."""

    def test_a_wrong_password(self, mail: Mail) -> None:
        """A wrong password is said at once, as what the operator changes, and is not shown."""
        opened = mail.open(password="wrong-secret")
        with pytest.raises(ConfigurationError) as caught:
            read(opened)
        assert "AUTHENTICATIONFAILED" in str(caught.value)
        shown = "".join(traceback.format_exception(caught.value))
        assert [] == [each for each in ("wrong-secret", mail.user, mail.server.password) if each in shown]
        opened.close()

    def test_no_sign_in_now(self, mail: Mail, proxy: ImapProxy, source: OpenSource) -> None:
        """A server that can't sign anybody in for the moment may be asked later."""
        fault = proxy.on("AUTHENTICATE", "NO [UNAVAILABLE] Temporary authentication failure.")
        with pytest.raises(Retriable):
            read(source)
        assert fault.met == 4

    def test_an_account_that_is_closed_in_the_middle(self, mail: Mail, proxy: ImapProxy, source: OpenSource) -> None:
        """When the password is changed while messages go, what is done is done and the rest is left for later."""
        keys = read(source)
        proxy.on("UID STORE", after=2, times=1)
        proxy.on("AUTHENTICATE", "NO [AUTHENTICATIONFAILED] No", after=1)
        with pytest.raises(ConfigurationError):
            delete(source, keys)
        proxy.heal()
        assert keys[2:] == mail.keys()


class TestWriting:
    """What is said to be done is done, what is not is said, and nothing else is touched."""

    @pytest.mark.parametrize("command", ["UID STORE", "UID EXPUNGE"])
    @pytest.mark.parametrize(
        "fault",
        [{}, {"applied": True}, {"answer": "NO [INUSE] Later"}, {"answer": "BYE"}],
        ids=["lost", "answer lost", "busy", "nonsense"],
    )
    def test_every_deletion_is_done_once(
        self, mail: Mail, proxy: ImapProxy, source: OpenSource, command: str, fault: dict[str, object]
    ) -> None:
        """Whatever happens to a command or to its answer, in the end the message is gone, it is said to be, and the others stay."""
        keys = read(source)
        met = proxy.on(command, after=1, times=1, **fault)
        assert [] == delete(source, keys[:3])
        assert met.met > 2
        assert [(uid, "") for _, uid in keys[3:]] == mail.left()

    def test_an_answer_that_never_comes_to_a_deletion_that_was_done(self, mail: Mail, proxy: ImapProxy) -> None:
        """A time-out after the message was removed is read back, and the message is not called gone by somebody else."""
        opened = mail.open(port=proxy.port, timeout="0.5")
        keys = read(opened)
        proxy.on("UID EXPUNGE", delay=1.0, applied=True, times=1)
        assert [] == delete(opened, keys[:2])
        assert keys[2:] == mail.keys()
        opened.close()

    def test_the_look_afterwards_breaks(self, mail: Mail, proxy: ImapProxy, source: OpenSource) -> None:
        """When the connection breaks between the removal and the look afterwards, the removal is still told as ours."""
        keys = read(source)
        before = len(proxy.seen)
        expunged = 0

        def search_after_expunge(_: str) -> bool:
            return any(each.startswith("UID EXPUNGE") for each in proxy.seen[before:]) and not expunged

        proxy.add(Fault(lambda command: command.startswith("NOOP") and search_after_expunge(command), times=1))
        assert [] == delete(source, keys[:2])
        assert keys[2:] == mail.keys()

    @pytest.mark.parametrize("command", ["UID STORE", "UID EXPUNGE"])
    def test_what_the_server_refuses_is_said(self, mail: Mail, proxy: ImapProxy, source: OpenSource, command: str) -> None:
        """One message that the server refuses to remove is named, stands unmarked as it was, and the others go."""
        keys = read(source)
        proxy.add(Fault(lambda each: each.startswith(f"{command} {keys[1][1]}") and "-FLAGS" not in each, f"NO [NOPERM] {CANARY}"))
        (undone,) = delete(source, keys[:3])
        assert (keys[1], Left.FAILED, "IMAP NO NOPERM") == (undone.key, undone.why, undone.answer)
        proxy.heal()
        assert [(uid, "") for _, uid in (keys[1], *keys[3:])] == mail.left()

    @pytest.mark.parametrize("command", ["UID STORE", "UID EXPUNGE"])
    def test_an_ok_that_did_nothing_is_noticed(self, mail: Mail, proxy: ImapProxy, source: OpenSource, command: str) -> None:
        """A server that answers OK and does nothing is found out: nothing is said to be gone."""
        keys = read(source)
        proxy.add(Fault(lambda each: each.startswith(command) and "-FLAGS" not in each, "OK Done."))
        undone = delete(source, keys)
        assert [(key, Left.FAILED) for key in keys] == [(each.key, each.why) for each in undone]
        proxy.heal()
        assert [(uid, "") for _, uid in keys] == mail.left()

    def test_a_server_that_has_no_more_time(self, mail: Mail, proxy: ImapProxy, source: OpenSource) -> None:
        """A server that takes no more changes keeps the rest, unmarked, for a later run."""
        keys = read(source)
        proxy.on("UID EXPUNGE", "NO [INUSE] Later", after=2)
        undone = delete(source, keys)
        assert [(key, Left.BUSY) for key in keys[2:]] == [(each.key, each.why) for each in undone]
        proxy.heal()
        assert [(uid, "") for _, uid in keys[2:]] == mail.left()

    def test_what_nobody_knows_is_an_error(self, mail: Mail, proxy: ImapProxy, source: OpenSource) -> None:
        """When a change gets no answer and the server can't be read either, it is neither done nor not done."""
        keys = read(source)
        proxy.dies(after=2)
        with pytest.raises((Retriable, SourceFailed)):
            delete(source, keys)
        proxy.heal()
        assert keys[1:] == mail.keys()
        assert source.resolve("b", {}) is None

    def test_nothing_is_written_by_looking(self, mail: Mail, proxy: ImapProxy, source: OpenSource) -> None:
        """Reading, and all commands of a batch that is left, send nothing that changes a folder, and no message becomes seen."""
        keys = read(source)
        source.problems(policy(), {})
        with source.batch("b", KeyRange(keys[0], keys[-1]), EVERYTHING, ()) as batch:
            batch.write(Changes(delete=keys))
        assert [] == proxy.writes()
        assert [] == [each for each in proxy.seen if "BODY[" in each]
        assert [(uid, "") for _, uid in keys] == mail.left()


def test_nothing_personal_or_secret_is_said(mail: Mail, proxy: ImapProxy, caplog: pytest.LogCaptureFixture) -> None:
    """Neither errors, however they are printed, nor anything that is logged hold a value of a message, the account or its password."""
    source = mail.open(port=proxy.port, attempts="2", wait="0.01")
    keys = read(source)
    said: list[str] = []
    acts: list[Callable[[], object]] = [
        lambda: read(source),
        lambda: said.extend(map(repr, delete(source, keys[:1]))),
        lambda: source.problems(policy(), {}),
    ]
    with caplog.at_level(logging.DEBUG):
        for answer in (None, f"NO [NOPERM] {CANARY}", f"BAD {CANARY}"):
            for begins in ("EXAMINE", "SELECT", "FETCH", "NOOP", "UID STORE", "UID EXPUNGE", "AUTHENTICATE"):
                proxy.heal()
                proxy.on(begins, answer)
                for act in acts:
                    try:
                        act()
                    except RetentionError as error:
                        said += [str(error), repr(error), "".join(traceback.format_exception(error))]
    source.close()
    said += [each.getMessage() for each in caplog.records]
    assert len(said) > 50
    assert [] == [text for text in said for secret in (CANARY, mail.user, mail.server.password) if secret in text]
    assert is_write("UID STORE 1")
