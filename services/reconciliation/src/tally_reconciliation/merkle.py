"""Roots of RFC 6962 trees, the oracle's own: leaves come one by one and are not kept."""

import hashlib
from collections.abc import Iterable


class Tree:
    """The roots of the whole sub-trees so far, the largest first, with the leaves under each."""

    def __init__(self) -> None:
        self._peaks: list[tuple[int, bytes]] = []

    def add(self, leaf: bytes) -> None:
        """Append a leaf, by its hash."""
        size, node = 1, leaf
        while self._peaks and self._peaks[-1][0] == size:
            _, left = self._peaks.pop()
            size, node = 2 * size, _join(left, node)
        self._peaks.append((size, node))

    def root(self) -> bytes:
        """The root over all leaves so far."""
        if not self._peaks:
            return hashlib.sha256(b"").digest()
        node = self._peaks[-1][1]
        for _, left in self._peaks[-2::-1]:
            node = _join(left, node)
        return node


def tree_root(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes."""
    tree = Tree()
    for leaf in leaves:
        tree.add(leaf)
    return tree.root()


def _join(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
