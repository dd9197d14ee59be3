"""`retention policies statement` and `register`: to standard output or to a file, and what is said beside them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from tests.unit.cli.conftest import Call
from worker.paper import Lang, RegisterFormat, StatementFormat, register, statement
from worker.policyfile import load

SHIPPED = Path(__file__).parents[3] / "policies.toml"
UNLABELLED = """version = 1
[organisation]
name = "Office"
timezone = "UTC"
[sources.some_people]
connector = "crm"
table = "people"
key = "id"
subject = ["e_mail"]
[sources.some_people.fields]
e_mail = { label = { nl = "e-mailadres" } }
"""

AHEAD = """[[policies]]
source = "some_people"
effective = 2099-01-01
disposition = "delete"
[[policies.purposes]]
id = "p"
basis = "contract"
fields = ["e_mail"]
keep = "indefinite"
"""


def test_statement_on_standard_output(call: Call) -> None:
    """The statement is all of standard output, so that a pipe gets a statement."""
    code, out, err = call("--policies", str(SHIPPED), "policies", "statement", "--lang", "nl")
    assert (0, "") == (code, err)
    assert statement(load(SHIPPED), Lang.NL, StatementFormat.MARKDOWN, dt.date(2026, 6, 30)) == out


def test_what_is_not_in_force_is_left_out_aloud(call: Call, tmp_path: Path) -> None:
    """A policy that does nothing yet is no statement; who waits for it in the text reads why it is not there."""
    (tmp_path / "p.toml").write_text(UNLABELLED + AHEAD, encoding="utf-8")
    code, out, err = call("--policies", str(tmp_path / "p.toml"), "policies", "statement")
    assert (0, False) == (code, "## some people" in out)
    assert "Not in force yet, so left out: some_people (from 2099-01-01 on)." in " ".join(err.split())
    assert "in force from 1 January 2099" in call("--policies", str(tmp_path / "p.toml"), "policies", "register")[1]


def test_register_in_a_file(call: Call, tmp_path: Path) -> None:
    """A file holds what was made byte by byte, also the line ends of CSV."""
    code, out, _ = call("--policies", str(SHIPPED), "policies", "register", "--format", "csv", "-o", str(tmp_path / "register.csv"))
    assert (0, "") == (code, out)
    assert register(load(SHIPPED), Lang.EN, RegisterFormat.CSV).encode() == (tmp_path / "register.csv").read_bytes()


def test_what_has_no_label_is_said(call: Call, tmp_path: Path) -> None:
    """Names that stand in a paper for want of a label are told on standard error, by language."""
    (tmp_path / "p.toml").write_text(UNLABELLED, encoding="utf-8")
    code, out, err = call("--policies", str(tmp_path / "p.toml"), "policies", "register", "--lang", "nl")
    assert (0, True) == (code, "some people" in out)
    assert "Without a `label` in nl, so called by name: some_people.\n" in err.replace("\n\n", "\n")
    assert "some_people.e_mail" in call("--policies", str(tmp_path / "p.toml"), "policies", "register")[2]


def test_a_place_that_cant_be_written(call: Call, tmp_path: Path) -> None:
    """A file that can't be written is an error of usage, told with its reason."""
    code, _, err = call("--policies", str(SHIPPED), "policies", "statement", "-o", str(tmp_path / "none" / "x.md"))
    assert 2 == code
    assert "can't be written" in err


def test_a_wrong_policy_file(call: Call, tmp_path: Path) -> None:
    """Nothing is published from a file that is not enforced."""
    (tmp_path / "p.toml").write_text(UNLABELLED.replace('timezone = "UTC"', ""), encoding="utf-8")
    code, out, _ = call("--policies", str(tmp_path / "p.toml"), "policies", "statement")
    assert (2, "") == (code, out)
