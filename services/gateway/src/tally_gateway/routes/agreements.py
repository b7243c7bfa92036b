"""Routes of escrow agreements, of money for payees nobody knows yet, and of unclaimed money."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field, StringConstraints

from tally_contracts import funding_claims, funding_escrow, funding_unclaimed
from tally_gateway.routes.model import About, Asked, CommandRoute, named_at

AGREEMENTS, CLAIMS, UNCLAIMED = "agreements:write", "claims:write", "unclaimed:write"
_PAYER: Final = "party_01h455vb4pex5vsknk084sn02q"
_PAYEE: Final = "party_01h455vb4pex5vsknk084sn02r"
_USD: Final[dict[str, Any]] = {"currency": "USD", "amount": "1000.00"}
_WHY: Final = {"program": "escrow", "event": "contract:9", "reason": "Contract 9"}
_REPORT: Final = {"program": "unclaimed", "event": "report-2029", "reason": "Yearly report"}
_CONCERNED: Final = ("payee", "arbiter", "condition.approvers", "condition.presenter")
_AGREEMENT: Final = (About("agreement_id", is_thing=True),)

ClaimCode = Annotated[str, StringConstraints(min_length=8, max_length=128, pattern=r"^[!-~]+$")]


def _hashed_code(asked: Asked) -> Mapping[str, Any]:
    return {"code_hash": hashlib.sha256(asked.value("code").encode()).hexdigest()}


def _act(
    address: str,
    command: type[Any],
    summary: str,
    example: Mapping[str, Any],
    *,
    step_up: bool = False,
) -> CommandRoute:
    return CommandRoute(
        f"/v1/agreements/{{agreement_id}}/{address}",
        command,
        tag="agreements",
        summary=summary,
        scope=AGREEMENTS,
        subject="agreement_id",
        about=_AGREEMENT,
        step_up=step_up,
        example={"why": _WHY, **example},
    )


FILED: Final = (
    CommandRoute(
        "/v1/unclaimed/filings",
        funding_unclaimed.ProposeFiling,
        tag="unclaimed",
        summary="Propose to give what is reportable to a jurisdiction; no money moves yet",
        scope=UNCLAIMED,
        subject="filing_id",
        makes={"filing_id": "fil"},
        about=(About("holder"),),
        owners=("holder",),
        example={"holder": _PAYER, "jurisdiction": "us", "why": _REPORT},
    ),
    CommandRoute(
        "/v1/unclaimed/filings/{filing_id}/decide",
        funding_unclaimed.DecideFiling,
        tag="unclaimed",
        summary="Approve or stop a filing that another person proposed",
        scope=UNCLAIMED,
        subject="filing_id",
        about=(About("filing_id", is_thing=True),),
        example={"approve": True, "note": "Checked against the books"},
    ),
    CommandRoute(
        "/v1/unclaimed/reclaims",
        funding_unclaimed.ProposeReclaim,
        tag="unclaimed",
        summary="Propose to bring filed money back to its owner; none moves yet",
        scope=UNCLAIMED,
        subject="reclaim_id",
        makes={"reclaim_id": "rcl"},
        about=(About("filing_id", is_thing=True),),
        owners=("filing_id",),
        example={
            "filing_id": "fil_01h455vb4pex5vsknk084sn02q",
            "account": "acc_01h455vb4pex5vsknk084sn02q",
            "claimant": _PAYEE,
            "why": {**_REPORT, "reason": "The owner was found"},
        },
    ),
    CommandRoute(
        "/v1/unclaimed/reclaims/{reclaim_id}/decide",
        funding_unclaimed.DecideReclaim,
        tag="unclaimed",
        summary="Approve or decline a reclaim that another person proposed",
        scope=UNCLAIMED,
        subject="reclaim_id",
        about=(About("reclaim_id", is_thing=True),),
        example={"approve": True, "note": "Identity checked"},
    ),
    CommandRoute(
        "/v1/unclaimed/confirmations",
        funding_unclaimed.ConfirmOwner,
        tag="unclaimed",
        summary="Give a sign of life, as the owner: its dormancy clocks start again",
        scope=UNCLAIMED,
        subject="owner",
        about=(About("owner"),),
        example={"owner": _PAYEE, "sign": "answer"},
    ),
)

ROUTES: Final = (
    CommandRoute(
        "/v1/agreements",
        funding_escrow.ProposeAgreement,
        tag="agreements",
        summary="Enter an escrow agreement; no money moves yet",
        scope=AGREEMENTS,
        subject="agreement_id",
        makes={"agreement_id": "agr"},
        about=(About("payer"),),
        owners=("payer", *_CONCERNED),
        names=named_at(*_CONCERNED),
        example={
            "payer": _PAYER,
            "payee": _PAYEE,
            "amount": _USD,
            "condition": {"kind": "approval", "approvers": [_PAYER], "needed": 1},
            "deadline": "2026-12-31T00:00:00Z",
            "why": _WHY,
        },
    ),
    _act(
        "fund",
        funding_escrow.FundAgreement,
        "Pay the whole amount into the agreement",
        {},
        step_up=True,
    ),
    _act("approve", funding_escrow.ApproveRelease, "Approve, as one the condition names", {}),
    _act(
        "documents",
        funding_escrow.PresentDocument,
        "Present the document by its SHA-256",
        {"document": "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"},
    ),
    _act("release", funding_escrow.ReleaseAgreement, "Pay part or all to the payee", {}),
    _act("refund", funding_escrow.RefundAgreement, "Give all that is held back to the payer", {}),
    _act("dispute", funding_escrow.DisputeAgreement, "Stop until the arbiter decides", {}),
    _act(
        "arbitrate",
        funding_escrow.ArbitrateAgreement,
        "Divide what is disputed, as the arbiter",
        {
            "to_payee": {"currency": "USD", "amount": "600.00"},
            "to_payer": {"currency": "USD", "amount": "400.00"},
        },
    ),
    CommandRoute(
        "/v1/claims",
        funding_claims.IssueClaim,
        tag="claims",
        summary="Make a claim code for the wallet of an unknown payee",
        scope=CLAIMS,
        subject="claim_id",
        makes={"claim_id": "claim"},
        names=named_at("expires_to"),
        example={"owner": "event:race-7", "expires_at": "2026-12-31T00:00:00Z", "why": _WHY},
    ),
    CommandRoute(
        "/v1/claims/{claim_id}/redeem",
        funding_claims.RedeemClaim,
        tag="claims",
        summary="Claim a wallet with its code",
        scope=CLAIMS,
        subject="claim_id",
        works_out=frozenset({"code_hash"}),
        drops=frozenset({"code"}),
        extra={"code": (ClaimCode, Field(description="as it was received"))},
        prepare=_hashed_code,
        example={"code": "7Q4X-9KMD-2LPA", "why": _WHY},
    ),
    CommandRoute(
        "/v1/designations",
        funding_claims.Redesignate,
        tag="claims",
        summary="Name another owner for money nobody has claimed",
        scope=CLAIMS,
        subject="owner",
        about=(About("to_owner"),),
        example={"owner": "event:race-7", "to_owner": _PAYEE, "why": _WHY},
    ),
    *FILED,
)
