"""The registry: a rail is one folder here and one line below."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tally_rails.port import RailModule
from tally_rails.rails import wallet

REGISTRY: Final[Mapping[str, RailModule]] = MappingProxyType(
    {module.name: module for module in (wallet.MODULE,)}
)
