"""`python -m demo`: the whole job on the demonstration office, step by step, through the command's own functions.

The office lies around a fixed day in the past, and every step is told that it is noon of that day. What is made stands in one folder and is
made anew every time: the office, what the worker keeps, the keys (apart from both), and `env.sh` to go on by hand.
"""

from __future__ import annotations

import argparse
import datetime as dt
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

from demo import office
from worker.cli.main import run
from worker.cli.session import Session

DEFAULT_FOLDER = Path(".demo")
POLICIES = Path(__file__).resolve().parent.parent / "policies.toml"
_ZONE = ZoneInfo("Europe/Amsterdam")
_CRM = ("contacts", "quotes", "agreements", "invoices")
_NEW_FINDINGS = 4


def environment(built: office.Office, folder: Path) -> dict[str, str]:
    """Return the settings with which the command finds the office, its ledger and its keys."""
    made = {
        "RETENTION_POLICIES": str(POLICIES),
        "RETENTION_STATE": str(folder / "state"),
        "RETENTION_KEYS": str(folder / "keys" / "keys.json"),
        "RETENTION_OPERATOR": "demo",
        "RETENTION_SOURCES__MEMBERS__URL": built.mailing_list_url,
        "RETENTION_SOURCES__COMMENTS__URL": built.comments_url,
        "RETENTION_SOURCES__APPLICATIONS__PATH": str(built.folder),
    }
    made.update({f"RETENTION_SOURCES__{name.upper()}__URL": built.crm_url for name in _CRM})
    made.update({f"RETENTION_SOURCES__{name.upper()}__WITNESS_TABLE": "true" for name in (*_CRM, "members", "comments")})
    return made


def noon(day: dt.date) -> dt.datetime:
    """Return noon of a local day of the office, in UTC."""
    return dt.datetime.combine(day, dt.time(12), _ZONE).astimezone(dt.UTC)


def session(environ: Mapping[str, str], day: dt.date = office.AS_OF) -> Session:
    """Return a call of the command in the office, at noon of a day."""
    return Session(environ=environ, now=lambda: noon(day))


def main(args: Sequence[str] | None = None) -> int:
    """Build the office and run the main job on it; the exit code of the first step that failed, else 0."""
    parser = argparse.ArgumentParser(prog="python -m demo", description="Build a small office and run the whole job on it.")
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="where everything is made anew (default: .demo)")
    parser.add_argument("--scale", type=int, default=1, help="how many times the ordinary number of records")
    chosen = parser.parse_args(args)
    folder: Path = chosen.folder.resolve()
    try:
        built = office.build(folder / "office", scale=chosen.scale)
    except (FileExistsError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    for earlier in ("state", "keys"):
        shutil.rmtree(folder / earlier, ignore_errors=True)
    environ = environment(built, folder)
    _write_environment(folder / "env.sh", environ)
    return _Demonstration(folder, environ, built.as_of).show()


def _write_environment(path: Path, environ: Mapping[str, str]) -> None:
    """Write what a shell needs to go on by hand."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in environ.items()]
    path.write_text("# The settings of the demonstration office:  . env.sh\n" + "\n".join(lines) + "\n", encoding="utf-8")


class _Demonstration:
    """The steps, numbered as they are shown."""

    def __init__(self, folder: Path, environ: Mapping[str, str], as_of: dt.date) -> None:
        self._folder = folder
        self._environ = environ
        self._as_of = as_of
        self._number = 0

    def show(self) -> int:
        """Show all steps; the exit code of the first that failed, else 0."""
        plan = str(self._folder / "state" / "plans" / "demo.jsonl")
        steps: tuple[tuple[str, tuple[str, ...]], ...] = (
            (f"The plan: what is due on {self._as_of}, by source and policy. Nothing is changed yet.", ("plan", "--full", "-o", plan)),
            ("A person says yes to exactly this plan.", ("approve", plan, "--by", "demo")),
            ("It is carried out, batch by batch; each batch is read back.", ("apply", plan)),
            ("Every effect in the audit trail is compared with what is in the systems now.", ("verify", "")),
            ("A second plan finds nothing left to do.", ("plan", "-o", str(self._folder / "state" / "plans" / "again.jsonl"))),
        )
        for title, args in steps:
            code = self._step(title, args if args[0] != "verify" else ("verify", self._last_run()))
            if code not in (0, _NEW_FINDINGS):
                return code
        self._next_steps()
        return 0

    def _step(self, title: str, args: Sequence[str]) -> int:
        """Show one step and return its exit code."""
        self._number += 1
        shown = session(self._environ, self._as_of)
        shown.show(f"\n{self._number}. {title}", f"   $ retention {shlex.join(_short(each, self._folder) for each in args)}\n")
        sys.stdout.flush()
        return run(args, shown)

    def _last_run(self) -> str:
        """Return the id of the run that was just made."""
        with session(self._environ, self._as_of).machine() as machine:
            return machine.ledger.runs(1)[0].run_id

    def _next_steps(self) -> None:
        """Say where everything is and what to try."""
        audit = _short(str(self._folder / "state" / "audit"), self._folder)
        lines = (
            f"\nThe audit trail is in {audit}: one JSON line per event, and not one name, address or number of a person.",
            "\nWhat to try next:",
            f"  . {_short(str(self._folder / 'env.sh'), self._folder)}",
            f"  .venv/bin/retention explain contacts 17 --as-of {self._as_of}         # the invoice outlives its contact",
            f"  .venv/bin/retention explain contacts 19 --as-of {self._as_of}         # the agreement is still running",
            f"  .venv/bin/retention explain --subject - --as-of {self._as_of}         # type an e-mail address out of the CRM",
            f"  .venv/bin/retention forecast --months 6 --as-of {self._as_of}            # how much falls due in each month",
            f"  .venv/bin/retention plan sample 3 --as-of {self._as_of + dt.timedelta(days=90)}               # what falls due next",
            "  .venv/bin/retention findings list                                    # what a person has to look at",
            "  .venv/bin/retention reviews list                                     # what only a person may decide",
            "  .venv/bin/retention policies statement --lang nl                     # the paragraph for the privacy statement",
            "  .venv/bin/retention policies check",
            "  .venv/bin/retention runs",
            "  .venv/bin/retention --help",
        )
        session(self._environ, self._as_of).show(*lines)


def _short(text: str, folder: Path) -> str:
    """Return a path the way it is typed from the current folder."""
    here = f"{Path.cwd()}/"
    return text.replace(here, "") if str(folder).startswith(here) else text


if __name__ == "__main__":
    sys.exit(main())
