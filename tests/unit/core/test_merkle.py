"""The hash tree: known values of Certificate Transparency, and agreement with the RFC's recursive definition."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core import merkle

INPUTS = [
    bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [merkle.leaf_hash(b"", payload) for payload in INPUTS]


def defined_root(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word: split at the largest power of two below n."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return sha256(b"\x01" + defined_root(leaves[:split]) + defined_root(leaves[split:])).digest()


def leaves_of(size: int) -> list[bytes]:
    return [merkle.leaf_hash(b"s" * 16, str(number).encode()) for number in range(size)]


def test_the_empty_tree_is_the_hash_of_nothing() -> None:
    """RFC 6962: MTH({}) = SHA-256()."""
    assert merkle.root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("size", range(1, 9))
def test_known_roots_of_certificate_transparency(size: int) -> None:
    """With an empty salt every root is the published one."""
    assert merkle.root(LEAVES[:size]).hex() == ROOTS[size - 1]


def test_a_known_inclusion_path_of_certificate_transparency() -> None:
    """The path of the first of eight leaves is the published one."""
    assert [node.hex() for node in merkle.inclusion_path(LEAVES, 0)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]


def test_the_salt_is_part_of_the_leaf() -> None:
    """A leaf is SHA-256(0x00 | salt | payload)."""
    assert merkle.leaf_hash(b"s" * 16, b"{}") == sha256(b"\x00" + b"s" * 16 + b"{}").digest()


@given(st.integers(0, 300))
def test_the_loop_is_the_recursive_definition(size: int) -> None:
    """Joining level by level gives the RFC's tree for every size."""
    leaves = leaves_of(size)
    assert merkle.root(leaves) == defined_root(leaves)


@given(st.integers(1, 130), st.data())
def test_every_leaf_is_proven_by_its_path_and_by_no_other_place(size: int, data: st.DataObject) -> None:
    """A path proves its leaf at its index in its size, and nothing else."""
    leaves = leaves_of(size)
    index = data.draw(st.integers(0, size - 1))
    path, root = merkle.inclusion_path(leaves, index), merkle.root(leaves)
    assert merkle.verify_inclusion(leaves[index], index, size, path, root)
    assert not merkle.verify_inclusion(merkle.leaf_hash(b"", b"other"), index, size, path, root)
    assert not merkle.verify_inclusion(leaves[index], index, size, [*path, root], root)
    assert not merkle.verify_inclusion(leaves[index], size, size, path, root)
    if path:
        assert not merkle.verify_inclusion(leaves[index], index, size, path[:-1], root)
        assert not merkle.verify_inclusion(leaves[index], index ^ 1, size, path, root)


@given(st.integers(1, 130), st.data())
def test_several_paths_are_those_of_each(size: int, data: st.DataObject) -> None:
    """Building the tree once gives every leaf the path it has alone, in the order that was asked for, twice when asked twice."""
    leaves = leaves_of(size)
    indices = data.draw(st.lists(st.integers(0, size - 1), max_size=9))
    assert [merkle.inclusion_path(leaves, each) for each in indices] == merkle.inclusion_paths(leaves, indices)


def test_there_is_no_path_to_a_leaf_that_is_not_there() -> None:
    """An index outside the tree is an error of the caller."""
    with pytest.raises(IndexError):
        merkle.inclusion_path(leaves_of(3), 3)


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=70))
def test_a_growing_tree_has_the_root_of_the_whole_list(leaves: list[bytes]) -> None:
    """Adding leaf by leaf gives at every size the root that all leaves together have."""
    growing = merkle.Frontier()
    assert growing.root() == merkle.EMPTY_ROOT
    for leaf in leaves:
        growing.add(leaf)
    assert (growing.size, growing.root()) == (len(leaves), merkle.root(leaves))
