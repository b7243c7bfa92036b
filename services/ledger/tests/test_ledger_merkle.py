"""Trees and paths against RFC 6962: its words by recursion, and the vectors of Certificate Transparency."""

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally_ledger.merkle import Tree, inclusion_path, leaf_hash, root_by_path, tree_root

# Leaves and roots of the test suite of Google's Certificate Transparency log.
CT_LEAVES = (
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
)
CT_ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
sizes = st.integers(1, 600)


def by_recursion(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1, over leaf hashes."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(
        b"\x01" + by_recursion(leaves[:split]) + by_recursion(leaves[split:])
    ).digest()


def path_by_recursion(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """PATH of RFC 6962, 2.1.1, over leaf hashes."""
    if len(leaves) == 1:
        return []
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    if index < split:
        return [*path_by_recursion(leaves[:split], index), by_recursion(leaves[split:])]
    return [*path_by_recursion(leaves[split:], index - split), by_recursion(leaves[:split])]


def numbered(size: int) -> list[bytes]:
    return [leaf_hash(str(n).encode()) for n in range(size)]


@pytest.mark.parametrize("size", range(9))
def test_the_roots_are_those_of_certificate_transparency(size: int) -> None:
    leaves = [leaf_hash(bytes.fromhex(text)) for text in CT_LEAVES[:size]]
    assert tree_root(leaves).hex() == CT_ROOTS[size]


@settings(deadline=None)
@given(sizes)
def test_the_root_is_that_of_the_rfc_at_once_and_leaf_by_leaf(size: int) -> None:
    leaves = numbered(size)
    tree = Tree()
    for leaf in leaves:
        tree.add(leaf)
    assert tree_root(leaves) == tree.root() == by_recursion(leaves)


@settings(deadline=None)
@given(st.data(), sizes)
def test_a_path_leads_from_its_leaf_to_the_root_and_from_no_other(
    data: st.DataObject, size: int
) -> None:
    leaves = numbered(size)
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_path(leaves, index)
    assert path == path_by_recursion(leaves, index)
    assert root_by_path(leaves[index], index, size, path) == by_recursion(leaves)
    other = data.draw(st.integers(0, size - 1))
    if other != index:
        assert root_by_path(leaves[index], other, size, path) != by_recursion(leaves)
        assert root_by_path(leaves[other], index, size, path) != by_recursion(leaves)


@given(sizes)
def test_a_path_of_another_shape_leads_nowhere(size: int) -> None:
    leaves = numbered(size)
    path = inclusion_path(leaves, size - 1)
    assert root_by_path(leaves[-1], size - 1, size, [*path, leaves[0]]) is None
    assert root_by_path(leaves[-1], size, size, path) is None
    assert root_by_path(leaves[-1], -1, size, path) is None
    if path:
        assert root_by_path(leaves[-1], size - 1, size, path[:-1]) is None


def test_a_tree_without_leaves_has_the_root_of_nothing() -> None:
    assert Tree().root() == tree_root([]) == hashlib.sha256(b"").digest()
