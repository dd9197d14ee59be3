"""A private Dovecot: own folder, free loopback ports, own certificate, gone at the end.

Every user name signs in with the one password and has a mailbox of its own; another program works in its folders (`Dovecot.folder`).
Those of a user at `memory.example` are read without a cache, so that what another program writes into a message is seen.
"""

from __future__ import annotations

import contextlib
import grp
import imaplib
import pwd
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from tests.systems.servers.certificate import certify
from tests.systems.servers.process import LOOPBACK, Account, free_port, private_folder, program, running

MEMORY = "memory.example"


@dataclass(frozen=True, slots=True)
class Dovecot:
    """A running server. port -- plain, and with STARTTLS; secure_port -- encrypted from the start; certificate -- its own authority."""

    pid: int
    port: int
    secure_port: int
    mail: Path
    certificate: Path
    account: Account
    password: str = field(repr=False)

    def url(self, user: str, *, scheme: str = "imap", password: str | None = None, port: int | None = None) -> str:
        """Return a user's address."""
        port = port or (self.secure_port if scheme == "imaps" else self.port)
        return f"{scheme}://{quote(user, safe='')}:{quote(password or self.password, safe='')}@{LOOPBACK}:{port}"

    def folder(self, user: str, name: str = "INBOX") -> Path:
        """Return where a user's folder lies, a Maildir."""
        return self.mail / user / ("" if name == "INBOX" else f".{name}")

    @contextlib.contextmanager
    def session(self, user: str) -> Iterator[imaplib.IMAP4]:
        """Yield another program's connection, signed in."""
        with imaplib.IMAP4(LOOPBACK, self.port) as session:
            session.login(user, self.password)
            yield session


@contextlib.contextmanager
def running_dovecot(parent: Path | None = None, settings: str = "") -> Iterator[Dovecot]:
    """Yield a private server and remove it with its data afterwards; raises ServerMissingError or ServerFailedError."""
    account = Account.other_than_root()
    dovecot = program("dovecot")
    password = secrets.token_urlsafe(24)
    with private_folder("dovecot", account, parent) as folder:
        secure_port = free_port()
        certify(folder)

        def command(port: int) -> list[str | Path]:
            (folder / "dovecot.conf").write_text(_configuration(folder, account, password, port, secure_port) + settings)
            account.owns(folder)
            return [dovecot, "-F", "-c", folder / "dovecot.conf"]

        with running(account, folder, command, _is_ready) as (pid, port):
            yield Dovecot(pid, port, secure_port, folder / "mail", folder / "certificate.pem", account, password)


def _is_ready(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1) as probe:
        probe.settimeout(5)
        return probe.recv(4) == b"* OK"
    return False


def _configuration(folder: Path, account: Account, password: str, port: int, secure_port: int) -> str:
    user, group = pwd.getpwuid(account.uid).pw_name, grp.getgrgid(account.gid).gr_name
    index = f"%{{if;%d;eq;{MEMORY};MEMORY;{folder}/index/%u}}"
    return f"""
protocols = imap
listen = {LOOPBACK}
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
ssl = yes
ssl_cert = <{folder}/certificate.pem
ssl_key = <{folder}/key.pem
disable_plaintext_auth = no
auth_failure_delay = 0 secs
default_login_user = {user}
default_internal_user = {user}
default_internal_group = {group}
mail_location = maildir:{folder}/mail/%u:INDEX={index}
mail_uid = {user}
mail_gid = {group}
first_valid_uid = 1
first_valid_gid = 1
mail_max_userip_connections = 50
mailbox_list_index = no
mail_plugins = acl
protocol imap {{
  mail_plugins = acl imap_acl
}}
plugin {{
  acl = vfile
}}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={folder}/home/%u
}}
service imap {{
  service_count = 1000
}}
service imap-login {{
  chroot =
  service_count = 0
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {secure_port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Trash {{
    special_use = \\Trash
    auto = create
  }}
  mailbox Applications {{
    auto = create
  }}
}}
"""
