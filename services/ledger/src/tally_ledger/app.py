"""Where the ledger's parts meet."""

from pathlib import Path

from tally_ledger import service
from tally_ledger.closing import ClosingWorker, announce_key
from tally_ledger.expiry import ExpiryWorker
from tally_ledger.handlers import build_router
from tally_ledger.partitions import PartitionMetrics, PartitionWorker, ensure_months
from tally_ledger.placement import Placement, settle_in
from tally_ledger.proofs import SigningKey
from tally_ledger.settings import LedgerSettings
from tally_ledger.transfers.handlers import Transfers, subscription
from tally_ledger.transfers.overdue import OverdueTransfers, TransferMetrics
from tally_ledger.transfers.settlement import Settlements
from tally_messaging import Router, Service, Transactor, UnitOfWork, service_schema
from tally_messaging.batch import Step, no_step
from tally_money import iso_currencies
from tally_postgres import MigrationSource, Schema
from tally_runtime import Clock, Ids, Metrics

_OWN = service_schema("ledger", __file__)
# Transfers between ledgers count their migrations apart: they build on the books, never the reverse.
_TRANSFERS = MigrationSource("ledger_transfers", Path(__file__).parent / "transfers" / "migrations")
SCHEMA = Schema("ledger", (*_OWN.migrations, _TRANSFERS))


def build_app(
    settings: LedgerSettings,
    *,
    clock: Clock | None = None,
    ids: Ids | None = None,
    metrics: Metrics | None = None,
    step: Step = no_step,
) -> Service:
    """The ledger service; on start it opens its ledgers and enters the ISO 4217 assets."""
    metrics = metrics or Metrics("ledger")
    placement = settings.placement
    key = SigningKey.parse(settings.ledger_signing_key.get_secret_value())

    async def prepare(transactor: Transactor) -> None:
        async def unit(uow: UnitOfWork) -> None:
            await settle_in(uow.conn, placement)
            await service.open_books(uow.conn, settings.ledgers, list(iso_currencies().values()))
            await announce_key(uow, key.public)

        await transactor.run(unit)
        await ensure_months(transactor)

    return Service(
        "ledger",
        settings,
        schema=SCHEMA,
        routers=[ledger_router(placement)],
        workers=[
            ExpiryWorker(
                settings.ledgers, settings.expiry_poll_ms / 1000, settings.expiry_batch_holds
            ),
            ClosingWorker(settings.ledgers, key, settings.closing_poll_ms / 1000),
            PartitionWorker(PartitionMetrics.of(metrics.for_service("ledger"))),
            OverdueTransfers(
                TransferMetrics.of(metrics.for_service("ledger")),
                settings.transfer_poll_ms / 1000,
                settings.transfer_overdue_s,
            ),
        ],
        prepare=prepare,
        clock=clock,
        ids=ids,
        metrics=metrics,
        step=step,
    )


def ledger_router(placement: Placement) -> Router:
    """What the processes of one database consume: commands to its ledgers, and all transfers' facts."""
    router = build_router(placement.group, placement.wants, subscription())
    Transfers(placement).register(router)
    Settlements(placement).register(router)
    return router
