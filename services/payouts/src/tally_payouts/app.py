"""The payouts service put together."""

from tally_contracts.catalogue import RAILS
from tally_messaging import Service, service_schema
from tally_messaging.batch import Step, no_step
from tally_payouts.exit_worker import ExitWorker
from tally_payouts.handlers import build_router
from tally_payouts.service import PayoutService
from tally_payouts.settings import PayoutsSettings
from tally_payouts.turn import Installation
from tally_payouts.watch import PayoutMetrics, StandingWatch
from tally_runtime import Clock, Ids, Metrics

SCHEMA = service_schema("payouts", __file__)


def build_app(
    settings: PayoutsSettings,
    *,
    clock: Clock | None = None,
    ids: Ids | None = None,
    metrics: Metrics | None = None,
    step: Step = no_step,
) -> Service:
    """The service, ready to start; `clock`, `ids` and `step` are for tests."""
    saga = PayoutService(
        Installation(
            settings.tenant, settings.ledger_name, frozenset(RAILS), settings.entity_country
        )
    )
    metrics = metrics or Metrics("payouts")
    return Service(
        "payouts",
        settings,
        schema=SCHEMA,
        routers=[build_router(saga)],
        workers=[
            StandingWatch(PayoutMetrics.of(metrics.for_service("payouts"))),
            ExitWorker(saga),
        ],
        clock=clock,
        ids=ids,
        metrics=metrics,
        step=step,
    )
