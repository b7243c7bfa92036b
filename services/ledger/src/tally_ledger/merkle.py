"""Merkle trees as RFC 6962 (RFC 9162) defines them, over SHA-256.

A leaf is SHA-256(0x00 ‖ data), an inner node SHA-256(0x01 ‖ left ‖ right), the root of no leaves
SHA-256 of nothing. Leaves are given as their hashes.
"""

import hashlib
from collections.abc import Iterable, Sequence

HASH_BYTES = 32
_LEAF, _NODE = b"\x00", b"\x01"
_sha256 = hashlib.sha256


def leaf_hash(data: bytes) -> bytes:
    """The hash by which `data` is a leaf."""
    return _sha256(_LEAF + data).digest()


def tree_root(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes, in their order."""
    level = list(leaves)
    if not level:
        return _sha256(b"").digest()
    while len(level) > 1:
        level = _above(level)
    return level[0]


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The hashes that lead from leaf `index` to the root, from the bottom up."""
    assert 0 <= index < len(leaves), "a path begins at a leaf of the tree"
    path: list[bytes] = []
    level = list(leaves)
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        level, index = _above(level), index >> 1
    return path


def root_by_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that a path leads to from leaf `index` of `size`; None if it has not that shape."""
    if not 0 <= index < size:
        return None
    node, last, steps = leaf, size - 1, iter(path)
    while last:
        # The last node of a level has no sibling when its place is even: it moves up as it is.
        if index & 1 or index < last:
            sibling = next(steps, None)
            if sibling is None:
                return None
            pair = sibling + node if index & 1 else node + sibling
            node = _sha256(_NODE + pair).digest()
        index, last = index >> 1, last >> 1
    return node if next(steps, None) is None else None


def _above(level: list[bytes]) -> list[bytes]:
    """The level above: nodes in pairs, an odd last one as it is."""
    pairs = iter(level)
    above = [
        _sha256(_NODE + left + right).digest() for left, right in zip(pairs, pairs, strict=False)
    ]
    if len(level) & 1:
        above.append(level[-1])
    return above


class Tree:
    """A tree that grows leaf by leaf and keeps none: the roots of its whole sub-trees, largest first."""

    __slots__ = ("_peaks", "size")

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """Append a leaf, by its hash."""
        node, size = leaf, self.size
        while size & 1:
            node, size = _sha256(_NODE + self._peaks.pop() + node).digest(), size >> 1
        self._peaks.append(node)
        self.size += 1

    def root(self) -> bytes:
        """The root over all leaves so far."""
        if not self._peaks:
            return tree_root(())
        node = self._peaks[-1]
        for left in self._peaks[-2::-1]:
            node = _sha256(_NODE + left + node).digest()
        return node
