"""Whom a fact concerns, and what it tells of things: read from its fields by their names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tally_contracts.owners import OF_CONTACT
from tally_gateway.domain.access import OPERATOR

PARTY_FIELDS: Final = frozenset(
    {
        "arbiter",
        "claimant",
        "company",
        "from_party",
        "group",
        "holder",
        "merged",
        "other",
        "owner",
        "party",
        "party_id",
        "payee",
        "payer",
        "to_owner",
        "to_party",
    }
)
"""Fields that name a party, or an owner reference that may be a party's."""

THING_FIELDS: Final = frozenset(
    {"account", "claim_id", "entry_id", "pay_in_id", "program_id", "rule_id", "wallet"}
)
"""Fields that name a thing whose owners the fact concerns."""

_ID_FIELDS: Final = PARTY_FIELDS | THING_FIELDS

LINE_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "allocations": ("owner",),
    "shares": ("owner",),
    "legs": ("debit", "credit"),
    "views": ("wallet",),
}
"""Lists whose lines name parties or things."""

# Money of an owner nobody knows has no party among its owners: whoever is above all of it sees to it.
_OF_THE_TREE: Final = "funding.claim."

# What a party shows of itself: who stands between it and its tenant asks with the party's consent.
_OF_IDENTITY: Final = "kyc."

# A refused command is its sender's business alone: it may name parties the sender has no right to.
REFUSALS: Final = ("refused", "rejected", "change_rejected", "designation_refused")


def is_refusal(event_type: str) -> bool:
    """Whether a fact says that a command changed nothing."""
    return event_type.split(".")[-2] in REFUSALS


def concerned(event_type: str, payload: Mapping[str, Any]) -> Iterator[str]:
    """Ids of parties, owner references and things whose parties should see the fact."""
    if is_refusal(event_type):
        who = payload.get("who")
        if isinstance(who, Mapping):
            yield str(who["principal"])
        return
    if event_type.startswith(_OF_THE_TREE):
        yield str(payload["tenant"])
    for name, value in payload.items():
        if name in _ID_FIELDS and isinstance(value, str):
            yield value
    for name, marks in LINE_FIELDS.items():
        lines = payload.get(name)
        if isinstance(lines, list):
            for line in lines:
                yield from (line[mark] for mark in marks if isinstance(line.get(mark), str))
    beneficiary = payload.get("beneficiary")
    if isinstance(beneficiary, Mapping):
        yield from _owner(beneficiary)


def _owner(beneficiary: Mapping[str, Any]) -> Iterator[str]:
    if beneficiary.get("party"):
        yield beneficiary["party"]
    elif beneficiary.get("contact"):
        yield f"{OF_CONTACT}{beneficiary['contact']}"


def sees_in_log(event_type: str, line: tuple[str, ...]) -> tuple[str, ...]:
    """Of a party and all above it, root first, those whose logs a fact about it goes to."""
    if event_type.startswith(_OF_IDENTITY):
        return tuple(dict.fromkeys((line[0], line[-1])))
    return line


def shows_itself(event_type: str, payload: Mapping[str, Any]) -> str | None:
    """The party whose identity a fact tells of; None where it tells of nobody's."""
    return field_of(payload, "party_id") if event_type.startswith(_OF_IDENTITY) else None


def is_hidden(
    event_type: str, payload: Mapping[str, Any], viewer: str, lines: Mapping[str, tuple[str, ...]]
) -> bool:
    """Whether a fact in a log that a viewer may read is not for the viewer.

    `lines`: of parties that facts tell of, the party each is now and all above it, root first.
    """
    party = shows_itself(event_type, payload)
    if party is None:
        return False
    now_is = lines.get(party)
    theirs = () if now_is is None else sees_in_log(event_type, now_is)
    return viewer not in {party, payload["tenant"], OPERATOR, *theirs}


def field_of(payload: Mapping[str, Any], name: str) -> str | None:
    """A text field of a fact, or of an object in it (`who.principal`); None if it is no text."""
    value: Any = payload
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else None


@dataclass(frozen=True, slots=True)
class Tells:
    """How a fact tells of a thing: the field of its id, of its parties, and what else to keep.

    `parties` may name a field of an object, as `who.principal`; `through` are fields of things whose
    parties are this thing's too: of `THING_FIELDS`, so that they are looked up with whom the fact concerns.
    """

    thing: str
    parties: tuple[str, ...] = ()
    through: tuple[str, ...] = ()
    keeps: tuple[str, ...] = ()


THINGS: Final[Mapping[str, tuple[Tells, ...]]] = {
    "directory.wallet.opened.v1": (
        Tells("wallet_id", ("owner",), keeps=("account", "owner", "company", "currency")),
        Tells("account", ("owner",)),
    ),
    "directory.connection.changed.v1": (
        Tells("connection_id", ("from_party", "to_party"), keeps=("to_party",)),
    ),
    "directory.contact.added.v1": (Tells("contact_id", ("party_id",)),),
    "directory.verification.started.v1": (Tells("verification_id", ("party_id",)),),
    "directory.approval.proposed.v1": (Tells("approval_id", ("party_id",)),),
    "directory.grant.given.v1": (Tells("grant_id", through=("wallet",)),),
    "kyc.task.opened.v1": (Tells("task_id", ("party_id",)),),
    "programs.program.created.v1": (Tells("program_id", ("company",)),),
    "programs.budget.changed.v1": (Tells("budget_id", ("holder",), ("program_id",)),),
    "programs.payable.changed.v1": (Tells("payable_id", through=("program_id",)),),
    "programs.payment.changed.v1": (Tells("payment_id", ("holder",), ("program_id",)),),
    "programs.budget_claim.changed.v1": (Tells("claim_id", ("holder",), ("program_id",)),),
    "payouts.payout.changed.v1": (Tells("payout_id", ("owner", "company")),),
    "rails.instrument.registered.v1": (Tells("instrument_id", ("owner",)),),
    "funding.pay_in.received.v1": (Tells("pay_in_id", ("company",)),),
    "funding.pay_in.pending.v1": (Tells("pay_in_id", ("company",)),),
    "funding.entry.proposed.v1": (Tells("entry_id", ("company",)),),
    "funding.expectation.registered.v1": (Tells("expectation_id", ("company",)),),
    "funding.receivable.opened.v1": (Tells("receivable_id", ("owner", "company")),),
    "funding.agreement.changed.v1": (Tells("agreement_id", ("payer", "payee", "arbiter")),),
    "funding.claim.issued.v1": (Tells("claim_id", ("who.principal",)),),
    "funding.rule.published.v1": (Tells("rule_id", ("tenant", "company")),),
    "funding.unclaimed.filing_changed.v1": (Tells("filing_id", ("holder",)),),
    "funding.unclaimed.reclaim_changed.v1": (Tells("reclaim_id", ("holder",)),),
}
"""What facts tell of things, by type."""
