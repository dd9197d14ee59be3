"""Looking ahead on the demonstration office: the tables of docs/operations.md are what the commands print."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from demo.__main__ import POLICIES
from tests.acceptance.conftest import Demonstration, Firm
from tests.acceptance.test_newcomer import ROOT, leaks, without_trailing_blanks

PAGE = ROOT / "docs" / "operations.md"


def documented(command: str, printed: str) -> None:
    """Compare what a command printed with what stands behind it on the page; REGENERATE=1 writes it there."""
    before, call, rest = PAGE.read_text(encoding="utf-8").partition(f"```text\n$ retention {command}\n")
    assert call, f"{command} is not documented"
    shown, end, after = rest.partition("```\n")
    if "REGENERATE" in os.environ:
        PAGE.write_text(before + call + printed + end + after, encoding="utf-8")
        return
    assert shown == printed


def newer(folder: Path) -> Path:
    """Write the office's policies as somebody would change them: comments' addresses half as long, invoices three years longer."""
    text = POLICIES.read_text(encoding="utf-8")
    text = re.sub(r"\[\[policies\.examples\]\]\n(?:\w.*\n)+", "", text)
    for old, new in (('keep = "P180D"', 'keep = "P90D"'), ('keep = "P7Y"', 'keep = "P10Y"')):
        assert old in text
        text = text.replace(old, new)
    path = folder / "new.toml"
    path.write_text(text, encoding="utf-8")
    return path


class TestOffice:
    """One look at the office each way."""

    def test_the_documented_tables_are_what_the_commands_print(self, demonstration: Demonstration) -> None:
        """What is documented is what is printed (REGENERATE=1 writes it), and looking ahead leaves only an empty ledger behind."""
        new = newer(demonstration.folder)
        for command in ("forecast --months 6", "upcoming", "policies diff policies.toml new.toml"):
            given = {"policies.toml": POLICIES, "new.toml": new}
            said = demonstration(*(given.get(word, word) for word in command.split()))
            assert 0 == said.code, said.err
            documented(command, without_trailing_blanks(said.out))
        assert {"ledger.sqlite"} == {each.name for each in demonstration.state.iterdir()}
        assert not Path(demonstration.environ["RETENTION_KEYS"]).exists()
        assert demonstration.built is not None
        printed = iter([(Path("output"), text.encode()) for text in demonstration.everything])
        assert [] == leaks(demonstration.built.canaries, printed)

    def test_a_forecast_adds_up_and_begins_with_the_plan(self, demonstration: Demonstration) -> None:
        """For every policy of the office: what is due now is what the plan says, and the months and the rest make all records."""
        ahead = {each["policy"]: each for each in demonstration("forecast", "--months", 3, "--json").json["policies"]}
        planned = demonstration("plan", "--json").json["sources"]
        assert set(planned) == set(ahead)
        for name, counts in planned.items():
            each = ahead[name]
            assert {word: counts[word] for word in ("due", "partly", "review")} == {
                word: each[word]["now"] for word in ("due", "partly", "review")
            }
            assert counts["total"] == each["later_or_never"] + sum(sum(each[word].values()) for word in ("due", "partly", "review"))
            assert ["now", "2026-06", "2026-07", "2026-08"] == list(each["due"])


class TestUpcoming:
    """Who may see which keys."""

    @pytest.fixture
    def soon(self, firm: Firm) -> Firm:
        """Return the firm with one contact whose last day is 4 July."""
        firm.sql("UPDATE contacts SET last_contact_at = '2024-07-04 12:00:00' WHERE id = 17")
        return firm

    def test_keys_are_for_a_terminal_or_for_whoever_asks(self, soon: Firm) -> None:
        """In a pipe keys are refused, on a terminal they are shown, and --json has them only together with --records."""
        refused = soon("upcoming", "--records", interactive=False)
        assert (2, "") == (refused.code, refused.out)
        assert "terminal only" in refused.err
        shown = soon("upcoming", "--records", interactive=True)
        assert 0 == shown.code, shown.err
        assert re.search(r"^ *17 +record +2026-07-04", shown.out, re.MULTILINE)
        counts = soon("upcoming", "--json").json["policies"][0]
        assert {
            "policy": "contacts",
            "owner": "",
            "until": "2026-07-29",
            "first": "2026-07-04",
            "due": 1,
            "partly": 0,
            "review": 0,
        } == counts
        assert [{"key": [17], "what": "due", "due": "2026-07-04"}] == soon("upcoming", "--json", "--records").json["policies"][0]["records"]

    def test_days_and_owners(self, soon: Firm) -> None:
        """A shorter look leaves it out; the last of the days belongs to them; an owner that nobody is, is an error."""
        assert 0 == soon("upcoming", "--days", 4, "--json").json["policies"][0]["due"]
        assert 1 == soon("upcoming", "--days", 5, "--json").json["policies"][0]["due"]
        assert 2 == soon("upcoming", "--owner", "Recruiting").code
        assert 2 == soon("upcoming", "--days", 0).code


class TestDiff:
    """Two files and one database."""

    def test_both_files_are_checked(self, firm: Firm) -> None:
        """What is wrong in either is told at once, with the file it is in."""
        wrong = firm.folder / "wrong.toml"
        wrong.write_text(firm.policies.read_text(encoding="utf-8").replace("P2Y", "2 years"), encoding="utf-8")
        said = firm("policies", "diff", wrong, firm.policies)
        assert (2, "") == (said.code, said.out)
        assert "wrong.toml" in said.err
        assert 2 == firm("policies", "diff", firm.policies, firm.folder / "none.toml").code

    def test_what_the_diff_says_is_what_the_new_file_does(self, firm: Firm) -> None:
        """The number that becomes due now is what a plan with the new file has more than one with the old."""
        new = firm.folder / "new.toml"
        new.write_text(firm.policies.read_text(encoding="utf-8").replace('keep = "P2Y"', 'keep = "P1M"'), encoding="utf-8")
        said = firm("policies", "diff", firm.policies, new, "--json").json
        assert ["members"] == said["same"]
        (contacts,) = said["policies"]
        assert ["purpose contact: keep P2Y -> P1M"] == contacts["words"]
        more = (
            firm("--policies", new, "plan", "--json").json["sources"]["contacts"]["due"]
            - firm("plan", "--json").json["sources"]["contacts"]["due"]
        )
        assert more > 0
        assert {"due now": more} | {"unchanged": 10} == {name: count for name, count in contacts["effects"].items() if count}
        new.write_text(f'{firm.policies.read_text(encoding="utf-8")}[[gaps]]\nid = "mail"\nwhat = "No period."\n', encoding="utf-8")
        assert ["gap mail is new: No period."] == firm("policies", "diff", firm.policies, new, "--json").json["declared"]
        assert "gap mail is new: No period.\nThe same in both: contacts, members.\n" == firm("policies", "diff", firm.policies, new).out
        same = firm("policies", "diff", firm.policies, firm.policies)
        assert "The same in both: contacts, members.\n" == same.out

    def test_a_source_that_is_down(self, firm: Firm) -> None:
        """The others are compared, and the exit code says that it is not the whole; with none left there is nothing to compare."""
        down = "postgresql+psycopg://nobody:none@127.0.0.1:9/none"
        new = firm.folder / "new.toml"
        text = firm.policies.read_text(encoding="utf-8").replace('keep = "P2Y"', 'keep = "P3Y"').replace('keep = "P0D"', 'keep = "P1M"')
        new.write_text(text, encoding="utf-8")
        one = firm("policies", "diff", firm.policies, new, "--json", env={"RETENTION_SOURCES__MEMBERS__URL": down})
        assert (5, ["members"]) == (one.code, list(one.json["failed"]))
        assert 5 == firm("forecast", env={"RETENTION_SOURCES__MEMBERS__URL": down}).code
        both = {"RETENTION_SOURCES__MEMBERS__URL": down, "RETENTION_SOURCES__CONTACTS__URL": down}
        for call in (("forecast",), ("upcoming",), ("policies", "diff", firm.policies, new)):
            assert 2 == firm(*call, env=both).code
        assert json.loads(firm("forecast", "--json").out)["failed"] == {}
