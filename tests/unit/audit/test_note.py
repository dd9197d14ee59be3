"""Signed notes are C2SP's: known vectors, and nothing is believed that a known key did not sign."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.thoroughness import examples
from worker.audit.checkpoint import Checkpoint, Head, anchor_text, parse_anchor
from worker.audit.note import BadNote, Signer, VerifierKey, opened, text_of
from worker.errors import ConfigurationError

# From the documentation of golang.org/x/mod/sumdb/note, the first implementation of the format.
PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
NOTE = TEXT + ("\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n")
# The example in C2SP's tlog-checkpoint.
C2SP = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"

SIGNER = Signer.of("retention-worker/e-000001", bytes(range(32)))


def known() -> Signer:
    return Signer.of("PeterNeumann", base64.b64decode(PRIVATE.split("+", 4)[4])[1:])


def test_the_known_note_is_made_byte_for_byte() -> None:
    """The same key and text give the note and the verifier key that other implementations give."""
    assert known().sign(TEXT) == NOTE
    assert str(known().verifier) == PUBLIC


def test_the_known_note_opens_with_the_known_key_only() -> None:
    """A note made elsewhere is accepted with its signer's key, and with no other."""
    assert opened(NOTE, [SIGNER.verifier, VerifierKey.parse(PUBLIC)]) == TEXT
    with pytest.raises(BadNote, match="another key: PeterNeumann"):
        opened(NOTE, [SIGNER.verifier])


def test_a_signature_has_one_spelling() -> None:
    """Base64 leaves bits of its last character loose: the same bytes written another way are refused too."""
    assert NOTE.endswith("M=\n")
    with pytest.raises(BadNote):
        opened(NOTE.replace("nAM=", "nAN="), [VerifierKey.parse(PUBLIC)])


@settings(max_examples=examples(60))
@given(data=st.data())
def test_no_changed_note_opens(data: st.DataObject) -> None:
    """Whatever character of text or signature is changed, the note is refused."""
    place = data.draw(st.integers(0, len(NOTE) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda value: value != NOTE[place]))
    with pytest.raises(BadNote):
        opened(NOTE[:place] + other + NOTE[place + 1 :], [VerifierKey.parse(PUBLIC)])


def test_a_second_signature_does_no_harm() -> None:
    """Witnesses may add signatures; those by unknown keys are ignored, as the format says."""
    witnessed = NOTE + SIGNER.sign(TEXT).split("\n\n")[1]
    assert opened(witnessed, [VerifierKey.parse(PUBLIC)]) == opened(witnessed, [SIGNER.verifier]) == TEXT


@pytest.mark.parametrize("text", ["", "PeterNeumann", PUBLIC.replace("c74f20a3", "c74f20a4"), PUBLIC[:-4], PUBLIC.replace("ARpc", "AhpC")])
def test_a_mistyped_key_is_refused(text: str) -> None:
    """A key that isn't one is a mistake of the caller, never a key that nothing fits."""
    with pytest.raises(ConfigurationError):
        VerifierKey.parse(text)


@pytest.mark.parametrize("note", ["", "text\n", "text\n\n", "text\n\n— name\n", "text\n\n— name ????\n", "te\x00xt\n\n— name AAAAAAAA\n"])
def test_what_is_no_note_is_refused(note: str) -> None:
    """Anything else than text, empty line and signature lines is no note."""
    with pytest.raises(BadNote):
        text_of(note)


@pytest.mark.parametrize("text", ["", "no line feed", "tab\there\n"])
def test_only_lines_are_signed(text: str) -> None:
    """The format allows whole lines of printable characters and nothing else."""
    with pytest.raises(ValueError, match="text of a note"):
        SIGNER.sign(text)


def test_a_name_has_no_plus_and_no_space() -> None:
    """Such a name could not be told apart from the key behind it."""
    for name in ("", "a b", "a+b"):
        with pytest.raises(ValueError, match="name"):
            Signer.of(name, bytes(32))


@given(size=st.integers(0, 10**17), root=st.binary(min_size=32, max_size=32))
def test_a_checkpoint_comes_back(size: int, root: bytes) -> None:
    """What is written as a checkpoint is read as the same one, also with extension lines behind it."""
    made = Checkpoint("0f" * 16, size, root)
    assert Checkpoint.parse(made.text()) == Checkpoint.parse(made.text() + "extension\n") == made


def test_the_form_is_that_of_the_specification() -> None:
    """Origin, decimal size, base64 root: C2SP's own example differs from ours in its origin alone."""
    size, root = C2SP.split("\n")[1:3]
    made = Checkpoint("0f" * 16, int(size), base64.b64decode(root))
    assert made.text().split("\n")[1:] == C2SP.split("\n")[1:]


@pytest.mark.parametrize("text", [C2SP, "retention-worker/0f\n1\nAA=\n", f"retention-worker/{'0f' * 16}\n01\n{'A' * 43}=\n"])
def test_other_checkpoints_are_refused(text: str) -> None:
    """A checkpoint of another log is none of ours."""
    with pytest.raises(BadNote):
        Checkpoint.parse(text)


def test_an_anchor_comes_back_and_says_how_many() -> None:
    """Heads come back in order, and a line that was taken out is noticed without a signature."""
    heads = [Head(f"{number:032x}", number + 2, f"{number:064x}") for number in range(3)]
    text = anchor_text(reversed(heads), "2026-03-01T00:00:00.000Z")
    assert parse_anchor(text) == heads
    for wrong in (text[: -len(text.splitlines()[-1]) - 1], text.replace("anchor", "other"), text + "more\n"):
        with pytest.raises(BadNote):
            parse_anchor(wrong)
