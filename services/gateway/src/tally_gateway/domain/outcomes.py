"""What the first fact of a command says of it: done, or refused, and then why and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from tally_gateway.domain.concerns import is_refusal

SUCCEEDED, REFUSED = "succeeded", "refused"

_DOCUMENT, _CONTENT = "/document", "/content"
"""Where a body holds a rule, and a bank's file."""

# These come along with what a command leads to, by another topic, and may overtake it: a statement's
# lines are told one by one, and the statement itself answers for all.
_ALONG: Final = frozenset({"funding.pay_in.received.v1"})

# These tell of a thing that was not to be, by its state: what was asked for will not happen.
_NOT_TO_BE: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "payouts.payout.changed.v1": frozenset({"rejected"}),
        "payouts.command.taken.v1": frozenset({"rejected"}),
        "payouts.method.chosen.v1": frozenset({"refused", "disabled"}),
    }
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One wrong place in a document that a command had with it; `field` points into the document, too."""

    field: str
    code: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a command was refused; `field` is a JSON pointer into what was sent."""

    code: str
    detail: str
    field: str | None
    remedy: str | None
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class _Reason:
    detail: str
    field: str
    remedy: str


# Facts of things give a code alone; the facts that are refusals say the rest themselves.
_REASONS: Final[Mapping[str, _Reason]] = MappingProxyType(
    {
        "account_unknown": _Reason(
            "the wallet is not known where payouts are made",
            "/wallet",
            "name a wallet that was opened, or wait until it is",
        ),
        "account_not_owned": _Reason(
            "the wallet is another owner's", "/wallet", "name a wallet of the owner"
        ),
        "ledger_unknown": _Reason(
            "the wallet is on a ledger that pays nothing out here", "/wallet", "name another wallet"
        ),
        "currency_mismatch": _Reason(
            "the wallet is of another currency", "/amount/currency", "ask in the wallet's currency"
        ),
        "currency_forbidden_by_program": _Reason(
            "the program's policy does not pay in this currency",
            "/amount/currency",
            "ask in one of the policy's currencies, or have the policy changed",
        ),
        "amount_below_minimum": _Reason(
            "the amount is below the limit of the program's policy",
            "/amount/amount",
            "ask for more, or have the policy changed",
        ),
        "amount_above_maximum": _Reason(
            "the amount is above the limit of the program's policy",
            "/amount/amount",
            "ask for less at once, or have the policy changed",
        ),
        "country_unknown": _Reason(
            "the program's policy pays in named countries alone, and none was named",
            "/why/program",
            "name a program without this limit, or have its policy changed",
        ),
        "country_forbidden_by_program": _Reason(
            "the program's policy does not pay in this country",
            "/why/program",
            "name another program, or have its policy changed",
        ),
        "rail_unknown": _Reason(
            "this installation has no rail of this name", "/rail", "choose a rail it has"
        ),
        "instrument_mismatch": _Reason(
            "the instrument is of another owner, rail or currency",
            "/instrument",
            "choose an instrument of this owner for this rail and currency",
        ),
        "method_disabled": _Reason(
            "the instrument was closed", "/instrument", "register another instrument, choose that"
        ),
    }
)


def is_outcome(event_type: str) -> bool:
    """Whether a fact may be what became of the command that it names as its cause."""
    return event_type not in _ALONG


def state_of(event_type: str, payload: Mapping[str, Any]) -> str:
    """What becomes of a command whose first fact this is: `succeeded` or `refused`."""
    refused = is_refusal(event_type) or payload.get("state") in _NOT_TO_BE.get(event_type, ())
    return REFUSED if refused else SUCCEEDED


def refusal_of(payload: Mapping[str, Any]) -> Refusal:
    """Why, as the fact that refused a command says it, or as its code is explained here."""
    code = str(payload.get("code") or payload.get("reason_code") or "command_refused")
    if "file_name" in payload:
        return _of_a_file(code, payload)
    reason = _REASONS.get(code)
    return Refusal(
        code=code,
        detail=str(
            payload.get("detail")
            or (
                f"The command was refused: {reason.detail}."
                if reason
                else "The command was refused."
            )
        ),
        field=payload.get("field") or (reason.field if reason else None),
        remedy=payload.get("remedy") or (reason.remedy if reason else None),
        faults=tuple(
            Fault(f"{_DOCUMENT}{fault['pointer']}", fault["code"], fault["remedy"])
            for fault in payload.get("faults") or ()
        ),
    )


def _of_a_file(code: str, payload: Mapping[str, Any]) -> Refusal:
    """Of a file its own words name the place: an element or a tag, and the line."""
    line, named = payload.get("line"), payload["field"]
    place = f"line {line}, {named}" if line else str(named)
    return Refusal(code, f"Nothing of the file was booked: {place}.", _CONTENT, payload["remedy"])
