"""What `sources check` finds about a source of Tryton, on a real one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors import plugins
from connectors.contract import FaultProxy
from tests.systems.servers.parties import POLICIES, Opened, address, emptied
from tests.systems.servers.tryton import Tryton
from tests.systems.test_tryton_contract import is_change
from worker.core.select import EVERYTHING
from worker.errors import ConfigurationError, SourceFailed
from worker.policyfile.loading import loads
from worker.ports import Connection


@pytest.fixture
def opened(tryton: Tryton) -> Iterator[Opened]:
    """Return what opens sources."""
    made = Opened(tryton)
    yield made
    made.close()


class TestCheck:
    """What `sources check` finds."""

    def found(self, opened: Opened, text: str) -> tuple[str, str]:
        """Return the problems and what is worth knowing."""
        policy = loads(text, "policies.toml").policies[0]
        source = opened(text)
        problems, notes = source.problems(policy, {})
        source.close()
        return "\n".join(map(str, problems)), "\n".join(map(str, notes))

    def test_the_documented_policy_is_usable(self, opened: Opened) -> None:
        """Nothing is wrong with the page's policy; what may refer to a party is named."""
        problems, notes = self.found(opened, POLICIES)
        assert "" == problems
        assert "retention.contract (party)" in notes

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ('"party.party"\nkey', '"party.parti"\nkey', "no model 'party.parti'"),
            ('"create_date", type', '"created", type', "party.party has no field 'created'"),
            ('column = "create_date"', 'column = "addresses.city"', "'addresses' of party.party holds several records"),
            ("match = { resource", "match = { recourse", "ir.note has no field 'recourse'"),
            ('table = "party.address"', 'table = "party.adress"', "no model 'party.adress'"),
            ("match = { party", "match = { party_name", "rows of party.contact_mechanism (party) go with a deleted record, or keep it"),
            ('on_delete = "delete"', 'on_delete = "detach"', "'party' of party.contact_mechanism may not be empty"),
            ("notes.create_date", "notes.created", "ir.note has no field 'created'"),
        ],
    )
    def test_a_wrong_declaration(self, opened: Opened, old: str, new: str, said: str) -> None:
        """What Tryton doesn't have, or can't do, is a problem that names it, before anything is read."""
        assert old in POLICIES
        try:
            problems, _ = self.found(opened, POLICIES.replace(old, new, 1))
        except ConfigurationError as error:
            problems = str(error)
        assert said in problems

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("name = { personal = true }", 'name = { treatment = "clear" }', ""),
            ("name = { personal = true }", 'name = { column = "code", treatment = "clear" }', "'code' may not be empty"),
            ("name = { personal = true }", 'name = { column = "full_name", treatment = "clear" }', "Tryton sets 'full_name' by itself"),
            ('email = { type = "email" }', 'email = { type = "email", treatment = "clear" }', "Tryton works 'email' out"),
            ("name = { personal = true }", 'name = { column = "lang.code", treatment = "clear" }', "a field of another record"),
            ("name = { personal = true }", 'name = { column = "lang", treatment = "clear" }', "'lang' is a many2one"),
        ],
    )
    def test_a_treatment_that_tryton_refuses(self, opened: Opened, old: str, new: str, said: str) -> None:
        """Treatments that would fail in a run are problems before it."""
        text = POLICIES.replace(old, new, 1)
        problems, _ = self.found(opened, text)
        assert said in problems
        assert bool(said) == bool(problems)

    def test_a_history_is_named(self, opened: Opened) -> None:
        """A model that keeps a history keeps what is deleted: that is said, and of no other model."""
        _, notes = self.found(opened, POLICIES.replace("party.identifier", "retention.contract"))
        said = [line for line in notes.splitlines() if "keeps a history" in line]
        assert ["parties: retention.contract"] == [line.partition(" keeps")[0] for line in said]

    def test_what_the_account_may_not_do(self, opened: Opened) -> None:
        """An account without the right is told what it lacks, and for which model."""
        problems, _ = self.found(opened, POLICIES.replace("party.identifier", "retention.contract"))
        assert "the account may not delete retention.contract" in problems

    @pytest.mark.parametrize(
        "url",
        ["http://retention@127.0.0.1:1/crm", "http://retention:secret@127.0.0.1:1", "ftp://a:b@127.0.0.1/crm", "http://127.0.0.1/crm"],
    )
    def test_an_address_that_can_not_be_right(self, tryton: Tryton, opened: Opened, url: str) -> None:
        """An address without user, password or database is refused, and not shown."""
        with pytest.raises(ConfigurationError) as caught:
            opened(url=url)
        assert "secret@" not in str(caught.value)

    def test_a_database_that_is_not_there(self, tryton: Tryton, opened: Opened) -> None:
        """An address with another database is a matter of settings."""
        with (
            pytest.raises(ConfigurationError, match="no Tryton database"),
            opened(url=address(tryton.url, "other")).reader() as reader,
        ):
            list(reader.rows(EVERYTHING, ()))


class TestRenamed:
    """What another version of Tryton calls otherwise is refused, and named: never empty, never a traceback."""

    @pytest.mark.parametrize(
        ("name", "said"), [("name", "no field 'name' of party.party"), ("searchable", "fields of 'party.party'"), ("id", "no field 'id'")]
    )
    def test_the_source_fails(self, tryton: Tryton, name: str, said: str) -> None:
        """Without it nobody can tell what may go."""
        emptied(tryton).parties(2)
        with FaultProxy(tryton.url, is_change, keeps_encoding=True).running() as proxy:
            source = plugins.tryton(loads(POLICIES, "policies.toml").sources["parties"], Connection(address(proxy.url)))
            proxy.renaming(f'"{name}":')
            with pytest.raises(SourceFailed, match=said), source.reader() as reader:
                list(reader.rows(EVERYTHING, ("name",)))
            source.close()
