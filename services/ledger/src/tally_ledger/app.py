"""Where the ledger's parts meet."""

from tally_ledger import service
from tally_ledger.closing import ClosingWorker, announce_key
from tally_ledger.expiry import ExpiryWorker
from tally_ledger.handlers import build_router
from tally_ledger.partitions import PartitionWorker, ensure_months
from tally_ledger.proofs import SigningKey
from tally_ledger.settings import LedgerSettings
from tally_messaging import Service, Transactor, UnitOfWork, service_schema
from tally_messaging.batch import Step, no_step
from tally_money import iso_currencies
from tally_runtime import Clock, Ids, Metrics

SCHEMA = service_schema("ledger", __file__)


def build_app(
    settings: LedgerSettings,
    *,
    clock: Clock | None = None,
    ids: Ids | None = None,
    metrics: Metrics | None = None,
    step: Step = no_step,
) -> Service:
    """The ledger service; on start it opens its ledgers and enters the ISO 4217 assets."""
    key = SigningKey.parse(settings.ledger_signing_key.get_secret_value())

    async def prepare(transactor: Transactor) -> None:
        async def unit(uow: UnitOfWork) -> None:
            await service.open_books(uow.conn, settings.ledgers, list(iso_currencies().values()))
            await announce_key(uow, key.public)

        await transactor.run(unit)
        await ensure_months(transactor)

    return Service(
        "ledger",
        settings,
        schema=SCHEMA,
        routers=[build_router()],
        workers=[
            ExpiryWorker(
                settings.ledgers, settings.expiry_poll_ms / 1000, settings.expiry_batch_holds
            ),
            ClosingWorker(settings.ledgers, key, settings.closing_poll_ms / 1000),
            PartitionWorker(),
        ],
        prepare=prepare,
        clock=clock,
        ids=ids,
        metrics=metrics,
        step=step,
    )
