"""Facts of programs: what they allow, what tiers may spend, what is owed and paid for it."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from tally_contracts.base import Event
from tally_contracts.programs import (
    BudgetChanged,
    BudgetClaimChanged,
    FundingOrderSet,
    PayableChanged,
    PaymentChanged,
    ProgramCreated,
    ProgramFeesSet,
    ProgramPolicyPublished,
)
from tally_messaging import Received
from tally_portfolio.domain.books import minor_of
from tally_portfolio.domain.budgets import Budget
from tally_portfolio.domain.projection import Projection
from tally_portfolio.wire.reading import Reader
from tally_portfolio.wire.telling import Telling, reader_of

_PROGRAM, _BUDGET = "program", "budget"
_OF_PROGRAM = ("program_id",)

_TELLINGS: Mapping[type[Event], Telling] = MappingProxyType(
    {
        ProgramCreated: Telling(
            _PROGRAM, "program_id", ("program", "company", "title"), ("company",), keeper="company"
        ),
        ProgramPolicyPublished: Telling(
            "policy",
            "program_id",
            ("program", "version", "effective_from", "effective_until", "policy", "endpoints"),
            under="program_id",
            versioned=True,
        ),
        ProgramFeesSet: Telling(
            "fees",
            "program_id",
            ("program", "version", "effective_from", "lines"),
            under="program_id",
            versioned=True,
        ),
        FundingOrderSet: Telling(
            "funding_order",
            "program_id",
            ("program", "version", "wallets"),
            under="program_id",
            versioned=True,
        ),
        BudgetChanged: Telling(
            _BUDGET,
            "budget_id",
            (
                "program_id", "parent", "path", "holder", "wallet", "limit", "allocated",
                "reserved", "used", "change",
            ),
            ("holder",),
            belongs=("program_id", "path"),
            keeper="holder",
            by_sequence=True,
        ),
        PayableChanged: Telling(
            "payable",
            "payable_id",
            (
                "program_id", "state", "document", "number", "payer", "payee", "amount", "paid",
                "due", "kind", "settled_by", "reference",
            ),
            ("payer", "payee"),
            belongs=_OF_PROGRAM,
            by_sequence=True,
        ),
        PaymentChanged: Telling(
            "program_payment",
            "payment_id",
            (
                "program_id", "state", "holder", "payee", "amount", "rail", "kind", "payable_id",
                "policy_version", "fees_version", "fee", "draws", "approvals_needed",
                "approved_by", "journal_id", "reason_code",
            ),
            ("holder", "payee"),
            belongs=_OF_PROGRAM,
            by_sequence=True,
        ),
        BudgetClaimChanged: Telling(
            "budget_claim",
            "claim_id",
            (
                "program_id", "state", "budget_id", "holder", "amount", "granted", "kind",
                "evidence",
            ),
            ("holder",),
            belongs=("program_id", "budget_id"),
            by_sequence=True,
        ),
    }
)  # fmt: skip


def _budget(message: Received[BudgetChanged], at: datetime, projection: Projection) -> None:
    """What a tier has and spends; whoever holds a budget sees its program."""
    event = message.event
    unit = event.limit.currency
    limit, allocated, reserved, used = (
        minor_of(amount.amount, unit)
        for amount in (event.limit, event.allocated, event.reserved, event.used)
    )
    projection.add_budget(
        Budget(
            event.budget_id,
            event.sequence,
            event.holder,
            unit,
            event.path,
            limit - allocated,
            reserved,
            used,
        )
    )
    projection.involve(event.program_id, _PROGRAM, at, event.holder)
    _TELL_BUDGET(message, at, projection)


_TELL_BUDGET = reader_of(_TELLINGS[BudgetChanged])

READERS: Mapping[type[Event], Reader] = MappingProxyType(
    {
        **{fact: reader_of(telling) for fact, telling in _TELLINGS.items()},
        BudgetChanged: _budget,
    }
)
