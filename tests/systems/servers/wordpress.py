"""A private WordPress: real code on a private MariaDB, installed by its own functions, served by PHP on a free port.

The code is copied to a private folder without the configuration of the package it came from. Outgoing mail and
outgoing requests are switched off; nothing leaves the machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy.engine import make_url

from tests.systems.servers import comments
from tests.systems.servers.mariadb import MariaDB
from tests.systems.servers.process import LOOPBACK, Account, ServerMissingError, private_folder, program, running

PROJECT = Path(__file__).resolve().parents[3]
PACKAGE = PROJECT / ".servers" / "wordpress"
OURS = PROJECT / "tests" / "systems" / "wordpress"
# Mail is handed to a program that says yes and does nothing; warnings go to the error output, not into the answer.
PHP_SETTINGS = ("sendmail_path=/bin/true", "display_errors=stderr", "log_errors=0", "opcache.enable_cli=1")


class PhpError(Exception):
    """A PHP script ended with an error; the text is what it said."""


@dataclass(frozen=True, slots=True)
class WordPress:
    """A running site. url -- without a slash at the end; database_url -- for SQLAlchemy; pid -- of the web server."""

    url: str
    database_url: str
    pid: int
    folder: Path
    _environment: Mapping[str, str] = field(repr=False)

    def php(self, code: str) -> str:
        """Run PHP statements (no opening tag) inside WordPress and return what they print; raise PhpError."""
        return _script("run.php", code, self.folder, {**self._environment, "SITE_ADDRESS": self.url})

    def get(self, path: str) -> tuple[int, str]:
        """Fetch a page as a visitor who is not logged in: (HTTP status, text). Errors are answers too."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(self.url + path, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()

    def post_page(self, post: int) -> str:
        """Return the public page of a post; its comments and their number are on it."""
        status, page = self.get(f"/?p={post}")
        assert status == 200, f"post {post} answered {status}"
        return page

    def comment_count(self, post: int) -> int:
        """Return the number of comments that WordPress keeps with the post (`wp_posts.comment_count`)."""
        return int(self.php(f"echo get_post({post:d})->comment_count;"))

    def seed(self, as_of: datetime = comments.AS_OF, days: int = 90) -> comments.Seed:
        """Let WordPress make two posts and the comments of `comments.WANTED`; once for a site.

        as_of -- aware instant, in the past; comments with `is_older` are more than `days` older than it, the others less.
        """
        request = json.dumps(comments.request(as_of, days))
        answer = json.loads(_script("seed.php", request, self.folder, {**self._environment, "SITE_ADDRESS": self.url}))
        return comments.made(as_of, days, answer["posts"], answer["comments"])


@contextlib.contextmanager
def running_wordpress(server: MariaDB, parent: Path | None = None) -> Iterator[WordPress]:
    """Yield a freshly installed site on a database of its own; stop it and remove its files afterwards.

    The site's time zone is Europe/Amsterdam and comments need no moderation. Raises ServerMissingError, ServerFailedError, PhpError.
    """
    php = program("php")
    if not (PACKAGE / "wp-includes" / "version.php").exists():
        raise ServerMissingError("WordPress is not there: run make servers")
    database_url = server.new_database("wordpress")
    address = make_url(database_url)
    environment = {
        "SITE_DATABASE": str(address.database),
        "SITE_DATABASE_HOST": f"{address.host}:{address.port}",
        "SITE_DATABASE_USER": str(address.username),
        "SITE_DATABASE_PASSWORD": str(address.password),
    }
    account = _account()
    with private_folder("wordpress", account, parent) as folder:
        site = folder / "site"
        _lay_out(folder, site)
        account.owns(folder)
        _script("install.php", "", site, {**environment, "SITE_ADDRESS": f"http://{LOOPBACK}"})
        with running(
            account,
            folder,
            lambda port: [php, *_options(), "-S", f"{LOOPBACK}:{port}", "-t", site],
            _is_ready,
            environment=environment,
        ) as (pid, port):
            yield WordPress(f"http://{LOOPBACK}:{port}", database_url, pid, site, environment)


def _lay_out(folder: Path, site: Path) -> None:
    """Copy WordPress with our configuration and our theme, and our scripts beside it."""
    # Some links lead to other packages, for media and editors, and may lead nowhere here.
    shutil.copytree(PACKAGE, site, symlinks=True, ignore=shutil.ignore_patterns("wp-config.php", ".htaccess"))
    shutil.copytree(OURS / "theme", site / "wp-content" / "themes" / "plain")
    shutil.copy(OURS / "config.php", site / "wp-config.php")
    # The account of the site need not be able to enter the project's folder.
    shutil.copytree(OURS, folder / "scripts")


def _account() -> Account:
    return Account.other_than_root("www-data")


def _options() -> list[str]:
    return [part for setting in PHP_SETTINGS for part in ("-d", setting)]


def _script(name: str, told: str, site: Path, environment: Mapping[str, str]) -> str:
    """Run one of our scripts in the site's folder, with `told` as its standard input, and return what it prints."""
    done = subprocess.run(
        _account().command([program("php"), *_options(), site.parent / "scripts" / name], signal.SIGTERM),
        cwd=site,
        env={**os.environ, **environment},
        input=told,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or done.stderr:
        raise PhpError(f"{name} ended with {done.returncode}:\n{done.stderr}{done.stdout}")
    return done.stdout


def _is_ready(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{LOOPBACK}:{port}/?feed=comments-rss2", timeout=30) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
