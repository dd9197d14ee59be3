"""The key file: who may read it, what it generates, what it seals, and what losing it looks like."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.thoroughness import examples
from worker.core.sources import Identifier
from worker.core.treatments import PseudonymKey, pseudonym
from worker.errors import ConfigurationError, RetentionError
from worker.keys import Destroyed, Key, Keyring
from worker.keys.keyfile import Entry, KeyFile
from worker.keys.rootfile import RootFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config" / "keys.json"


def root_of(path: Path) -> Path:
    return path.resolve().with_suffix(".root")


def opened(path: Path, *, allow_create: bool = True) -> Keyring:
    """Return the keys in a file, its root beside it."""
    return Keyring.open(path, root_of(path), allow_create=allow_create)


def all_families(ring: Keyring) -> list[Key]:
    return [ring.audit_ref(2026), ring.match(), ring.pseudonym("customers"), ring.seal_key(), ring.plan_mac(), ring.sign_key()]


class TestGenerating:
    def test_a_key_is_made_when_first_asked_for_and_then_stays(self, path: Path) -> None:
        """A second process reads the very keys the first one made."""
        ring = opened(path)
        assert not path.exists()
        made = all_families(ring)

        assert made == all_families(opened(path))
        assert made == all_families(ring)

    def test_the_families_are_independent(self, path: Path) -> None:
        """Every family, year and domain has its own 256 bits and its own id."""
        ring = opened(path)
        keys = [*all_families(ring), ring.audit_ref(2027), ring.pseudonym("members")]

        assert 8 == len({key.secret for key in keys})
        assert 8 == len({key.id for key in keys})
        assert {32} == {len(key.secret) for key in keys}

    def test_an_id_is_short_and_names_its_family_by_a_letter(self, path: Path) -> None:
        """A key's id is a letter and six hexadecimal digits."""
        assert all(re.fullmatch(r"[ampsce]-[0-9a-f]{6}", key.id) for key in all_families(opened(path)))

    def test_who_only_looks_makes_no_lasting_key(self, path: Path) -> None:
        """Keys that exist are the same ones; one that doesn't is made for the moment, stays the same for it, and is written nowhere."""
        ring = opened(path)
        looking = ring.unsaved()
        assert looking.match() == looking.match()
        assert not path.exists()
        kept = ring.match()
        assert kept == ring.unsaved().match()

    def test_only_the_owner_can_read_what_is_made(self, path: Path) -> None:
        """File and folder are made for their owner alone, whatever the umask is, and no draft is left."""
        before = os.umask(0)
        try:
            opened(path).match()
        finally:
            os.umask(before)

        assert 0o600 == stat.S_IMODE(path.stat().st_mode)
        assert 0o700 == stat.S_IMODE(path.parent.stat().st_mode)
        assert ["keys.json", "keys.json.lock", "keys.root"] == sorted(file.name for file in path.parent.iterdir())

    def test_two_creators_agree_on_one_key(self, path: Path) -> None:
        """A ring that read the file before another added a key uses the other's key instead of making its own."""
        first, second = opened(path), opened(path)

        assert first.match() == second.match()
        assert first.plan_mac() == second.plan_mac()

    def test_find_knows_keys_that_another_process_made(self, path: Path) -> None:
        """A value made elsewhere with a newer key can be attributed; an id nobody made is None."""
        ring = opened(path)
        made = opened(path).match()

        assert made.secret == ring.find(made.id).secret
        assert ring.find("m-000000x") is None

    def test_a_link_to_the_file_stays_a_link(self, path: Path, tmp_path: Path) -> None:
        """Adding a key replaces the file behind a link, and doesn't leave the old file elsewhere."""
        opened(path).match()
        link = tmp_path / "link.json"
        link.symlink_to(path)
        opened(link).plan_mac()

        assert link.is_symlink()
        assert 2 == len(json.loads(path.read_text())["keys"])


class TestRefusing:
    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
    def test_a_file_that_others_can_use_is_refused(self, path: Path, mode: int) -> None:
        """A key that others could read or replace is not a key; the text says how to mend it."""
        opened(path).match()
        path.chmod(mode)

        with pytest.raises(ConfigurationError, match="chmod 600"):
            opened(path)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
    def test_a_file_of_somebody_else_is_refused(self, path: Path) -> None:
        """A file that belongs to another user can be changed by that user."""
        opened(path).match()
        os.chown(path, 12345, 12345)

        with pytest.raises(ConfigurationError, match="belongs to another user"):
            opened(path)

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 2, "keys": []}', '{"format": 1, "keys": [{}]}'])
    def test_a_damaged_file_is_refused_and_kept(self, path: Path, content: str) -> None:
        """Damage is never mended by making new keys over the old ones."""
        path.parent.mkdir()
        path.write_text(content)
        path.chmod(0o600)

        with pytest.raises(ConfigurationError, match="damaged"):
            opened(path)
        assert content == path.read_text()

    def test_a_missing_file_is_not_made_again_when_keys_were_used(self, path: Path) -> None:
        """Losing the key file is said, with what it means, and nothing is made in its place."""
        with pytest.raises(ConfigurationError, match="no longer match"):
            opened(path, allow_create=False)
        assert not path.exists()

    def test_a_known_file_may_get_another_year(self, path: Path) -> None:
        """Not making a file doesn't mean not adding a key to it."""
        opened(path).match()
        ring = opened(path, allow_create=False)

        assert ring.audit_ref(2027) == opened(path).audit_ref(2027)

    def test_a_file_that_disappears_under_way_is_not_made_again(self, path: Path) -> None:
        """Adding a key to a lost file would make a file without the lost ones."""
        ring = opened(path)
        ring.match()
        path.unlink()

        with pytest.raises(ConfigurationError, match="disappeared"):
            ring.plan_mac()
        assert not path.exists()

    def test_a_place_that_cant_be_written_is_explained(self, tmp_path: Path) -> None:
        """A key that can't be kept is never handed out."""
        (tmp_path / "file").write_text("")

        with pytest.raises(ConfigurationError, match="RETENTION_KEYS"):
            opened(tmp_path / "file" / "keys.json").match()

    def test_a_pseudonym_needs_a_domain(self, path: Path) -> None:
        """An empty domain would join what was meant to stay apart."""
        with pytest.raises(ConfigurationError, match="domain"):
            opened(path).pseudonym("")


class TestSecrecy:
    def test_no_repr_shows_a_secret(self, path: Path) -> None:
        """Neither a key nor a ring shows its secret in a log line or a traceback."""
        ring = opened(path)
        key = ring.match()
        shown = repr(key) + repr(ring) + str(ring.checks())

        assert key.secret.hex() not in shown
        assert repr(key.secret) not in shown
        assert key.id in repr(key)

    def test_a_damaged_file_is_not_quoted(self, path: Path) -> None:
        """The error about a damaged file carries none of its content, not even as its cause."""
        opened(path).match()
        path.write_text(path.read_text().replace('"format"', "format"))

        with pytest.raises(ConfigurationError, match="damaged") as caught:
            opened(path)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


class TestSealing:
    @settings(max_examples=examples(50), suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(plaintext=st.binary(max_size=200), context=st.text(max_size=20))
    def test_what_was_sealed_is_unsealed(self, path: Path, plaintext: bytes, context: str) -> None:
        """Unseal is the inverse of seal, for every content and every context."""
        ring = opened(path)
        sealed = ring.seal(plaintext, context=context)

        assert plaintext == opened(path).unseal(sealed, context=context)
        assert re.fullmatch(r"[A-Za-z0-9_-]+", sealed)

    def test_equal_content_seals_differently(self, path: Path) -> None:
        """Two sealed values don't tell that they hold the same keys."""
        ring = opened(path)

        assert ring.seal(b"1..9", context="c") != ring.seal(b"1..9", context="c")

    def test_another_context_is_refused(self, path: Path) -> None:
        """The range of one batch can't be put into another."""
        ring = opened(path)

        with pytest.raises(RetentionError, match="batch 2"):
            ring.unseal(ring.seal(b"1..9", context="batch 1"), context="batch 2")

    def test_every_changed_character_is_noticed(self, path: Path) -> None:
        """No character of a sealed value can be changed, and none can be cut off."""
        ring = opened(path)
        sealed = ring.seal(b"1..9", context="c")
        for place in range(len(sealed)):
            changed = sealed[:place] + ("A" if sealed[place] != "A" else "Q") + sealed[place + 1 :]
            with pytest.raises(RetentionError):
                ring.unseal(changed, context="c")
            with pytest.raises(RetentionError):
                ring.unseal(sealed[:place], context="c")

    @pytest.mark.parametrize("sealed", ["", "!", "é", "AAAA", "A" * 400])
    def test_what_is_no_sealed_value_is_refused(self, path: Path, sealed: str) -> None:
        """Any text is refused in the same way as a changed value."""
        with pytest.raises(RetentionError, match="not opened"):
            opened(path).unseal(sealed, context="c")

    def test_a_lost_key_is_told_from_a_changed_value(self, path: Path, tmp_path: Path) -> None:
        """Only the operator can bring a key back, so a missing one is a matter of configuration."""
        sealed = opened(path).seal(b"1..9", context="c")
        other = opened(tmp_path / "other.json")
        other.seal_key()

        with pytest.raises(ConfigurationError, match="Put the key file back"):
            other.unseal(sealed, context="c")


class TestRotating:
    @pytest.mark.parametrize("family", ["seal", "plan-mac", "pseudonym/customers"])
    def test_the_last_key_is_in_use_and_the_others_stay(self, path: Path, family: str) -> None:
        """What was made before is opened, believed or attributed with the key of then."""
        ring = opened(path)
        all_families(ring)
        sealed = ring.seal(b"1..9", context="c")
        (old,) = ring.ids_of(family)
        new = ring.add(family)

        assert (old, new.id) == opened(path).ids_of(family)
        now = {"seal": ring.seal_key(), "plan-mac": ring.plan_macs()[-1], "pseudonym/customers": ring.pseudonym("customers")}
        assert new == now[family]
        assert ring.find(old) is not None
        assert b"1..9" == opened(path).unseal(sealed, context="c")

    def test_a_new_match_key_counts_when_it_is_said_so(self, path: Path) -> None:
        """Which keys tokens are under is for the ledger to say; one that a crash left is taken by the next rotation."""
        ring = opened(path)
        first = ring.match()
        new = ring.add("match")
        assert first == ring.match()
        assert first == opened(path).match()
        assert new == ring.add("match")
        ring.go_by((first.id, new.id))
        assert (new.id, (first.secret, new.secret)) == (ring.match().id, ring.match().secret)
        assert ring.match() == ring.unsaved().match()
        assert new.id != ring.add("match").id

    def test_a_match_key_that_is_not_there(self, path: Path) -> None:
        """It is never left out of the tokens, which would then match nobody."""
        ring = opened(path)
        ring.go_by((ring.match().id, "m-000000"))
        with pytest.raises(ConfigurationError, match="Put the key file back"):
            ring.match()

    def test_only_what_is_there_is_rotated(self, path: Path) -> None:
        """A mistyped domain gets no key."""
        with pytest.raises(ConfigurationError, match="no key pseudonym/nobody"):
            opened(path).add("pseudonym/nobody")
        assert not path.exists()


class TestDomains:
    @settings(max_examples=examples(50), suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(value=st.text(min_size=1, max_size=30), one=st.sampled_from("abc"), other=st.sampled_from("def"))
    def test_the_same_value_in_two_domains(self, path: Path, value: str, one: str, other: str) -> None:
        """Nothing of one pseudonym is in the other, also when domains and fields are called alike: the keys are unrelated."""
        ring = opened(path)
        made = [_pseudonym(ring.pseudonym(domain), "people", value) for domain in (one, other)]
        tails = [each.rpartition("-")[2] for each in made]

        assert made[0] == _pseudonym(ring.pseudonym(one), "people", value)
        assert tails[0] != tails[1]
        # Of 26 signs, two texts drawn anew have less than one in common at the same place; half would be no chance.
        assert sum(a == b for a, b in zip(*tails, strict=True)) < 13

    def test_destroying_one_leaves_the_others(self, path: Path) -> None:
        """A domain's key is random and made from nothing that stays: the same name gets another one."""
        ring = opened(path)
        gone, kept = ring.pseudonym("a"), ring.pseudonym("b")
        ring.destroy(ring.ids_of("pseudonym/a"))

        assert kept == ring.pseudonym("b")
        assert gone.secret != ring.pseudonym("a").secret
        assert gone.secret.hex() not in path.read_text()


def _pseudonym(key: Key, domain: str, value: str) -> str:
    return pseudonym(PseudonymKey(key.id, key.secret), "Office", domain, "email", Identifier.TEXT, value)


class TestChecks:
    def test_a_check_recognises_its_key(self, path: Path) -> None:
        """The same file gives the same checks, by id, each with the name of its family."""
        ring = opened(path)
        keys = all_families(ring)
        checks = opened(path).checks()

        assert ring.checks() == checks
        assert {key.id for key in keys} == set(checks)
        assert "pseudonym/customers" == checks[ring.pseudonym("customers").id].rpartition(":")[0]

    def test_a_changed_secret_changes_its_check(self, path: Path) -> None:
        """A key file that somebody with the root made is noticed although every id is as before; so is one whose keys lie open."""
        ring = opened(path)
        key = ring.match()
        (root,) = RootFile(root_of(path)).read().keys
        KeyFile(path, RootFile(root_of(path))).write((Entry("match", Key(key.id, bytes(32))),), root)

        assert ring.checks()[key.id] != opened(path).checks()[key.id]
        open_keys = [{"id": key.id, "family": "match", "secret": "00" * 32}]
        path.write_text(json.dumps({"format": 1, "keys": open_keys}))
        assert ring.checks()[key.id] != opened(path).checks()[key.id]

    def test_a_years_references_can_be_destroyed(self, path: Path) -> None:
        """One year's key goes for good; the other years and families stay."""
        ring = opened(path)
        old, kept = ring.audit_ref(2024), ring.audit_ref(2025)

        assert (old.id,) == ring.destroy(ring.ids_of("audit-ref/2024")).gone
        assert Destroyed((), None) == ring.destroy([old.id])
        assert ring.find(old.id) is None
        assert kept == ring.audit_ref(2025)
        assert old.secret.hex() not in path.read_text()
