"""What becomes of money that came in: pure decisions over exact amounts."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tally_money import Fixed, Money, Percent, Remainder, Rounding, Share, SplitExceedsTotal, split

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
    PayInState.SUSPENSE: frozenset(),
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


@dataclass(frozen=True, slots=True)
class Beneficiary:
    """For whom money is: `owner` is the wallet's owner reference, `kind` how it was named."""

    kind: str
    owner: str


@dataclass(frozen=True, slots=True)
class RuleShare:
    """One share of a rule.

    `owner` None is the pay-in's beneficiary, `$company` its company, anything else a literal owner.
    `part` is a percentage of the whole, the rest, or a fixed amount per currency code.
    """

    role: str
    owner: str | None
    pay_out: bool
    part: Percent | Remainder | Mapping[str, Money]

    def in_currency(self, code: str) -> Share:
        """The share for money of one currency that the rule covers."""
        if isinstance(self.part, Percent | Remainder):
            return self.part
        return Fixed(self.part[code])


@dataclass(frozen=True, slots=True)
class Rule:
    """An allocation rule in one version. `programs` or `currencies` None covers all of them."""

    name: str
    version: int
    programs: frozenset[str] | None
    currencies: frozenset[str] | None
    shares: tuple[RuleShare, ...]
    rounding: Rounding

    @property
    def label(self) -> str:
        """Name and version, as kept with each pay-in."""
        return f"{self.name}:{self.version}"

    def covers_program(self, program: str) -> bool:
        return self.programs is None or program in self.programs

    def covers_currency(self, code: str) -> bool:
        return self.currencies is None or code in self.currencies

    @property
    def needs_beneficiary(self) -> bool:
        return any(share.owner is None for share in self.shares)


COMPANY = "$company"


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


def decide_allocation(
    rule: Rule, *, program: str, amount: Money, company: str, beneficiary: Beneficiary | None
) -> tuple[PartOfPayIn, ...] | Suspense:
    """Divide a pay-in by the rule; the parts sum to it exactly (F13, F23).

    Parts of zero are left out: the ledger moves amounts above zero only. What cannot be divided
    goes to suspense whole, never in part (F14).
    """
    unmatched = _unmatched(rule, program, amount, beneficiary)
    if unmatched is not None:
        return unmatched
    shares = [share.in_currency(amount.currency.code) for share in rule.shares]
    try:
        amounts = split(amount, shares, rule.rounding)
    except SplitExceedsTotal:
        return Suspense(
            Reason.RULE_EXCEEDS_AMOUNT,
            f"rule {rule.label} takes more than {amount}: "
            "lower its fixed shares in a new version, or return the money",
        )
    owners = {
        None: "" if beneficiary is None else beneficiary.owner,
        COMPANY: company,
    }
    parts = tuple(
        PartOfPayIn(share.role, owners.get(share.owner, share.owner or ""), part, share.pay_out)
        for share, part in zip(rule.shares, amounts, strict=True)
        if part
    )
    assert sum(part.amount.minor for part in parts) == amount.minor, "parts sum to the pay-in"
    assert all(part.owner for part in parts), "every part has an owner"
    return parts


def _unmatched(
    rule: Rule, program: str, amount: Money, beneficiary: Beneficiary | None
) -> Suspense | None:
    if rule.needs_beneficiary and beneficiary is None:
        return Suspense(
            Reason.NO_BENEFICIARY, "name the party, contact or event the money is for, or return it"
        )
    if not rule.covers_program(program):
        return Suspense(
            Reason.UNKNOWN_PROGRAM,
            f"rule {rule.label} has no program {program}: add it in a new version, "
            "or name a program the rule has",
        )
    if not rule.covers_currency(amount.currency.code):
        return Suspense(
            Reason.CURRENCY_NOT_COVERED,
            f"rule {rule.label} has no amounts in {amount.currency.code}: "
            "add the currency in a new version, or return the money",
        )
    if rule.needs_beneficiary and beneficiary is not None:
        return _without_wallet(beneficiary)
    return None


def _without_wallet(beneficiary: Beneficiary) -> Suspense | None:
    if len(beneficiary.owner) > OWNER_CHARS_MAX:
        return Suspense(
            Reason.BENEFICIARY_TOO_LONG,
            f"the beneficiary's reference, with its kind, is over {OWNER_CHARS_MAX} characters: "
            "give the payee a shorter one",
        )
    if beneficiary.kind == "party" and beneficiary.owner.startswith(("contact:", "event:")):
        # Else two different payees would share one wallet.
        return Suspense(
            Reason.BENEFICIARY_AMBIGUOUS,
            "a party's reference starts with contact: or event:, which name other payees: "
            "use the beneficiary's own field for those",
        )
    return None


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


def decide_repeat(known: Content, again: Content) -> Repeat:
    """Compare an announcement with the pay-in its external id already names.

    A statement repeats in a bank's words what was announced in the source's words: there only the
    amount is compared.
    """
    if known.by_statement != again.by_statement:
        return Repeat.SAME if known.amount == again.amount else Repeat.CONFLICT
    return Repeat.SAME if known.digest == again.digest else Repeat.CONFLICT
