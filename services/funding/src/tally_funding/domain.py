"""What becomes of money that came in: pure decisions over exact amounts."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tally_money import Money

OWNER_CHARS_MAX = 128
"""The longest owner reference a wallet can carry."""


class PayInState(StrEnum):
    """Where a pay-in stands. `suspending`: the ledger was asked to book it into suspense."""

    RECEIVED = "received"
    ALLOCATING = "allocating"
    ALLOCATED = "allocated"
    SUSPENDING = "suspending"
    SUSPENSE = "suspense"


ALLOWED: Mapping[PayInState, frozenset[PayInState]] = {
    PayInState.RECEIVED: frozenset({PayInState.ALLOCATING, PayInState.SUSPENDING}),
    PayInState.ALLOCATING: frozenset({PayInState.ALLOCATED, PayInState.SUSPENDING}),
    PayInState.SUSPENDING: frozenset({PayInState.SUSPENSE}),
    PayInState.SUSPENSE: frozenset({PayInState.ALLOCATED}),
    PayInState.ALLOCATED: frozenset(),
}


class Reason(StrEnum):
    """Why money stands in suspense."""

    UNKNOWN_PROGRAM = "unknown_program"
    CURRENCY_NOT_COVERED = "currency_not_covered"
    NO_BENEFICIARY = "no_beneficiary"
    BENEFICIARY_TOO_LONG = "beneficiary_too_long"
    BENEFICIARY_AMBIGUOUS = "beneficiary_ambiguous"
    RULE_EXCEEDS_AMOUNT = "rule_exceeds_amount"
    LEDGER_REJECTED = "ledger_rejected"
    NO_RULE = "no_rule"
    GROUP_EMPTY = "group_empty"
    GROUP_WEIGHT_MISSING = "group_weight_missing"
    RELATION_UNCLEAR = "relation_unclear"
    TENANT_UNKNOWN = "tenant_unknown"
    TOO_MANY_PARTS = "too_many_parts"


@dataclass(frozen=True, slots=True)
class Beneficiary:
    """For whom money is: `owner` is the wallet's owner reference, `kind` how it was named."""

    kind: str
    owner: str


@dataclass(frozen=True, slots=True)
class PartOfPayIn:
    """Money designated to one owner."""

    role: str
    owner: str
    amount: Money
    pay_out: bool


@dataclass(frozen=True, slots=True)
class Suspense:
    """Nobody can be credited yet: why, and what a person can do."""

    reason: Reason
    remedy: str


@dataclass(frozen=True, slots=True)
class Standing:
    """A pay-in as stored: its state and the journal the ledger was last asked to post."""

    state: PayInState
    journal_id: str


class Settled(StrEnum):
    """What an answer of the ledger means for a pay-in."""

    ALLOCATED = "allocated"
    SUSPENDED = "suspended"
    MUST_SUSPEND = "must_suspend"
    STRANDED = "stranded"
    STALE = "stale"


def decide_settlement(standing: Standing, *, journal_id: str, posted: bool) -> Settled:
    """Read the ledger's answer to a journal.

    Answers to a journal other than the last one asked for, or after the end, are stale: facts may
    come again or late. STRANDED: even suspense was refused, so the money is in no account and a
    person must act.
    """
    if journal_id != standing.journal_id:
        return Settled.STALE
    match standing.state:
        case PayInState.ALLOCATING:
            return Settled.ALLOCATED if posted else Settled.MUST_SUSPEND
        case PayInState.SUSPENDING:
            return Settled.SUSPENDED if posted else Settled.STRANDED
        case _:
            return Settled.STALE


NEXT: Mapping[Settled, PayInState] = {
    Settled.ALLOCATED: PayInState.ALLOCATED,
    Settled.SUSPENDED: PayInState.SUSPENSE,
    Settled.MUST_SUSPEND: PayInState.SUSPENDING,
}


def after(state: PayInState, settled: Settled) -> PayInState:
    """The state an answer leads to; only moves that ALLOWED names."""
    following = NEXT[settled]
    assert following in ALLOWED[state], f"{state} cannot become {following}"
    return following


class Repeat(StrEnum):
    """Money announced again: the same content, or another under the same external id."""

    SAME = "same"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Content:
    """What an announcement says of the money. `by_statement`: learnt from a bank statement."""

    digest: bytes
    amount: Money
    by_statement: bool


def decide_repeat(known: Content, again: Content, *, in_other_words: bool = False) -> Repeat:
    """Compare an announcement with the pay-in its external id already names.

    A statement repeats in a bank's words what was announced in the source's words, or in more words
    what a notification said: there only the amount is compared.
    """
    if in_other_words or known.by_statement != again.by_statement:
        return Repeat.SAME if known.amount == again.amount else Repeat.CONFLICT
    return Repeat.SAME if known.digest == again.digest else Repeat.CONFLICT
