"""The rails service put together."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tally_messaging import MESSAGING_MIGRATIONS, Service, UnitOfWork
from tally_messaging.batch import Step, no_step
from tally_postgres import MigrationSource, Schema
from tally_rails.alarms import Alarms
from tally_rails.desk import Desk
from tally_rails.handlers import build_router
from tally_rails.port import RailModule, RailParts
from tally_rails.rails import REGISTRY
from tally_rails.service import RailsService
from tally_rails.settings import RailsSettings
from tally_runtime import Clock, Ids, Metrics, ServiceSettings, load_settings

_OWN = MigrationSource("rails", Path(__file__).parent / "migrations")
_OF_RAILS = tuple(m.migrations for m in REGISTRY.values() if m.migrations is not None)
SCHEMA = Schema("rails", (MESSAGING_MIGRATIONS, _OWN, *_OF_RAILS))


def build_app(
    settings: RailsSettings,
    *,
    rail_settings: Mapping[str, ServiceSettings] | None = None,
    clock: Clock | None = None,
    ids: Ids | None = None,
    metrics: Metrics | None = None,
    step: Step = no_step,
) -> Service:
    """The service, ready to start.

    A rail's settings are read from the environment unless `rail_settings` holds them by its name.
    """
    given = rail_settings or {}
    rails = {
        name: module.build(given.get(name) or _settings_of(module, settings))
        for name, module in REGISTRY.items()
    }
    meanings = {name: rail.meanings for name, rail in rails.items()}
    kept = (metrics or Metrics("rails")).for_service("rails")
    alarms = Alarms(kept)

    def desks(uow: UnitOfWork) -> Desk:
        return Desk(uow, meanings, alarms)

    parts = RailParts(desks, settings.keyring(), kept, alarms, step)
    service = RailsService(rails, settings.keyring(), desks)
    return Service(
        "rails",
        settings,
        schema=SCHEMA,
        routers=[build_router(service, rails)],
        workers=[worker for rail in rails.values() for worker in rail.workers(parts)],
        clock=clock,
        ids=ids,
        metrics=kept,
        step=step,
    )


def _settings_of(module: RailModule, settings: RailsSettings) -> Any:
    if module.settings is None:
        return None
    return load_settings(
        module.settings,
        environment=settings.environment,
        kafka=settings.kafka,
        tenant=settings.tenant,
    )
