"""The directory service, put together."""

from fastapi import FastAPI

from tally_directory.api import ReadApi, build_api
from tally_directory.books import Books
from tally_directory.handlers import build_router
from tally_directory.service import Directory
from tally_directory.settings import DirectorySettings
from tally_directory.watch import DirectoryMetrics, StandingWatch
from tally_messaging import Service, WorkerContext, service_schema
from tally_messaging.batch import Step, no_step
from tally_reads import ReadServer
from tally_runtime import Clock, Ids, Metrics

SCHEMA = service_schema("directory", __file__)


def build_app(
    settings: DirectorySettings,
    *,
    clock: Clock | None = None,
    ids: Ids | None = None,
    metrics: Metrics | None = None,
    step: Step = no_step,
) -> Service:
    """The service, ready to start; `clock`, `ids` and `step` are for tests."""
    directory = Directory(Books(settings.tenant, settings.ledger_name), settings.vault())
    metrics = metrics or Metrics("directory")
    watch = StandingWatch(DirectoryMetrics.of(metrics.for_service("directory")))

    def reads(context: WorkerContext) -> FastAPI:
        return build_api(
            ReadApi(
                transactor=context.transactor,
                clock=context.clock,
                keys=settings.keys(),
                vault=settings.vault(),
                per_minute=settings.contact_views_per_minute,
            )
        )

    return Service(
        "directory",
        settings,
        schema=SCHEMA,
        routers=[build_router(directory)],
        workers=[watch, *([ReadServer(settings, reads)] if settings.read_port else [])],
        clock=clock,
        ids=ids,
        metrics=metrics,
        step=step,
    )
