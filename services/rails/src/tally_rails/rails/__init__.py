"""The registry: a rail is one folder here and one line below."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final

from tally_rails.port import RailModule

_FOLDERS: Final = (
    "ach",
    "wallet",
)


def _module(folder: str) -> RailModule:
    module = import_module(f"{__name__}.{folder}").MODULE
    assert isinstance(module, RailModule), f"{folder} has a RailModule called MODULE"
    assert module.name == folder, f"the rail in {folder} is called {module.name}"
    return module


REGISTRY: Final[Mapping[str, RailModule]] = MappingProxyType(
    {folder: _module(folder) for folder in _FOLDERS}
)
