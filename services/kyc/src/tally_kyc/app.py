"""The kyc service, put together."""

from fastapi import FastAPI

from tally_kyc.api import ReadApi, build_api
from tally_kyc.clockwork import Clockwork
from tally_kyc.handlers import build_router
from tally_kyc.policies import shipped
from tally_kyc.service import Identity
from tally_kyc.settings import KycSettings
from tally_kyc.watch import KycMetrics, StandingWatch
from tally_messaging import Service, WorkerContext, service_schema
from tally_messaging.batch import Step, no_step
from tally_reads import ReadServer
from tally_runtime import Clock, Ids, Metrics

SCHEMA = service_schema("kyc", __file__)


def build_app(
    settings: KycSettings,
    *,
    clock: Clock | None = None,
    ids: Ids | None = None,
    metrics: Metrics | None = None,
    step: Step = no_step,
) -> Service:
    """The service, ready to start; `clock`, `ids` and `step` are for tests."""
    identity = Identity(shipped())
    metrics = metrics or Metrics("kyc")

    def reads(context: WorkerContext) -> FastAPI:
        return build_api(ReadApi(context.pool, context.clock, settings.keys()))

    return Service(
        "kyc",
        settings,
        schema=SCHEMA,
        routers=[build_router(identity)],
        workers=[
            Clockwork(identity, settings.clock_interval_ms),
            StandingWatch(KycMetrics.of(metrics.for_service("kyc"))),
            *([ReadServer(settings, reads)] if settings.read_port else []),
        ],
        clock=clock,
        ids=ids,
        metrics=metrics,
        step=step,
    )
