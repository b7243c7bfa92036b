"""What a rail's code offers, one small protocol per capability its provider has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Protocol, TypeVar

from tally_money import Money
from tally_railkit.results import Result

S_contra = TypeVar("S_contra", contravariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutOrder:
    """One payment to make. `attempt_id` is the idempotency id: the same again is the same payment."""

    attempt_id: str
    payout_id: str
    instrument_id: str
    amount: Money
    owner: str
    company: str


@dataclass(frozen=True, slots=True)
class CheckedInstrument:
    """Details that can be paid to. `masked` is safe to show.

    `settlement_account` is the ledger account of an instrument that is itself a wallet.
    """

    masked: str
    settlement_account: str | None = None


class InstrumentProblem(ValueError):  # noqa: N818 - named for what it says
    """Details that cannot be paid to: which field, why as a slug, and what to do."""

    retryable: ClassVar[bool] = False

    def __init__(self, code: str, field: str, remedy: str) -> None:
        super().__init__(f"{field}: {code}; {remedy}")
        self.code = code
        self.field = field
        self.remedy = remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What a provider says about one attempt, however it was learnt.

    `provider_code` is looked up in the rail's table; `reason` is the provider's own detail.
    `amount` is None where the provider names none. `source`: answer, poll, acknowledgement,
    return_file, settlement, operator.
    """

    attempt_id: str
    provider_code: str
    reference: str | None
    amount: Money | None
    occurred_at: datetime
    source: str
    reason: str | None = None


class PayoutRail(Protocol[S_contra]):
    """Sends what was stored first: an order, or a file of many.

    `submit` with the same thing again executes nothing again. `query` asks by our own key.
    """

    async def submit(self, sending: S_contra, /) -> Result: ...
    async def query(self, sending: S_contra, /) -> Result: ...


class Cancellable(Protocol[S_contra]):
    """Takes back what has not been executed."""

    async def cancel(self, sending: S_contra, /) -> Result: ...


class WebhookSource(Protocol):
    """Checks a callback's signature over the raw body; raises for a forged or stale one."""

    def verify(
        self, headers: Mapping[str, str], raw_body: bytes, now: datetime
    ) -> Sequence[News]: ...


class StatementSource(Protocol):
    """Reads a report of many items; raises for one that does not add up, and then nothing counts."""

    def parse(self, data: bytes) -> Sequence[News]: ...


class BeneficiaryValidator(Protocol):
    """Checks details before they are kept; raises `InstrumentProblem`."""

    def check(self, details: Mapping[str, str], currency: str) -> CheckedInstrument: ...
