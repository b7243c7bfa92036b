"""Routes of money out and across: payouts, methods, instruments, transfers between wallets."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field, StringConstraints

from tally_contracts import ledger, payouts, rails
from tally_contracts.base import PositiveAmount, TypeId
from tally_gateway.domain.access import Access
from tally_gateway.routes.model import About, Asked, CommandRoute
from tally_runtime import derived_id

PAYOUTS, TRANSFERS = "payouts:write", "transfers:write"
TRANSFER_PREFIX: Final = "wtr"
"""Of references the gateway gives to transfers between wallets, so that it knows their facts."""

_WALLET: Final = "wal_01h455vb4pex5vsknk084sn02q"
_WHY: Final = {"program": "supplier-payments", "event": "invoice:42", "reason": "Invoice 42"}
_USD: Final[dict[str, Any]] = {"currency": "USD", "amount": "250.00"}

Detail = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")
]
DetailName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{0,39}$")]


def _from_wallet(asked: Asked) -> Mapping[str, Any]:
    data = asked.thing("wallet").data
    return {
        "account": data["account"],
        "owner": data["owner"],
        # A wallet no company answers for is its owner's business.
        "company": data.get("company") or data["owner"],
    }


def _sealed_details(asked: Asked) -> Mapping[str, Any]:
    return {
        "sealed": asked.sealers.for_rails(
            asked.value("details"),
            instrument_id=asked.made["instrument_id"],
            rail=asked.value("rail"),
        )
    }


def _legs(asked: Asked) -> Mapping[str, Any]:
    journal_id = asked.made["journal_id"]
    return {
        "reference": derived_id(TRANSFER_PREFIX, journal_id),
        "effective_at": asked.now,
        "legs": (
            ledger.Leg(
                id=derived_id("tr", journal_id, "0"),
                debit=asked.thing("wallet").data["account"],
                credit=asked.thing("to_wallet").data["account"],
                amount=asked.value("amount"),
                code="transfer",
            ),
        ),
    }


ROUTES: Final = (
    CommandRoute(
        "/v1/payouts",
        payouts.RequestPayout,
        tag="payouts",
        summary="Pay out of a wallet, by the way its owner has chosen",
        scope=PAYOUTS,
        subject="payout_id",
        makes={"payout_id": "po"},
        step_up=True,
        about=(About("wallet", Access.DEBIT, is_thing=True),),
        owners=("wallet",),
        works_out=frozenset({"account", "owner", "company"}),
        drops=frozenset({"wallet"}),
        extra={"wallet": (TypeId, Field(description="the wallet the money leaves"))},
        prepare=_from_wallet,
        example={"wallet": _WALLET, "amount": _USD, "why": _WHY},
    ),
    CommandRoute(
        "/v1/payouts/{payout_id}/cancel",
        payouts.CancelPayout,
        tag="payouts",
        summary="Stop a payout that has not been handed to a rail",
        scope=PAYOUTS,
        subject="payout_id",
        about=(About("payout_id", is_thing=True),),
        example={"reason": "Wrong amount"},
    ),
    CommandRoute(
        "/v1/parties/{owner}/instruments",
        rails.RegisterInstrument,
        tag="payouts",
        summary="Register where a payee can be paid to; the details are sealed at once",
        scope=PAYOUTS,
        subject="instrument_id",
        makes={"instrument_id": "ins"},
        about=(About("owner"),),
        owners=("owner",),
        works_out=frozenset({"sealed"}),
        drops=frozenset({"details"}),
        extra={
            "details": (
                dict[DetailName, Detail],
                Field(min_length=1, max_length=16, description="what the rail asks for, by name"),
            )
        },
        prepare=_sealed_details,
        example={
            "rail": "ach",
            "currency": "USD",
            "details": {
                "routing_number": "021000021",
                "account_number": "123456789",
                "account_type": "checking",
                "holder_name": "Supplier Ltd",
            },
        },
    ),
    CommandRoute(
        "/v1/parties/{owner}/methods",
        payouts.ChooseMethod,
        tag="payouts",
        summary="Choose how money of a currency leaves from now on",
        scope=PAYOUTS,
        subject="owner",
        step_up=True,
        about=(About("owner", Access.DEBIT), About("instrument", is_thing=True)),
        example={
            "currency": "USD",
            "rail": "ach",
            "instrument": "ins_01h455vb4pex5vsknk084sn02q",
        },
    ),
    CommandRoute(
        "/v1/wallets/{wallet}/transfers",
        ledger.PostJournal,
        tag="wallets",
        summary="Move money to another wallet of the same currency",
        scope=TRANSFERS,
        subject="journal_id",
        makes={"journal_id": "jrn"},
        step_up=True,
        about=(
            About("wallet", Access.DEBIT, is_thing=True),
            About("to_wallet", Access.PAY, is_thing=True),
        ),
        works_out=frozenset({"reference", "open_accounts", "legs", "effective_at"}),
        drops=frozenset({"wallet", "to_wallet", "amount"}),
        extra={
            "to_wallet": (TypeId, Field(description="the wallet that gets the money")),
            "amount": (PositiveAmount, ...),
        },
        prepare=_legs,
        example={
            "to_wallet": "wal_01h455vb4pex5vsknk084sn02r",
            "amount": _USD,
            "why": _WHY,
        },
    ),
)
