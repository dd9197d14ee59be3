"""The policy file of the demonstration office, and the JSON Schema of policy files."""

from __future__ import annotations

import json
from pathlib import Path

from worker.policyfile import check, json_schema
from worker.policyfile.document import Document
from worker.policyfile.schema import keys_at

SHIPPED = Path(__file__).parents[3] / "policies.toml"


class TestShippedFile:
    """The policies of the demonstration office."""

    def test_loads_with_the_built_in_connectors(self) -> None:
        """The shipped file has no problem, and every policy has examples that come true."""
        report = check(SHIPPED, ["crm", "mailing_list", "comments", "application_files"])
        assert () == report.problems
        assert report.schedule is not None
        expected = {"contacts", "quotes", "agreements", "invoices", "members", "comments", "applications"}
        assert expected == {each.id for each in report.schedule.policies}
        assert not [each for each in report.warnings if "has no example" in each.what]

    def test_schema_knows_every_key(self) -> None:
        """The JSON Schema names every key that the shipped file uses, so that an editor calls none of them wrong."""
        document = Document.parse(SHIPPED.read_text(encoding="utf-8"), "policies.toml")
        unknown = [path for path in document.lines if isinstance(path[-1], str) and (keys := keys_at(path[:-1])) and path[-1] not in keys]
        open_tables = {"when", "any"}
        assert [] == [path for path in unknown if not open_tables & set(path)]

    def test_exported_schema(self) -> None:
        """docs/policy.schema.json is what the code says today."""
        exported = (SHIPPED.parent / "docs" / "policy.schema.json").read_text(encoding="utf-8")
        assert json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n" == exported
