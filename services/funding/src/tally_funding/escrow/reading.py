"""Commands as the domain's orders and proposals; what cannot be read is a refusal with its place."""

from typing import assert_never

from tally_contracts.base import AskedAmount
from tally_contracts.funding_escrow import (
    ApproveRelease,
    ArbitrateAgreement,
    DisputeAgreement,
    FundAgreement,
    PresentDocument,
    ProposeAgreement,
    RefundAgreement,
    ReleaseAgreement,
)
from tally_funding.answers.refusal import Refusal
from tally_funding.escrow.domain.orders import (
    Approve,
    Arbitrate,
    Dispute,
    Fund,
    Order,
    Present,
    Refund,
    Release,
)
from tally_funding.escrow.domain.proposal import Proposal
from tally_funding.escrow.postings import REFERENCE_PREFIX
from tally_funding.escrow.store import condition_of
from tally_money import Money, MoneyError

OrderCommand = (
    FundAgreement
    | ApproveRelease
    | PresentDocument
    | ReleaseAgreement
    | RefundAgreement
    | DisputeAgreement
    | ArbitrateAgreement
)
Command = ProposeAgreement | OrderCommand


def proposal(command: ProposeAgreement) -> Proposal | Refusal:
    """The proposal a command makes."""
    if not command.agreement_id.startswith(REFERENCE_PREFIX):
        return Refusal(
            "id_malformed",
            "/agreement_id",
            f"the id of an agreement starts with {REFERENCE_PREFIX}",
            "make a new id of that kind",
        )
    amount = _money(command.amount, "/amount")
    if isinstance(amount, Refusal):
        return amount
    return Proposal(
        agreement_id=command.agreement_id,
        tenant=command.tenant,
        by=command.who.principal,
        payer=command.payer,
        payee=command.payee,
        arbiter=command.arbiter,
        amount=amount,
        condition=condition_of(command.condition),
        deadline=command.deadline,
        on_deadline=command.on_deadline,
        program=command.why.program,
    )


def order(command: OrderCommand) -> Order | Refusal:
    """The order a command gives, by its principal."""
    by = command.who.principal
    match command:
        case FundAgreement():
            return Fund(by)
        case ApproveRelease():
            return Approve(by)
        case PresentDocument():
            return Present(by, command.document)
        case ReleaseAgreement():
            return _release(command)
        case RefundAgreement():
            return Refund(by)
        case DisputeAgreement():
            return Dispute(by)
        case ArbitrateAgreement():
            return _arbitrate(command)
        case _:
            assert_never(command)


def _release(command: ReleaseAgreement) -> Order | Refusal:
    by = command.who.principal
    if command.amount is None:
        return Release(by, None)
    amount = _money(command.amount, "/amount")
    return amount if isinstance(amount, Refusal) else Release(by, amount)


def _arbitrate(command: ArbitrateAgreement) -> Order | Refusal:
    by = command.who.principal
    to_payee = _money(command.to_payee, "/to_payee")
    to_payer = _money(command.to_payer, "/to_payer")
    if isinstance(to_payee, Refusal):
        return to_payee
    if isinstance(to_payer, Refusal):
        return to_payer
    return Arbitrate(by, to_payee, to_payer)


def _money(asked: AskedAmount, field: str) -> Money | Refusal:
    try:
        return asked.money()
    except MoneyError as error:
        return Refusal(
            error.code,
            f"{field}/amount",
            str(error)[:500],
            "give a decimal string with at most the currency's decimals, and no sign",
        )
