"""Routes of programs: policies, fees, budgets, payables, payments, claims on budgets."""

from typing import Any, Final

from tally_contracts import programs
from tally_gateway.routes.model import About, CommandRoute, named_at

WRITE: Final = "programs:write"
_PARTY: Final = "party_01h455vb4pex5vsknk084sn02q"
_BUDGET: Final = "bud_01h455vb4pex5vsknk084sn02q"
_ACCOUNT: Final = "acc_01h455vb4pex5vsknk084sn02q"
_EUR: Final[dict[str, Any]] = {"currency": "EUR", "amount": "250.00"}
_WHY: Final[dict[str, Any]] = {
    "program": "supplier-payments",
    "event": "invoice:42",
    "reason": "Invoice 42",
}
# A holder or partner in the program may act in it too: what each may do, the programs service knows.
_PROGRAM: Final = (About("program_id", is_thing=True),)


def _in_program(thing: str) -> tuple[About, ...]:
    return (About(thing, is_thing=True),)


ROUTES: Final = (
    CommandRoute(
        "/v1/programs",
        programs.CreateProgram,
        tag="programs",
        summary="Begin a program of a company",
        scope=WRITE,
        subject="program_id",
        makes={"program_id": "prog"},
        about=(About("company"),),
        owners=("company",),
        example={"program": "supplier-payments", "company": _PARTY, "title": "Suppliers"},
    ),
    CommandRoute(
        "/v1/programs/{program_id}/policies",
        programs.PublishPolicy,
        tag="programs",
        summary="Put the next version of the policy in force",
        scope=WRITE,
        subject="program_id",
        about=_PROGRAM,
        example={"version": 1, "policy": {"rails": ["ach"], "currencies": ["USD"]}},
    ),
    CommandRoute(
        "/v1/programs/{program_id}/fees",
        programs.SetFees,
        tag="programs",
        summary="Put a fee schedule in force",
        scope=WRITE,
        subject="program_id",
        about=_PROGRAM,
        example={
            "version": 1,
            "lines": [
                {
                    "rail": "ach",
                    "currency": "USD",
                    "fixed": "0.25",
                    "percent": "0.5",
                    "floor": None,
                    "cap": None,
                    "bearer": "payer",
                    "payer_percent": None,
                }
            ],
        },
    ),
    CommandRoute(
        "/v1/programs/{program_id}/funding-order",
        programs.SetFundingOrder,
        tag="programs",
        summary="Name the wallets that fund the program, in the order of their use",
        scope=WRITE,
        step_up=True,
        subject="program_id",
        about=_PROGRAM,
        example={"version": 1, "wallets": [{"account": _ACCOUNT, "currency": "EUR"}]},
    ),
    CommandRoute(
        "/v1/programs/{program_id}/budgets",
        programs.OpenBudget,
        tag="budgets",
        summary="Open a budget, out of a wallet or of a budget above it",
        scope=WRITE,
        subject="budget_id",
        makes={"budget_id": "bud"},
        # A holder is no party of the program: below its own budget it opens others.
        about=(
            About("program_id", is_thing=True, unless="parent"),
            About("parent", is_thing=True),
        ),
        owners=("program_id", "holder"),
        names=named_at("holder"),
        example={"holder": _PARTY, "amount": _EUR, "wallet": _ACCOUNT, "why": _WHY},
    ),
    CommandRoute(
        "/v1/programs/{program_id}/budgets/{budget_id}/allocations",
        programs.AllocateBudget,
        tag="budgets",
        summary="Give a budget more, or take back what it has not used",
        scope=WRITE,
        subject="budget_id",
        makes={"allocation_id": "alc"},
        about=_in_program("budget_id"),
        example={"amount": _EUR, "take_back": False, "why": _WHY},
    ),
    CommandRoute(
        "/v1/programs/{program_id}/budgets/{budget_id}/reservations",
        programs.ReserveBudget,
        tag="budgets",
        summary="Set part of a budget aside",
        scope=WRITE,
        subject="budget_id",
        makes={"reservation_id": "rsv"},
        about=_in_program("budget_id"),
        example={"amount": _EUR, "reference": "order-17", "why": _WHY},
    ),
    CommandRoute(
        "/v1/programs/{program_id}/budgets/{budget_id}/uses",
        programs.UseBudget,
        tag="budgets",
        summary="Part or all of a reservation was spent",
        scope=WRITE,
        subject="budget_id",
        makes={"use_id": "use"},
        about=_in_program("budget_id"),
        example={
            "reservation_id": "rsv_01h455vb4pex5vsknk084sn02q",
            "amount": _EUR,
            "why": _WHY,
        },
    ),
    CommandRoute(
        "/v1/programs/{program_id}/budgets/{budget_id}/releases",
        programs.ReleaseBudget,
        tag="budgets",
        summary="Free what is left of a reservation",
        scope=WRITE,
        subject="budget_id",
        makes={"release_id": "rls"},
        about=_in_program("budget_id"),
        example={"reservation_id": "rsv_01h455vb4pex5vsknk084sn02q", "why": _WHY},
    ),
    CommandRoute(
        "/v1/programs/{program_id}/payables",
        programs.RegisterPayable,
        tag="payables",
        summary="Enter an invoice or purchase order that is to be paid",
        scope=WRITE,
        subject="payable_id",
        makes={"payable_id": "pbl"},
        fixed={"brought": None},
        about=_PROGRAM,
        names=named_at("payer", "payee"),
        owners=("program_id",),
        example={
            "document": "invoice",
            "number": "INV-2026-0042",
            "payer": _PARTY,
            "payee": "party_01h455vb4pex5vsknk084sn02r",
            "amount": _EUR,
            "due": "2026-10-31",
            "kind": "payables",
            "settled_by": "payout",
            "why": _WHY,
        },
    ),
    CommandRoute(
        "/v1/programs/{program_id}/payables/{payable_id}/cancel",
        programs.CancelPayable,
        tag="payables",
        summary="Nothing more is to be paid on it",
        scope=WRITE,
        subject="payable_id",
        about=_in_program("payable_id"),
        example={"why": {**_WHY, "reason": "Goods returned"}},
    ),
    CommandRoute(
        "/v1/programs/{program_id}/payments",
        programs.ProposePayment,
        tag="payments",
        summary="Pay somebody out of a budget, once enough people have approved",
        scope=WRITE,
        step_up=True,
        subject="payment_id",
        makes={"payment_id": "pmt"},
        about=(About("holder"),),
        owners=("program_id", "holder"),
        names=named_at("payee"),
        example={
            "holder": _PARTY,
            "payee": "party_01h455vb4pex5vsknk084sn02r",
            "amount": _EUR,
            "rail": "ach",
            "kind": "payables",
            "why": _WHY,
        },
    ),
    CommandRoute(
        "/v1/programs/{program_id}/payments/{payment_id}/approve",
        programs.ApprovePayment,
        tag="payments",
        summary="Approve a payment that another person proposed",
        scope=WRITE,
        subject="payment_id",
        about=_in_program("payment_id"),
        example={},
    ),
    CommandRoute(
        "/v1/programs/{program_id}/payments/{payment_id}/reject",
        programs.RejectPayment,
        tag="payments",
        summary="Call a payment off before it is approved",
        scope=WRITE,
        subject="payment_id",
        about=_in_program("payment_id"),
        example={"reason": "Wrong amount"},
    ),
    CommandRoute(
        "/v1/programs/{program_id}/budget-claims",
        programs.SubmitBudgetClaim,
        tag="budgets",
        summary="Claim part of a budget, with evidence",
        scope=WRITE,
        subject="claim_id",
        makes={"claim_id": "bcl"},
        about=_in_program("budget_id"),
        owners=("budget_id",),
        example={
            "budget_id": _BUDGET,
            "amount": _EUR,
            "kind": "marketing",
            "evidence": "doc-77",
            "why": _WHY,
        },
    ),
    CommandRoute(
        "/v1/programs/{program_id}/budget-claims/{claim_id}/decide",
        programs.DecideBudgetClaim,
        tag="budgets",
        summary="Approve a claim on a budget, in whole or in part, or reject it",
        scope=WRITE,
        subject="claim_id",
        about=_PROGRAM,
        example={"approve": True, "amount": _EUR, "why": {**_WHY, "reason": "As agreed"}},
    ),
)
