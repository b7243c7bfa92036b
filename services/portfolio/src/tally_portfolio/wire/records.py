"""Facts of funding about things of their own: what is owed, escrow, claims, charges, rules."""

from collections.abc import Mapping
from types import MappingProxyType

from tally_contracts.base import Event
from tally_contracts.funding_claims import (
    ClaimChanged,
    ClaimIssued,
    DesignationAsked,
    DesignationMoved,
    DesignationRefused,
)
from tally_contracts.funding_escrow import AgreementChanged
from tally_contracts.funding_rules import ChargeRefused, ChargeTaken, RulePublished, RuleRetired
from tally_contracts.funding_sources import (
    EntryDecided,
    EntryProposed,
    ExpectationPaid,
    PayInChargedBack,
    PayInExpected,
    PayInRefunded,
    PayInReinstated,
    ReceivableOpened,
    ReceivableSettled,
)
from tally_portfolio.domain.books import minor_of
from tally_portfolio.domain.records import RETURN, RETURNED
from tally_portfolio.wire.reading import Reader
from tally_portfolio.wire.telling import Telling, Told, reader_of

_SECOND = 2
_DESIGNATION = ("owner", "to_owner", "reason_code", "amounts", "journal_id")
_OF_DESIGNATION = ("tenant", "owner", "to_owner")
_CHARGE = ("pay_in_id", "rule", "payer", "owner", "amount")
_RETURN = ("pay_in_id", "source", "company", "amount", "returned", "shares")


def _nothing(amount: Told) -> bool:
    return minor_of(amount["amount"], amount["currency"]) == 0


def _after_reinstatement(told: Told) -> str:
    return "allocated" if _nothing(told["returned"]) else "partly_refunded"


def _return(part: int, state: str | None = None) -> tuple[Telling, Telling]:
    """A return itself, and how much of its pay-in went back by all of them."""
    return (
        Telling(
            RETURN,
            "return_id",
            _RETURN,
            part=part,
            under="pay_in_id",
            says=lambda told: {"state": state or told["state"]},
        ),
        Telling(
            RETURNED,
            "pay_in_id",
            ("returned",),
            under="pay_in_id",
            says=lambda told: {"state": told.get("state") or _after_reinstatement(told)},
        ),
    )


def _state(state: str) -> Mapping[str, object]:
    return {"state": state}


TELLINGS: Mapping[type[Event], tuple[Telling, ...]] = MappingProxyType(
    {
        PayInRefunded: _return(1),
        PayInChargedBack: _return(1),
        PayInReinstated: _return(_SECOND, "reinstated"),
        ReceivableOpened: (
            Telling(
                "receivable",
                "receivable_id",
                ("return_id", "pay_in_id", "owner", "company", "account", "amount", "reason_code"),
                ("owner", "company"),
                says=lambda told: {"state": "open", "open_amount": told["amount"]},
            ),
        ),
        ReceivableSettled: (
            Telling(
                "receivable",
                "receivable_id",
                ("open_amount", "settled_by"),
                ("owner", "company"),
                part=_SECOND,
                says=lambda told: _state(
                    "settled" if _nothing(told["open_amount"]) else "part_settled"
                ),
            ),
        ),
        AgreementChanged: (
            Telling(
                "agreement",
                "agreement_id",
                (
                    "payer", "payee", "arbiter", "state", "amount", "held", "released", "refunded",
                    "account", "approvals", "condition_met", "deadline", "reason_code",
                ),
                ("payer", "payee", "arbiter"),
                by_sequence=True,
            ),
        ),
        ClaimIssued: (
            Telling(
                "claim",
                "claim_id",
                ("owner", "contact", "expires_at", "expires_to"),
                ("tenant", "owner", "who"),
                says=lambda _: _state("issued"),
            ),
        ),
        ClaimChanged: (
            Telling(
                "claim",
                "claim_id",
                ("state", "claimant", "journal_id", "reason_code"),
                ("tenant", "owner", "claimant"),
                part=_SECOND,
            ),
        ),
        DesignationAsked: (
            Telling(
                "designation", "movement_id", _DESIGNATION, _OF_DESIGNATION,
                says=lambda _: _state("asked"),
            ),
        ),
        DesignationMoved: (
            Telling(
                "designation", "movement_id", _DESIGNATION, _OF_DESIGNATION,
                leads=("owner",), says=lambda _: _state("moved"),
            ),
        ),
        DesignationRefused: (
            Telling(
                "designation", "movement_id", (*_DESIGNATION, "code"), _OF_DESIGNATION,
                says=lambda _: _state("refused"),
            ),
        ),
        ChargeTaken: (
            Telling(
                "charge", "charge_id", (*_CHARGE, "journal_id", "debit", "credit"),
                ("payer", "owner"), says=lambda _: _state("taken"),
            ),
        ),
        ChargeRefused: (
            Telling(
                "charge", "charge_id", (*_CHARGE, "code", "detail", "remedy"),
                ("payer", "owner"), says=lambda _: _state("refused"),
            ),
        ),
        PayInExpected: (
            Telling(
                "expectation",
                "expectation_id",
                ("kind", "reference", "company", "beneficiary", "currency", "amount"),
                ("company",),
                says=lambda _: _state("open"),
            ),
        ),
        ExpectationPaid: (
            Telling(
                "expectation",
                "expectation_id",
                ("received", "pay_in_id"),
                ("company",),
                part=_SECOND,
                says=lambda told: _state(told["standing"]),
            ),
        ),
        EntryProposed: (
            Telling(
                "manual_entry",
                "entry_id",
                ("external_id", "company", "beneficiary", "amount"),
                ("company",),
                says=lambda _: _state("proposed"),
            ),
        ),
        EntryDecided: (
            Telling(
                "manual_entry",
                "entry_id",
                ("pay_in_id", "proposed_by", "note"),
                part=_SECOND,
                says=lambda told: _state("approved" if told["approved"] else "declined"),
            ),
        ),
        RulePublished: (
            Telling(
                "rule",
                "rule_id",
                (
                    "tenant", "name", "version", "priority", "effective_from", "effective_until",
                    "digest", "company",
                ),
                ("tenant", "company", "who"),
                says=lambda _: _state("published"),
            ),
        ),
        RuleRetired: (
            Telling(
                "rule",
                "rule_id",
                ("effective_until",),
                ("tenant",),
                part=_SECOND,
                says=lambda _: _state("retired"),
            ),
        ),
    }
)  # fmt: skip

READERS: Mapping[type[Event], Reader] = MappingProxyType(
    {fact: reader_of(*tellings) for fact, tellings in TELLINGS.items()}
)
