"""What takes longest is begun first."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tally_testkit.plugin import pytest_collection_modifyitems


@dataclass(frozen=True)
class _Item:
    name: str
    path: Path
    marker: str = ""

    def get_closest_marker(self, name: str) -> Any:
        return name if name == self.marker else None


def test_files_with_a_slow_test_come_first_whole_and_all_others_keep_their_order() -> None:
    short, long, other = (Path(f"{name}.py") for name in ("short", "long", "other"))
    items: list[Any] = [
        _Item("a", short), _Item("b", long), _Item("c", long, "slow"), _Item("d", long),
        _Item("e", other, "stack"), _Item("f", other),
    ]  # fmt: skip
    pytest_collection_modifyitems(items)
    assert "".join(item.name for item in items) == "bcdaef"
