"""Where money can be sent to, and whether an order may use it."""

from dataclasses import dataclass, replace
from enum import StrEnum

from tally_railkit import Action, CheckedInstrument, PayoutOrder, Rejected


class InstrumentState(StrEnum):
    """REFUSED: a rail reported it dead; it waits for other details."""

    REGISTERED = "registered"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """Sealed details of an owner. `version` counts the details it has had."""

    id: str
    rail: str
    owner: str
    currency: str
    sealed: str
    masked: str
    settlement_account: str | None
    state: InstrumentState = InstrumentState.REGISTERED
    version: int = 1


def refusal_of(order: PayoutOrder, rail: str, instrument: Instrument | None) -> Rejected | None:
    """Why this order may not go to this instrument; None when it may."""
    if instrument is None:
        return Rejected("instrument_unknown", Action.FIX_DETAILS)
    if instrument.rail != rail:
        return Rejected("instrument_of_other_rail", Action.FIX_DETAILS)
    if instrument.owner != order.owner:
        return Rejected("instrument_not_owned", Action.FIX_DETAILS)
    if instrument.state is InstrumentState.REFUSED:
        return Rejected("instrument_refused", Action.FIX_DETAILS)
    if instrument.currency != order.amount.currency.code:
        return Rejected("currency_mismatch", Action.FIX_DETAILS)
    return None


def corrected(instrument: Instrument, sealed: str, checked: CheckedInstrument) -> Instrument:
    """The instrument with details its provider corrected; that makes a dead one usable again."""
    return replace(
        instrument,
        sealed=sealed,
        masked=checked.masked,
        settlement_account=checked.settlement_account,
        state=InstrumentState.REGISTERED,
        version=instrument.version + 1,
    )
