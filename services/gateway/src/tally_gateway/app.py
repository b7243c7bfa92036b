"""The gateway, put together."""

from tally_gateway.bell import Bell
from tally_gateway.handlers import build_router
from tally_gateway.server import ApiServer
from tally_gateway.settings import GatewaySettings
from tally_messaging import Service, service_schema
from tally_messaging.batch import Step, no_step
from tally_runtime import Clock, Ids, Metrics

SCHEMA = service_schema("gateway", __file__)


def build_app(
    settings: GatewaySettings,
    *,
    clock: Clock | None = None,
    ids: Ids | None = None,
    metrics: Metrics | None = None,
    step: Step = no_step,
    server: ApiServer | None = None,
) -> Service:
    """Build the service. `server` is given by whoever wants to know where it listens."""
    bell = Bell() if server is None else server.bell
    return Service(
        "gateway",
        settings,
        schema=SCHEMA,
        routers=[build_router(bell)],
        workers=[server or ApiServer(settings, bell)],
        clock=clock,
        ids=ids,
        metrics=metrics,
        step=step,
    )
