"""The programs service put together."""

from tally_messaging import Service, service_schema
from tally_messaging.batch import Step, no_step
from tally_programs.handlers import build_router
from tally_programs.service.apply import ProgramService
from tally_programs.service.desk import Books
from tally_programs.settings import ProgramsSettings
from tally_programs.watch import ProgramMetrics, StandingWatch
from tally_runtime import Clock, Ids, Metrics

SCHEMA = service_schema("programs", __file__)


def build_app(
    settings: ProgramsSettings,
    *,
    clock: Clock | None = None,
    ids: Ids | None = None,
    metrics: Metrics | None = None,
    step: Step = no_step,
) -> Service:
    """The service, ready to start; `clock`, `ids` and `step` are for tests."""
    service = ProgramService(Books(settings.tenant, settings.ledger_name))
    metrics = metrics or Metrics("programs")
    return Service(
        "programs",
        settings,
        schema=SCHEMA,
        routers=[build_router(service)],
        workers=[StandingWatch(ProgramMetrics.of(metrics.for_service("programs")))],
        clock=clock,
        ids=ids,
        metrics=metrics,
        step=step,
    )
