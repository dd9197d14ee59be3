"""One connection to an IMAP server: signing in, opening a folder, and saying what went wrong without saying about whom.

Threat model. A command may be carried out although no answer comes (`InDoubt`). What a server says in words may hold names of people, of
folders and of the account, and the library's errors repeat it: no error text has any of it but the response codes of RFC 5530, and no error
keeps the library's own as its cause. Commands that read go by position and not by UID: while such a command runs a server may tell of no
removed message (RFC 3501, 7.4.1), so the positions in one session stand still until it is asked for news.
"""

from __future__ import annotations

import datetime as dt
import imaplib
import logging
import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from imapclient import IMAPClient
from imapclient.exceptions import ProtocolError

from connectors.hosted import Refused
from connectors.imap.address import Address
from connectors.imap.message import DELETED, Message, headers_in
from connectors.patience import Again, InDoubt, Limits, Turns
from worker.errors import ConfigurationError, Retriable, SourceFailed

# What the library says by itself holds every line of the protocol.
logging.getLogger("imapclient").setLevel(logging.WARNING)

_CODE = re.compile(r"\[([A-Z][A-Z-]+)")
_CODES = re.compile(
    "ALREADYEXISTS|AUTHENTICATIONFAILED|AUTHORIZATIONFAILED|CANNOT|CLIENTBUG|CONTACTADMIN|CORRUPTION|EXPIRED|EXPUNGEISSUED|INUSE|LIMIT|"
    "NONEXISTENT|NOPERM|OVERQUOTA|PRIVACYREQUIRED|READ-ONLY|SERVERBUG|TRYCREATE|UNAVAILABLE"
)
_PASSING = frozenset({"INUSE", "LIMIT", "SERVERBUG", "UNAVAILABLE"})
_PLAIN = ("UID", "FLAGS", "INTERNALDATE", "RFC822.SIZE")
_HEADERS = b"BODY[HEADER.FIELDS"


class No(Exception):
    """The server refused a command. code -- its response code, when it is one that is known; passing -- a later try may succeed."""

    def __init__(self, error: Exception) -> None:
        found = _CODE.search(str(error))
        self.code = found[1] if found and _CODES.fullmatch(found[1]) else ""
        self.passing = self.code in _PASSING
        self.answer = f"IMAP NO {self.code}".rstrip()
        super().__init__(self.answer)


class Session:
    """A connection that is signed in. broken -- it can't be used any more; validity, exists -- of the folder that is open.

    Errors of all methods: Again when it may be tried again, on another session where this one is broken; ConfigurationError.
    """

    def __init__(self, source: str, address: Address, trust: ssl.SSLContext, limits: Limits, turns: Turns) -> None:
        self._source = source
        self._turns = turns
        self.broken = False
        self.validity = 0
        self.exists = 0
        self.permanent: frozenset[str] = frozenset()
        self.writable: bool | None = None
        self._client = self._connected(address, trust, limits)
        try:
            self._sign_in(address, trust)
        except BaseException:
            self._hang_up()
            raise

    def _connected(self, address: Address, trust: ssl.SSLContext, limits: Limits) -> IMAPClient:
        """Return a connection on which nothing was said yet."""
        self._turns.wait()
        try:
            client = IMAPClient(
                address.host, address.port, ssl=address.scheme == "imaps", ssl_context=trust, timeout=limits.timeout, use_uid=False
            )
        except ssl.SSLCertVerificationError:
            raise self._untrusted() from None
        except (OSError, imaplib.IMAP4.error) as error:
            raise Again(SourceFailed(f"{self._source}: the mail server can't be reached ({type(error).__name__}).")) from None
        client.normalise_times = False
        return client

    def _sign_in(self, address: Address, trust: ssl.SSLContext) -> None:
        """Encrypt what is not yet encrypted, and sign in."""
        name = self._source
        try:
            with self._speaking():
                if address.scheme == "imap+starttls":
                    if not self._client.has_capability("STARTTLS"):
                        raise ConfigurationError(f"{name}: the server offers no encryption (STARTTLS), so nobody signs in. Use imaps://.")
                    self._client.starttls(trust)
                if self._client.has_capability("AUTH=PLAIN"):
                    self._client.plain_login(address.user, address.password)
                else:
                    self._client.login(address.user, address.password)
                self.capabilities = frozenset(str(each, "ascii", "replace").upper() for each in self._client.capabilities())
        except ssl.SSLCertVerificationError:
            raise self._untrusted() from None
        except UnicodeEncodeError:
            raise ConfigurationError(f"{name}: the server takes only passwords of plain letters (no AUTH=PLAIN).") from None
        except No as no:
            if no.passing:
                raise Again(Retriable(f"{name}: the server takes no sign-in now ({no.answer}); try again later.")) from None
            raise ConfigurationError(
                f"{name}: the server refused the sign-in ({no.answer}). Set the user and the password in the source's settings anew."
            ) from None

    def _untrusted(self) -> ConfigurationError:
        return ConfigurationError(
            f"{self._source}: the server's certificate is not to be trusted, or is another host's. Correct the address, or name the file "
            "with its authority's certificate in the option ca_file."
        )

    @contextmanager
    def _speaking(self, *, writes: bool = False) -> Iterator[None]:
        """Say what became of a command: No when it was refused; InDoubt when one that writes has no answer, else Again."""
        self._turns.wait()
        try:
            yield
        except (ssl.SSLCertVerificationError, UnicodeEncodeError):
            raise
        except imaplib.IMAP4.readonly as error:
            raise No(error) from None
        except (imaplib.IMAP4.abort, ProtocolError, OSError, EOFError, ValueError) as error:
            self.broken = True
            what = f"{self._source}: the server gave no answer ({type(error).__name__})"
            raise (InDoubt(f"{what} to a change.") if writes else Again(SourceFailed(f"{what}."))) from None
        except imaplib.IMAP4.error as error:
            # The library calls it a refused sign-in when the connection breaks during one.
            if isinstance(error.__context__, imaplib.IMAP4.abort):
                self.broken = True
                raise Again(SourceFailed(f"{self._source}: the server gave no answer to a sign-in.")) from None
            raise No(error) from None

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Say what became of a command that reads."""
        try:
            with self._speaking():
                yield
        except No as no:
            if no.code == "NOPERM":
                raise ConfigurationError(f"{self._source}: the account may not read this folder ({no.answer}).") from None
            kind = Retriable if no.passing else SourceFailed
            raise Again(kind(f"{self._source}: the server refused to show messages ({no.answer}).")) from None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Say what became of a command that writes: Refused when it was, and would be again."""
        try:
            with self._speaking(writes=True):
                yield
        except No as no:
            if no.passing:
                raise Again(Retriable(f"{self._source}: the server takes no changes now ({no.answer}); try again later.")) from None
            raise Refused(no.answer) from None

    def open(self, folder: str, *, writable: bool) -> None:
        """Open a folder anew, to look only or to write too; Refused when it is opened to write and may only be read."""
        self.writable = None
        try:
            with self._speaking():
                said = self._client.select_folder(folder, readonly=not writable)
        except No as no:
            if no.passing:
                raise Again(Retriable(f"{self._source}: the folder can't be opened now ({no.answer}); try again later.")) from None
            if writable and no.code in ("", "READ-ONLY", "NOPERM") and self._is_readable(folder):
                raise Refused("IMAP READ-ONLY") from None
            raise ConfigurationError(
                f"{self._source}: there is no such folder, or the account may not open it ({no.answer}). Correct the source's `table`."
            ) from None
        if b"UIDVALIDITY" not in said:
            raise ConfigurationError(f"{self._source}: the messages of this folder have no numbers that last, so it can be no source.")
        self.permanent = frozenset(str(each, "ascii", "replace").strip("()").lower() for each in said.get(b"PERMANENTFLAGS", ()))
        self.validity, self.exists, self.writable = int(said[b"UIDVALIDITY"]), int(said[b"EXISTS"]), writable

    def _is_readable(self, folder: str) -> bool:
        """Whether a folder that can't be opened to write can be opened at all."""
        try:
            with self._speaking():
                self._client.select_folder(folder, readonly=True)
        except No:
            return False
        return True

    def refresh(self) -> None:
        """Ask for news: what others removed and changed. Positions are others afterwards."""
        with self._reading():
            self._client.noop()

    def positions(self, criteria: Sequence[Any]) -> list[int]:
        """Return the positions of messages, in order."""
        with self._reading():
            return sorted(int(each) for each in self._client.search(list(criteria)))

    def fetch(self, positions: Sequence[int], headers: Sequence[str]) -> list[Message]:
        """Return the messages at these positions, in order; without those that are gone by now."""
        wanted = [*_PLAIN, *([f"BODY.PEEK[HEADER.FIELDS ({' '.join(headers)})]"] if headers else [])]
        with self._reading():
            got = self._client.fetch(list(positions), wanted)
        messages = (self._message(got[each], headers) for each in positions if each in got)
        return [each for each in messages if each is not None]

    def _message(self, said: Mapping[bytes, Any], headers: Sequence[str]) -> Message | None:
        """Return a message out of the answer to a request for it; None when the server gave only a part, because it is gone."""
        raw = next((text for name, text in said.items() if name.startswith(_HEADERS)), None)
        if b"UID" not in said or b"FLAGS" not in said or b"RFC822.SIZE" not in said or (headers and raw is None):
            return None
        flags = frozenset(str(each, "ascii", "replace") if isinstance(each, bytes) else str(each) for each in said[b"FLAGS"])
        received = said.get(b"INTERNALDATE")
        return Message(
            self.validity,
            int(said[b"UID"]),
            received.astimezone(dt.UTC) if isinstance(received, dt.datetime) and received.tzinfo is not None else None,
            int(said[b"RFC822.SIZE"]),
            frozenset(flags - {"\\Recent"}),
            headers_in(raw) if raw else {},
        )

    def one(self, uid: int, headers: Sequence[str] = ()) -> Message | None:
        """Return a message by its number; None when the folder doesn't hold it, as far as the server has told news."""
        positions = self.positions(["UID", str(uid)])
        return next((each for each in (self.fetch(positions, headers) if positions else ()) if each.uid == uid), None)

    def mark(self, uid: int, *, deleted: bool = True) -> None:
        """Set the flag for deletion, or take it away; InDoubt, Refused. What the server made of it is to be looked at afterwards."""
        with self._writing(), self._by_uid():
            change = self._client.add_flags if deleted else self._client.remove_flags
            change([uid], [DELETED], silent=True)

    def expunge(self, uid: int) -> None:
        """Remove one message that is marked, and no other (RFC 4315); InDoubt, Refused."""
        with self._writing(), self._by_uid():
            self._client.uid_expunge([uid])

    @contextmanager
    def _by_uid(self) -> Iterator[None]:
        """Have commands name messages by UID."""
        self._client.use_uid = True
        try:
            yield
        finally:
            self._client.use_uid = False

    def rights(self, folder: str) -> str:
        """Return what the account may do in a folder, a letter a right (RFC 4314)."""
        client = self._client
        with self._reading():
            # The library has no way of its own to ask.
            said = client._command_and_check("myrights", client._normalise_folder(folder), unpack=True)  # noqa: SLF001
        return str(said, "ascii", "replace").rpartition(" ")[2]

    def special(self) -> list[tuple[frozenset[str], str]]:
        """Return (its uses, its name) of each folder that has a special use (RFC 6154)."""
        with self._reading():
            folders = self._client.list_folders()
        uses = ((frozenset(str(each, "ascii", "replace") for each in flags), name) for flags, _, name in folders)
        known = frozenset({"\\All", "\\Archive", "\\Junk", "\\Sent", "\\Trash"})
        return [(flags & known, name) for flags, name in uses if flags & known]

    def count(self, folder: str) -> int:
        """Return how many messages another folder holds."""
        with self._reading():
            said = self._client.folder_status(folder, ["MESSAGES"]).get(b"MESSAGES")
        if said is None:
            raise SourceFailed(f"{self._source}: the server doesn't say how many messages a folder holds.")
        return int(said)

    def close(self) -> None:
        """Sign out."""
        if not self.broken:
            with suppress(imaplib.IMAP4.error, OSError, EOFError):
                self._client.logout()
                return
        self._hang_up()

    def _hang_up(self) -> None:
        self.broken = True
        with suppress(imaplib.IMAP4.error, OSError):
            self._client.shutdown()
