"""Which fields of a fact which persona sees (X2). What no line here names is shown to nobody else.

Two rules. A field is shown to the personas its name is listed with. Of a fact that belongs to a
company, those who are not on the company's side see no totals, and of lists only their own lines:
a payee sees its share of a pay-in and neither the whole nor what others got.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

OPERATOR, AGGREGATOR, COMPANY, PARTNER, PAYEE = (
    "operator",
    "aggregator",
    "company",
    "partner",
    "payee",
)
_STAFF: Final = frozenset({OPERATOR, AGGREGATOR, COMPANY})
_PARTNERS: Final = _STAFF | {PARTNER}
_ALL: Final = _PARTNERS | {PAYEE}
_ABOVE: Final = frozenset({OPERATOR, AGGREGATOR})
_NOBODY: Final[frozenset[str]] = frozenset()

_FOR_ALL: Final = """
access account act agreement_id alias allocations amount amounts approval_id approvals approved
approve arbiter attempt_id beneficiary by case_id channel charge_id claim_id claimant code company
condition_met connection_id contact contact_id currency deadline detail document dormant_at due
effective_at ended entry_id expectation_id expires_at expires_to fee field fields from_party grant_id
granted group held holder instrument instrument_id journal_id jurisdiction kind last_activity_at
ledger legs masked member merged method movement_id must_act number occurred_at open_amount other
owner paid party party_id pay_in_id payable_id payee payer payment_id payout_id person previous
program program_id purpose rail reason reason_code receivable_id reference refunded relation
released remedy return_id returns reverses role sequence settled_by settlement_id shares state subject
to_owner to_party value_date value_kind verification_id verified version views virtual_account
wallet wallet_id where why answer_by asked_at filing_id notice_id reclaim_id report_id reportable_at sign
external_ids challenge_id asked basis tokens view_id viewer task_id level party_kind valid_until
may_remit reasons who_must_act changed reopened holds options
"""
_FOR_PARTNERS: Final = """
allocated budget_id change changed_by draws evidence external_id limit parent reservation_id
reserved standing title used
"""
_FOR_STAFF: Final = """
already_known answer approvals_needed approved_by automatic candidates command_id command_type
confidence content_digest country credit debit digest effective_from effective_until endpoints event_id
event_type expected faults fees_version file_name ignored_entries import_id line lines lint_id
log_seq match_id name note originator outcome path pay_in_amount pay_ins period policy
policy_version priority proposed_by provider_event public_key received results returned rule rule_id run_id
settlement_account source statement_ids wallets webhook_id who companies contacts content line_count
sha256 totals submitted_by
"""
_FOR_ABOVE: Final = "attempted_by hold_id jurisdictions label merged_tenant previous_path rows table tenant valid_from"
_SEALED: Final = "sealed_code sealed_message"

FIELDS: Final[Mapping[str, frozenset[str]]] = {
    name: personas
    for names, personas in (
        (_FOR_ALL, _ALL),
        (_FOR_PARTNERS, _PARTNERS),
        (_FOR_STAFF, _STAFF),
        (_FOR_ABOVE, _ABOVE),
        (_SEALED, _NOBODY),
    )
    for name in names.split()
}
"""Personas by the name of a fact's field."""

SHOWN_OF: Final[Mapping[str, frozenset[str]]] = {
    "kyc.task.decided.v1": frozenset({"outcome"}),
    "kyc.level.changed.v1": frozenset({"policy_version"}),
    "funding.receipt.restricted.v1": frozenset({"table"}),
}
"""Fields that everybody sees of these facts, though not of others that have them."""

TOTALS: Final = frozenset({"amount", "returned", "pay_in_amount", "external_id", "source", "rule"})
"""Fields of a pay-in that only the company's side sees: the whole of what others have parts in."""

SHARED_TYPES: Final = frozenset(
    {
        "funding.pay_in.received.v1",
        "funding.pay_in.allocated.v1",
        "funding.pay_in.suspended.v1",
        "funding.pay_in.pending.v1",
        "funding.pay_in.failed.v1",
        "funding.pay_in.refunded.v1",
        "funding.pay_in.charged_back.v1",
        "funding.pay_in.reinstated.v1",
    }
)
"""Facts in which several owners have parts."""

LINES: Final[Mapping[str, tuple[str, ...]]] = {
    "allocations": ("owner",),
    "shares": ("owner",),
    "legs": ("debit", "credit"),
    "draws": ("wallet",),
    "views": ("wallet", "viewer"),
    "external_ids": ("known_to",),
}
"""Lists of which each line belongs to whoever one of these fields names."""


def redacted(
    event_type: str,
    payload: Mapping[str, Any],
    persona: str,
    is_mine: Callable[[str], bool],
) -> dict[str, Any]:
    """What a persona sees of a fact.

    `is_mine` tells of a party, owner reference or account whether it is the viewer's own or below.
    """
    company = payload.get("company")
    insider = persona == OPERATOR or (isinstance(company, str) and is_mine(company))
    seen: dict[str, Any] = {}
    for name, value in payload.items():
        if persona not in FIELDS.get(name, _NOBODY) and name not in SHOWN_OF.get(event_type, ()):
            continue
        if not insider and event_type in SHARED_TYPES and name in TOTALS:
            continue
        if not insider and name in LINES and isinstance(value, list):
            marks = LINES[name]
            seen[name] = [
                line for line in value if any(is_mine(str(line.get(mark))) for mark in marks)
            ]
        else:
            seen[name] = value
    return seen


def named_in_lines(payload: Mapping[str, Any]) -> set[str]:
    """Whatever `redacted` may ask `is_mine` about."""
    named = {
        str(line[mark])
        for name, marks in LINES.items()
        if isinstance(payload.get(name), list)
        for line in payload[name]
        for mark in marks
        if line.get(mark) is not None
    }
    company = payload.get("company")
    return named | {company} if isinstance(company, str) else named
