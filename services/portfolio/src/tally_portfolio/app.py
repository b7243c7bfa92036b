"""The portfolio service, put together."""

from datetime import timedelta

from fastapi import FastAPI

from tally_messaging import Service, WorkerContext, service_schema
from tally_messaging.batch import Step, no_step
from tally_portfolio.answering import ReadApi
from tally_portfolio.api import build_api
from tally_portfolio.handlers import build_router
from tally_portfolio.settings import PortfolioSettings
from tally_reads import ReadServer
from tally_runtime import Clock, Ids, Metrics

SCHEMA = service_schema("portfolio", __file__)


def build_app(
    settings: PortfolioSettings,
    *,
    clock: Clock | None = None,
    ids: Ids | None = None,
    metrics: Metrics | None = None,
    step: Step = no_step,
) -> Service:
    """The service, ready to start; `clock`, `ids` and `step` are for tests."""

    def reads(context: WorkerContext) -> FastAPI:
        return build_api(
            ReadApi(
                pool=context.pool,
                transactor=context.transactor,
                clock=context.clock,
                keys=settings.keys(),
                settled=timedelta(seconds=settings.statement_settled_s),
            )
        )

    return Service(
        "portfolio",
        settings,
        schema=SCHEMA,
        routers=[build_router()],
        workers=[ReadServer(settings, reads)] if settings.read_port else [],
        clock=clock,
        ids=ids,
        metrics=metrics,
        step=step,
    )
