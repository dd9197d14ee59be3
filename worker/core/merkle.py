"""The hash tree of RFC 6962 (section 2.1), with a salt in every leaf.

A leaf is SHA-256(0x00 | salt | payload), an inner node SHA-256(0x01 | left | right); a list of n leaves is split at the
largest power of two below n, and the tree of no leaves is SHA-256 of nothing. With an empty salt every value equals the
one of the RFC. The salt keeps a leaf from being guessed once its payload has been dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

EMPTY_ROOT = sha256(b"").digest()
"""The root of the tree that has no leaves."""


def leaf_hash(salt: bytes, payload: bytes) -> bytes:
    """Return the 32-byte hash of one leaf. Salts of one tree must have one length, or two leaves could be confused."""
    return sha256(b"\x00" + salt + payload).digest()


def leaf_hashes(salts: bytes, width: int, payloads: Sequence[bytes]) -> list[bytes]:
    """Return the hashes of many leaves; `salts` holds `width` bytes for each payload, one after the other."""
    # Written out, not a call to leaf_hash: this is the hot loop.
    return [
        sha256(b"\x00" + salts[start : start + width] + body).digest()
        for start, body in zip(range(0, width * len(payloads), width), payloads, strict=True)
    ]


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the 32-byte hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the 32-byte root over leaf hashes, in the order given.

    Pairs are joined level by level and a node without a neighbour moves up unchanged: the same tree as the RFC's split at
    the largest power of two, without recursion.
    """
    if not leaves:
        return EMPTY_ROOT
    level = list(leaves)
    while len(level) > 1:
        # Written out, not a call to node_hash: this is the hot loop, and the call would cost as much as the hash.
        above = [sha256(b"\x01" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)]
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return level[0]


class Frontier:
    """The tree of a list that grows: only the roots of its perfect subtrees are kept, as many as the size has binary ones."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """Put one more leaf hash at the end."""
        # A carry of the binary counter joins two subtrees of one height.
        carry = self.size
        while carry % 2:
            leaf = node_hash(self._peaks.pop(), leaf)
            carry //= 2
        self._peaks.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """Return what `root` returns for all leaves so far."""
        if not self._peaks:
            return EMPTY_ROOT
        joined = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            joined = node_hash(peak, joined)
        return joined


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the neighbours, lowest first, that lead from the leaf at `index` to the root (RFC 6962, 2.1.1).

    Raises IndexError when there is no such leaf.
    """
    return inclusion_paths(leaves, [index])[0]


def inclusion_paths(leaves: Sequence[bytes], indices: Sequence[int]) -> list[list[bytes]]:
    """Return the path of each of several leaves, in the order of the indices: the tree is built once. Raises IndexError."""
    for index in indices:
        if not 0 <= index < len(leaves):
            raise IndexError(f"there is no leaf {index} in a tree of {len(leaves)}")
    paths: list[list[bytes]] = [[] for _ in indices]
    places = list(indices)
    level = list(leaves)
    while len(level) > 1:
        for path, place in zip(paths, places, strict=True):
            if place ^ 1 < len(level):
                path.append(level[place ^ 1])
        above = [node_hash(left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
        if len(level) % 2:
            above.append(level[-1])
        level = above
        places = [place // 2 for place in places]
    return paths


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], expected_root: bytes) -> bool:
    """Tell whether `leaf` is the one at `index` in the tree of `size` leaves that has this root (RFC 9162, 2.1.3.2).

    False for every index outside the tree and for a path that is too short or too long; never raises.
    """
    if not 0 <= index < size:
        return False
    node, position, last = leaf, index, size - 1
    for neighbour in path:
        if last == 0:
            return False
        if position % 2 or position == last:
            node = node_hash(neighbour, node)
            # A node without a neighbour moved up unchanged: skip the levels at which it did.
            while position % 2 == 0 and position:
                position, last = position // 2, last // 2
        else:
            node = node_hash(node, neighbour)
        position, last = position // 2, last // 2
    return last == 0 and node == expected_root
