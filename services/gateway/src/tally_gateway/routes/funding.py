"""Routes of money in: entries, expectations, matches, returns, statements, allocation rules."""

import base64
import gzip
import json
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, Field, StringConstraints
from pydantic_core import PydanticCustomError

from tally_contracts import funding, funding_rules, funding_sources
from tally_contracts.base import TypeId, Who
from tally_gateway.domain.access import Access
from tally_gateway.routes.model import About, Asked, CommandRoute, Named, named_at

PAY_INS, RULES, STATEMENTS = "pay-ins:write", "rules:write", "statements:write"
_PARTY: Final = "party_01h455vb4pex5vsknk084sn02q"
_PAYEE: Final = "party_01h455vb4pex5vsknk084sn02r"
_PAY_IN: Final = (About("pay_in_id", is_thing=True),)
_WHY: Final = {"program": "supplier-payments", "event": "invoice:42", "reason": "Invoice 42"}
_USD: Final[dict[str, Any]] = {"currency": "USD", "amount": "250.00"}
_RULE: Final = (
    '{"schema": 2, "rule": "standard", "version": 1, "lines": ['
    '{"role": "fee", "to": {"role": "aggregator"}, "percent": "2.5"}, '
    '{"role": "beneficiary", "to": {"role": "beneficiary"}, "remainder": true, "pay_out": true}], '
    '"rounding": "half_even"}'
)

_BY_THE_CALLER: Final = frozenset({"company"})
"""Whose rule it is follows from who publishes it."""


def _base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except ValueError as error:
        raise PydanticCustomError("bad_base64", "is no base64") from error
    return text


StatementFile = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9+/]+={0,2}$", min_length=4, max_length=900_000),
    AfterValidator(_base64),
]


def _of_document(body: BaseModel) -> Named:
    """Parties and groups that a rule document names; what is no document has others to say so."""
    try:
        document = json.loads(getattr(body, "document", None) or "null")
    except (ValueError, RecursionError):
        return ()
    # By hand: how deep a document of anybody's is nested is not for the interpreter's stack to bear.
    found, left = [], [("/document", document)]
    while left:
        place, value = left.pop()
        if isinstance(value, str):
            found.append((place, value))
        elif isinstance(value, list):
            left += ((f"{place}/{number}", each) for number, each in enumerate(value))
        elif isinstance(value, dict):
            # Tags are the payer's own words, whatever they look like.
            left += ((f"{place}/{name}", each) for name, each in value.items() if name != "tags")
            if place.endswith("/weights"):
                found += ((f"{place}/{name}", name) for name in value)
    return sorted(found)


def _compressed(asked: Asked) -> Mapping[str, Any]:
    content = base64.b64decode(asked.value("content"))
    company = asked.value("company")
    # No time of its own in the result: the same file is the same command.
    told: dict[str, Any] = {"content": base64.b64encode(gzip.compress(content, mtime=0)).decode()}
    if company is not None:
        # The operator acts for the account's holder, whose money it is and who expects it.
        told["who"] = Who(actor=asked.caller.actor, principal=company)
    return told


SOURCES: Final = (
    CommandRoute(
        "/v1/pay-ins",
        funding_sources.EnterPayIn,
        tag="pay-ins",
        summary="Propose a pay-in by hand; another person has to approve it",
        scope=PAY_INS,
        subject="entry_id",
        makes={"entry_id": "entry"},
        about=(About("company"),),
        names=named_at("beneficiary.party"),
        owners=("company",),
        example={
            "external_id": "cheque-881",
            "amount": _USD,
            "originator": {"reference": "customer-7"},
            "company": _PARTY,
            "beneficiary": {"party": _PAYEE},
            "value_date": "2026-09-21",
            "why": _WHY,
        },
    ),
    CommandRoute(
        "/v1/pay-in-entries/{entry_id}/decide",
        funding_sources.DecideEntry,
        tag="pay-ins",
        summary="Approve or decline a proposed pay-in",
        scope=PAY_INS,
        subject="entry_id",
        about=(About("entry_id", is_thing=True),),
        example={"approve": True, "note": "Cheque seen"},
    ),
    CommandRoute(
        "/v1/expectations",
        funding_sources.ExpectPayIn,
        tag="pay-ins",
        summary="Say what money will name, and for whom it then is",
        scope=PAY_INS,
        subject="expectation_id",
        makes={"expectation_id": "expect"},
        about=(About("company"),),
        names=named_at("beneficiary.party"),
        owners=("company",),
        example={
            "kind": "invoice",
            "reference": "INV-2026-0042",
            "amount": _USD,
            "currency": "USD",
            "company": _PARTY,
            "beneficiary": {"party": _PAYEE},
            "program": "supplier-payments",
            "why": _WHY,
        },
    ),
    CommandRoute(
        "/v1/pay-ins/{pay_in_id}/match",
        funding_sources.DecideMatch,
        tag="pay-ins",
        summary="Say whose money in suspense is",
        scope=PAY_INS,
        subject="pay_in_id",
        makes={"match_id": "match"},
        about=_PAY_IN,
        names=named_at("beneficiary.party"),
        example={
            "beneficiary": {"party": _PAYEE},
            "program": "supplier-payments",
            "note": "Named in the letter",
        },
    ),
    CommandRoute(
        "/v1/pay-ins/{pay_in_id}/returns",
        funding_sources.ReturnPayIn,
        tag="pay-ins",
        summary="Give back part or all of a pay-in",
        scope=PAY_INS,
        subject="pay_in_id",
        makes={"return_id": "ret"},
        about=_PAY_IN,
        example={"kind": "refund", "amount": _USD, "why": _WHY},
    ),
    CommandRoute(
        "/v1/receivables/{receivable_id}/settlements",
        funding_sources.SettleReceivable,
        tag="pay-ins",
        summary="Pay what is owed from the owner's wallet",
        scope=PAY_INS,
        subject="receivable_id",
        makes={"settlement_id": "settle"},
        step_up=True,
        about=(About("receivable_id", is_thing=True),),
        example={"amount": _USD, "why": _WHY},
    ),
    CommandRoute(
        "/v1/statements",
        funding.ImportStatement,
        tag="pay-ins",
        summary="Import a bank statement, whole or not at all",
        scope=STATEMENTS,
        subject="import_id",
        makes={"import_id": "imp"},
        operator_only=True,
        about=(About("company"),),
        names=named_at("company"),
        works_out=frozenset({"content"}),
        drops=frozenset({"company"}),
        extra={
            "content": (StatementFile, Field(description="the file, in base64")),
            "company": (
                TypeId | None,
                Field(
                    default=None,
                    description="whose account it is of; the installation's own if absent",
                ),
            ),
        },
        prepare=_compressed,
        example={"file_name": "2026-09-21.camt.xml", "content": "PERvY3VtZW50Lz4="},
    ),
)

ALLOCATION: Final = (
    CommandRoute(
        "/v1/rules",
        funding_rules.PublishRule,
        tag="rules",
        summary="Publish the first version of an allocation rule",
        scope=RULES,
        subject="rule_id",
        makes={"rule_id": "rule"},
        works_out=_BY_THE_CALLER,
        names=_of_document,
        example={"document": _RULE},
    ),
    CommandRoute(
        "/v1/rules/{rule_id}/versions",
        funding_rules.PublishRule,
        tag="rules",
        summary="Publish the next version of an allocation rule",
        scope=RULES,
        subject="rule_id",
        operation="funding_rule_publish_version",
        works_out=_BY_THE_CALLER,
        names=_of_document,
        about=(About("rule_id", is_thing=True),),
        example={"document": _RULE},
    ),
    CommandRoute(
        "/v1/rules/{rule_id}/retire",
        funding_rules.RetireRule,
        tag="rules",
        summary="Let a rule divide no more money from now on",
        scope=RULES,
        subject="rule_id",
        about=(About("rule_id", is_thing=True),),
        example={"reason": "Contract ended"},
    ),
    CommandRoute(
        "/v1/rules/lint",
        funding_rules.LintRule,
        tag="rules",
        summary="Check a rule document as publishing would",
        scope=RULES,
        subject="lint_id",
        makes={"lint_id": "lint"},
        names=_of_document,
        example={"document": _RULE},
    ),
    CommandRoute(
        "/v1/rules/dry-runs",
        funding_rules.DryRunRule,
        tag="rules",
        summary="Divide past or sample pay-ins, and book nothing",
        scope=RULES,
        subject="run_id",
        makes={"run_id": "run"},
        names=_of_document,
        example={"pay_ins": ["pin_01h455vb4pex5vsknk084sn02q"]},
    ),
    CommandRoute(
        "/v1/parties/{owner}/signing-keys",
        funding_rules.RegisterOwnerKey,
        tag="rules",
        summary="Register the key an owner signs rules with",
        scope=RULES,
        subject="owner",
        step_up=True,
        about=(About("owner", Access.OWN_WORD, by_operator=True),),
        example={"public_key": "A" * 43 + "="},
    ),
)

ROUTES: Final = (*SOURCES, *ALLOCATION)
