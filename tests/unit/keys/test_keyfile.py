"""The key file under its root: what opens it, what is noticed, and what is said when it can't be changed."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.thoroughness import some
from tests.unit.keys.apart import equal, lessened
from tests.unit.keys.place import DOOMED, FAMILIES, KEPT, ROOT, SECRETS, Place, secrets_of
from worker.errors import ConfigurationError
from worker.keys import Key, Keyring, RootKept, RootLeft, RootReplaced
from worker.keys.keyfile import Entry, KeyFile
from worker.keys.rootfile import RootFile
from worker.settings import load

KNOWN = {
    "format": 2,
    "root": "r-0ce7a3",
    "keys": [
        {
            "id": "m-000001",
            "family": "match",
            "wrapped": "000102030405060708090a0b"
            "aecec0c6d970afdadff9b41e3e9d0f8bf69716df2f7d9645271d78f6f01ad0a75d266c148706cea74ff18c04eeaa663f",
        },
        {
            "id": "p-000002",
            "family": "pseudonym/customers",
            "wrapped": "000102030405060708090a0b"
            "9dfdf3f5ea439ce9ecca872d0dae3cb8c5a425ec1c4ea576142e4bc5c329e39419e8c5be84c2b87ea3d8dd691bbbee9b",
        },
    ],
}


class TestFormat:
    """What stands in the files, and that nothing of it can be changed."""

    def test_a_file_of_this_format_is_read_for_ever(self, tmp_path: Path) -> None:
        """A known answer: AES-256-GCM, nonce first, bound to format, root, place and number, family and id."""
        place = Place(tmp_path)
        place.put(place.keys, json.dumps(KNOWN))
        place.put(place.root, ROOT)
        assert {key_id: SECRETS[key_id] for key_id in ("m-000001", "p-000002")} == secrets_of(place.open())
        assert "r-0ce7a3" == place.open().root

    def test_what_is_written(self, place: Place) -> None:
        """No secret stands in the key file, the root in one line of its own, every nonce is another one."""
        document = json.loads(place.keys.read_text())
        assert {"format": 2, "root": "r-0ce7a3"} == {name: document[name] for name in ("format", "root")}
        assert [[*FAMILIES], [*FAMILIES.values()]] == [[each[name] for each in document["keys"]] for name in ("id", "family")]
        assert 3 == len({each["wrapped"][:24] for each in document["keys"]})
        assert not any(secret in place.keys.read_text() for secret in (*SECRETS.values(), ROOT))
        assert [ROOT] == place.roots()

    def test_no_character_can_be_changed(self, place: Place) -> None:
        """With any character another one the file is refused, or says exactly the same: white space, and names that nobody reads."""
        text = place.keys.read_text()
        noticed = 0
        for number in some(range(len(text))):
            for other in {chr(ord(text[number]) ^ 1), text[number].swapcase(), " "} - {text[number]}:
                place.keys.write_text(text[:number] + other + text[number + 1 :])
                try:
                    assert SECRETS == secrets_of(place.open()), number
                    assert text[number] in " \n", number
                except ConfigurationError:
                    noticed += 1
        assert noticed > 2 * len(some(text)) * 0.8

    @pytest.mark.parametrize("member", ["id", "family", "wrapped"])
    def test_nothing_can_be_exchanged(self, place: Place, member: str) -> None:
        """Two keys can't exchange their ids, families or secrets, though each of them is a right one."""
        document = json.loads(place.keys.read_text())
        first, _, third = document["keys"]
        first[member], third[member] = third[member], first[member]
        place.put(place.keys, json.dumps(document))
        with pytest.raises(ConfigurationError, match="damaged"):
            place.open()

    @pytest.mark.parametrize("order", [(0, 2, 1), (0, 1), (1, 2), (0, 1, 2, 2), ()])
    def test_no_key_can_be_left_out_or_moved(self, place: Place, order: tuple[int, ...]) -> None:
        """Of a family the last is in use, so the order counts; without any key there is nothing to open, and the ledger misses them."""
        document = json.loads(place.keys.read_text())
        place.put(place.keys, json.dumps({**document, "keys": [document["keys"][each] for each in order]}))
        if order:
            with pytest.raises(ConfigurationError, match="damaged"):
                place.open()
        else:
            assert {} == secrets_of(place.open())

    def test_a_key_of_another_time_does_not_fit(self, place: Place) -> None:
        """What was wrapped with another root is no key under this one, also when the file names this one."""
        before = json.loads(place.keys.read_text())
        place.open().renew_root()
        root = json.loads(place.keys.read_text())["root"]
        place.put(place.keys, json.dumps({**before, "root": root}))
        with pytest.raises(ConfigurationError, match="damaged"):
            place.open()

    @pytest.mark.parametrize(
        "content", ['{"format": 3, "keys": []}', '{"format": 2, "keys": []}', '{"format": 2, "root": "x", "keys": []}', "[" * 9999]
    )
    def test_what_is_no_key_file(self, place: Place, content: str) -> None:
        """It is refused without being quoted, and kept."""
        place.put(place.keys, content)
        with pytest.raises(ConfigurationError, match="damaged") as caught:
            place.open()
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__
        assert content == place.keys.read_text()

    def test_opening_takes_no_time(self, place: Place) -> None:
        """Sixty keys, fifty times: a few milliseconds each at most, on whatever machine."""
        entries = tuple(Entry("seal", Key(f"s-{number:06x}", os.urandom(32))) for number in range(60))
        KeyFile(place.keys, RootFile(place.root)).write(entries, RootFile(place.root).read().keys[0])
        begun = time.process_time()
        for _ in range(50):
            place.open()
        assert time.process_time() - begun < 50 * 0.02


class TestDestroying:
    """A destroyed key is nowhere: not in the file, and not in its older copies."""

    def test_an_older_copy_opens_nothing(self, place: Place) -> None:
        """Neither with the new root, nor does the new file with the old one; only both of then together open what was then."""
        backup = place.copy()
        done = place.open().destroy([DOOMED])
        assert ((DOOMED,), "r-0ce7a3") == (done.gone, done.root.old if isinstance(done.root, RootReplaced) else None)
        assert KEPT == secrets_of(place.open())
        assert set() == place.opens(backup.keys, place.root)
        assert set() == place.opens(place.keys, backup.root)
        assert {*KEPT.values()} == place.opens(place.keys, place.root)
        assert {*SECRETS.values()} == place.opens(backup.keys, backup.root)
        assert not any(secret in place.everything() for secret in (*SECRETS.values(), ROOT))

    def test_an_older_copy_is_refused_with_the_reason(self, place: Place) -> None:
        """Whoever puts one back is told that it doesn't open, and nothing is made in its place."""
        backup = place.keys.read_text()
        place.open().destroy([DOOMED])
        place.put(place.keys, backup)
        root = place.root.read_text()
        for work in (lambda: place.open(), lambda: KeyFile(place.keys, RootFile(place.root)).changing().__enter__()):
            with pytest.raises(ConfigurationError, match=r"wrapped with the root r-0ce7a3, and .* holds r-"):
                work()
        assert (backup, root) == (place.keys.read_text(), place.root.read_text())

    def test_the_last_key_can_go(self, place: Place) -> None:
        """Nothing is left, and that is a key file too."""
        assert {*SECRETS} == {*place.open().destroy([*SECRETS]).gone}
        assert {} == secrets_of(place.open())
        assert place.open().match().secret.hex() not in SECRETS.values()

    def test_nothing_to_destroy_changes_nothing(self, place: Place) -> None:
        """A key that isn't there is no reason for a new root, of which somebody would need a copy."""
        before = place.everything()
        assert ((), None) == ((done := place.open().destroy(["p-ffffff"])).gone, done.root)
        assert before == place.everything()

    @pytest.mark.parametrize("of", ["keys", "root"])
    def test_drafts_are_forgotten(self, place: Place, of: str) -> None:
        """What crashes left beside either file holds secrets of then."""
        file: Path = getattr(place, of)
        draft = place.put(file.with_name(f".{file.name}.0011223344556677.draft"), file.read_text())
        place.open().destroy([DOOMED])
        assert not draft.exists()

    def test_two_key_files_in_one_folder_have_a_root_each(self, tmp_path: Path) -> None:
        """Destroying a key of one leaves the other, by what the settings say where roots are."""
        settings = [load({"RETENTION_KEYS": str(tmp_path / name)}, folder=tmp_path) for name in ("a.json", "b.json")]
        first, second = (Keyring.open(each.keys_file, each.root_file) for each in settings)
        kept, doomed = second.match(), first.pseudonym("x")
        first.destroy([doomed.id])
        assert kept == Keyring.open(settings[1].keys_file, settings[1].root_file).match()


class TestFromBefore:
    """Key files from before there were roots."""

    def test_reading_changes_nothing(self, before: Place) -> None:
        """Whoever only reads leaves it as it is, so that the version of before can still read it; there is no root."""
        kept = before.everything()
        ring = before.open()
        assert (SECRETS, None) == (secrets_of(ring), ring.root)
        assert (kept, False) == (before.everything(), before.root.exists())

    @pytest.mark.parametrize(
        "work",
        [lambda ring: ring.plan_mac(), lambda ring: ring.add("seal"), lambda ring: ring.renew_root(), lambda ring: ring.destroy([DOOMED])],
    )
    def test_the_next_write_wraps_it(self, before: Place, work: Callable[[Keyring], object]) -> None:
        """Another key, a rotation, a new root, a destruction: from then on no secret lies open, and every other key is as it was."""
        work(before.open())
        assert 2 == json.loads(before.keys.read_text())["format"]
        assert KEPT.items() <= secrets_of(before.open()).items()
        assert not any(secret in before.everything() for secret in SECRETS.values())
        assert [before.open().root] == [each.id for each in RootFile(before.root).read().keys]

    def test_a_root_that_was_put_there_is_used(self, before: Place) -> None:
        """Whoever brings a root need not have one made; the newest counts."""
        before.put(before.root, f"{'aa' * 32}\n{ROOT}\n", 0o400)
        assert RootReplaced(None, "r-0ce7a3") == before.open().renew_root()
        assert SECRETS == secrets_of(before.open())

    def test_without_a_place_for_the_root_it_stays(self, before: Place) -> None:
        """Nothing is written, and it is said which setting to change."""
        before.put(before.root.parent, "a file")
        kept = before.everything()
        with pytest.raises(ConfigurationError, match="RETENTION_ROOT_KEY"):
            before.open().plan_mac()
        assert kept == before.everything()


class TestLost:
    """A root that isn't there is lost, and nothing is made in its place."""

    def test_a_missing_root(self, place: Place) -> None:
        """Said with its id and where it was; reading, making a key and destroying one change nothing."""
        ring = place.open()
        place.root.unlink()
        kept = place.everything()
        for work in (place.open, ring.plan_mac, ring.renew_root, lambda: ring.destroy([DOOMED]), lambda: ring.find("m-ffffff")):
            with pytest.raises(ConfigurationError, match=f"{re.escape(str(place.root))} is missing: .* the root r-0ce7a3"):
                work()
        assert (kept, False) == (place.everything(), place.root.exists())

    def test_another_root(self, place: Place) -> None:
        """Said with both ids, and never with what is in the file."""
        place.put(place.root, "ab" * 32)
        with pytest.raises(ConfigurationError, match=r"wrapped with the root r-0ce7a3, and .* holds r-") as caught:
            place.open()
        assert "abab" not in str(caught.value)
        assert caught.value.__cause__ is None

    def test_a_link_may_lead_elsewhere_tomorrow(self, place: Place) -> None:
        """Secrets are brought as links that are turned; a ring that lives long follows them."""
        real = place.root.rename(place.root.with_name("today"))
        place.root.symlink_to(real)
        ring = place.open()
        place.put(place.root.with_name("tomorrow"), ROOT, 0o400)
        place.root.unlink()
        place.root.symlink_to("tomorrow")
        real.unlink()
        assert None is ring.find("m-ffffff")
        assert SECRETS == secrets_of(place.open())


class TestReadOnlyRoot:
    """A root that somebody else brings: the key goes all the same, and it is said that the root stays."""

    def test_the_key_goes_and_the_root_stays(self, place: Place) -> None:
        """Whoever has an older copy and this root still has the key: that is what the outcome says."""
        backup = place.copy()
        place.root.chmod(0o400)
        done = place.open().destroy([DOOMED])
        assert ((DOOMED,), RootKept("r-0ce7a3", "this user may not write it")) == (done.gone, done.root)
        assert KEPT == secrets_of(place.open())
        assert ([ROOT], "r-0ce7a3") == (place.roots(), place.open().root)
        assert {*SECRETS.values()} == place.opens(backup.keys, place.root)

    def test_a_new_one_behind_it_is_taken(self, place: Place) -> None:
        """First put behind, then rotated, then the old one taken out: at each point the keys open, and in the end older copies don't."""
        backup = place.copy()
        place.put(place.root, f"{ROOT}\n{'ab' * 32}\n", 0o400)
        assert SECRETS == secrets_of(place.open())
        assert "r-0ce7a3" == place.open().root
        done = place.open().renew_root()
        assert isinstance(done, RootLeft)
        assert ("r-0ce7a3", place.open().root, ("r-0ce7a3",)) == (done.old, done.new, place.open().other_roots)
        assert SECRETS == secrets_of(place.open())
        place.put(place.root, f"{'ab' * 32}\n", 0o400)
        assert (SECRETS, ()) == (secrets_of(place.open()), place.open().other_roots)
        assert set() == place.opens(backup.keys, place.root)

    def test_without_a_new_one_nothing_changes(self, place: Place) -> None:
        """Rotating again and again makes nothing up."""
        place.root.chmod(0o400)
        assert isinstance(place.open().renew_root(), RootKept)
        assert (SECRETS, [ROOT]) == (secrets_of(place.open()), place.roots())

    def test_adding_a_key_needs_no_root_of_ones_own(self, place: Place) -> None:
        """A new year's key goes under the root there is."""
        place.root.chmod(0o400)
        made = place.open().audit_ref(2027)
        assert made == place.open().audit_ref(2027)

    def test_a_folder_that_can_not_be_written(self, place: Place) -> None:
        """As with a mode: the key goes, the root stays, and the reason is the system's own."""
        place.root.parent.chmod(0o500)
        lessened(lambda: equal(RootKept("r-0ce7a3", "Permission denied"), place.open().destroy([DOOMED]).root))
        assert (KEPT, [ROOT]) == (secrets_of(place.open()), place.roots())

    def test_who_may_only_read_the_key_file_reads(self, place: Place) -> None:
        """Also while an old root waits to be taken out, and where the lock can't be had, because nobody ever wrote there."""
        (place.keys.parent / "keys.json.lock").unlink(missing_ok=True)
        place.put(place.root, f"{'ab' * 32}\n{ROOT}\n")
        place.keys.parent.chmod(0o500)
        lessened(lambda: equal(SECRETS, secrets_of(place.open())))
        place.keys.parent.chmod(0o700)
        assert SECRETS == secrets_of(place.open())
        assert [ROOT] == place.roots()
