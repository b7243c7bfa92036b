"""Every event and command by its CloudEvents type."""

from collections.abc import Mapping
from types import MappingProxyType

from tally_contracts import (
    funding,
    ledger,
    ledger_log,
    ledger_transfers,
    operations,
    payouts,
    rails,
)
from tally_contracts.base import Event

EVENTS: tuple[type[Event], ...] = (
    funding.FundingReceived,
    funding.PayInReceived,
    funding.PayInAllocated,
    funding.PayInSuspended,
    funding.ImportStatement,
    funding.StatementImported,
    funding.StatementRefused,
    ledger.PostJournal,
    ledger.PlaceHold,
    ledger.CaptureHold,
    ledger.ReleaseHold,
    ledger.ReverseJournal,
    ledger.JournalPosted,
    ledger.JournalReversed,
    ledger.JournalRejected,
    ledger.HoldPlaced,
    ledger.HoldCaptured,
    ledger.HoldReleased,
    ledger.HoldRejected,
    ledger.OpenAccount,
    ledger.AccountOpened,
    ledger.AccountRejected,
    ledger.FreezeAccount,
    ledger.UnfreezeAccount,
    ledger.CloseAccount,
    ledger.AccountChanged,
    ledger.AccountChangeRejected,
    ledger.RegisterAsset,
    ledger.AssetRegistered,
    ledger.AssetRejected,
    ledger_log.RootSigned,
    payouts.ChooseMethod,
    payouts.RequestPayout,
    payouts.CancelPayout,
    payouts.PayoutChanged,
    payouts.PayoutStatus,
    rails.RegisterInstrument,
    rails.InstrumentRegistered,
    rails.InstrumentRefused,
    rails.SubmitPayout,
    rails.CancelAttempt,
    rails.AttemptChanged,
    *ledger_transfers.COMMANDS,
    *ledger_transfers.FACTS,
    operations.RecordQuarantined,
)

BY_TYPE: Mapping[str, type[Event]] = MappingProxyType({event.TYPE: event for event in EVENTS})
