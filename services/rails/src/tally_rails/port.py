"""What the service asks of a rail's folder. The registry in `rails/__init__.py` lists them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from tally_messaging import Worker
from tally_messaging.batch import Step
from tally_postgres import MigrationSource
from tally_railkit import (
    Accepted,
    Capabilities,
    CheckedInstrument,
    Meaning,
    PayoutOrder,
    Rejected,
)
from tally_railkit.sealing import Keyring
from tally_rails.alarms import Alarms
from tally_rails.desk import DeskFactory
from tally_runtime import Metrics, ServiceSettings


class Rail(Protocol):
    """One rail as the service uses it.

    `meanings`: provider code -> state and action; a code that is not there changes nothing.
    """

    @property
    def capabilities(self) -> Capabilities: ...
    @property
    def meanings(self) -> Mapping[str, Meaning]: ...

    def check(self, details: Mapping[str, str], currency: str) -> CheckedInstrument:
        """Check details before they are kept; raises InstrumentProblem."""

    def take(self, order: PayoutOrder) -> Accepted | Rejected:
        """Decide an order inside the unit of work: nothing outside is called."""

    def due_at(self, now: datetime) -> datetime | None:
        """When a taken order must be worked on outside the unit; None = it is done."""

    def workers(self, parts: "RailParts") -> Sequence[Worker]:
        """The loops that talk to the provider."""


@dataclass(frozen=True, slots=True)
class RailParts:
    """What a rail's workers are built from. `step` stops a fault test at a named point."""

    desks: DeskFactory
    keys: Keyring
    metrics: Metrics
    alarms: Alarms
    step: Step


@dataclass(frozen=True, slots=True)
class RailModule:
    """A registry line: a rail's name, its settings, how it is built, its own tables if any."""

    name: str
    settings: type[ServiceSettings] | None
    build: Callable[[Any], Rail]
    migrations: MigrationSource | None = None
