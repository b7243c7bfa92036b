"""The portfolio service, put together."""

from tally_messaging import Service, service_schema
from tally_messaging.batch import Step, no_step
from tally_portfolio.handlers import build_router
from tally_portfolio.reads import ReadServer
from tally_portfolio.settings import PortfolioSettings
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
    return Service(
        "portfolio",
        settings,
        schema=SCHEMA,
        routers=[build_router()],
        workers=[ReadServer(settings)] if settings.read_port else [],
        clock=clock,
        ids=ids,
        metrics=metrics,
        step=step,
    )
