"""Entries of a statement and the payments inside them, across versions .02 to .14.

Versions differ in where a few things stand: a status is text or a Cd below it, a party's name is
below Pty since .08, an amount of a payment is its own element since .03 and in AmtDtls before.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tally_bankfiles.camt.document import Node
from tally_bankfiles.camt.model import (
    BankTransactionCode,
    EntryStatus,
    EntryTransaction,
    Party,
    StatementEntry,
    StructuredRemittance,
)
from tally_bankfiles.camt.values import amount_of, date_of, flag_of, is_credit, number_of
from tally_money import Money

_STATUS: Final[Mapping[str, EntryStatus]] = MappingProxyType(
    {
        "BOOK": EntryStatus.BOOKED,
        "PDNG": EntryStatus.PENDING,
        "FUTR": EntryStatus.PENDING,
        "INFO": EntryStatus.INFO,
    }
)
_NOT_PROVIDED: Final = "NOTPROVIDED"


def read_entry(node: Node, index: int) -> StatementEntry:
    """One Ntry; raises StatementError at the first element that is missing or broken."""
    amount = amount_of(node.need("Amt"))
    credit = is_credit(node.need("CdtDbtInd"))
    sizes = [number_of(size) for size in node.children("NtryDtls/Btch/NbOfTxs")]
    batch_size = sum(size or 0 for size in sizes) if sizes else None
    details = list(node.children("NtryDtls/TxDtls"))
    alone = len(details) == 1 and batch_size in {None, 1}
    return StatementEntry(
        index=index,
        line=node.line,
        amount=amount,
        credit=credit,
        reversal=flag_of(node.child("RvslInd")),
        status=_status(node),
        booking_date=date_of(node.child("BookgDt")),
        value_date=date_of(node.child("ValDt")),
        entry_ref=node.text("NtryRef"),
        account_servicer_ref=node.text("AcctSvcrRef"),
        bank_transaction_code=_bank_transaction_code(node),
        batch_size=batch_size,
        transactions=tuple(
            _transaction(detail, credit=credit, amount=amount if alone else None)
            for detail in details
        ),
        additional_info=node.text("AddtlNtryInf"),
    )


def _status(node: Node) -> EntryStatus:
    status = node.need("Sts")
    code = status.text("Cd") or status.own_text
    known = _STATUS.get(code)
    if known is None:
        raise status.broken(f"BOOK, PDNG, FUTR or INFO expected, found {code[:20]!a}")
    return known


def _transaction(node: Node, *, credit: bool, amount: Money | None) -> EntryTransaction:
    own_amount = node.child("Amt") or node.child("AmtDtls/TxAmt/Amt")
    side = node.child("CdtDbtInd")
    end_to_end_id = node.text("Refs/EndToEndId")
    uetr = node.text("Refs/UETR")
    return EntryTransaction(
        amount=amount if own_amount is None else amount_of(own_amount),
        credit=credit if side is None else is_credit(side),
        end_to_end_id=None if end_to_end_id == _NOT_PROVIDED else end_to_end_id,
        uetr=None if uetr is None else uetr.lower(),
        instruction_id=node.text("Refs/InstrId"),
        transaction_id=node.text("Refs/TxId"),
        account_servicer_ref=node.text("Refs/AcctSvcrRef"),
        mandate_id=node.text("Refs/MndtId"),
        debtor=_party(node, "Dbtr"),
        creditor=_party(node, "Cdtr"),
        bank_transaction_code=_bank_transaction_code(node),
        unstructured=node.texts("RmtInf/Ustrd"),
        structured=tuple(_structured(strd) for strd in node.children("RmtInf/Strd")),
        return_reason=node.text("RtrInf/Rsn/Cd") or node.text("RtrInf/Rsn/Prtry"),
        additional_info=node.text("AddtlTxInf"),
    )


def _party(node: Node, role: str) -> Party:
    party = f"RltdPties/{role}"
    account = f"RltdPties/{role}Acct/Id"
    name = (
        node.text(f"{party}/Nm")
        or node.text(f"{party}/Pty/Nm")
        or node.text(f"{party}/Agt/FinInstnId/Nm")
    )
    return Party(name, node.text(f"{account}/IBAN") or node.text(f"{account}/Othr/Id"))


def _structured(node: Node) -> StructuredRemittance:
    kind = "CdtrRefInf/Tp/CdOrPrtry"
    return StructuredRemittance(
        reference=node.text("CdtrRefInf/Ref"),
        reference_type=node.text(f"{kind}/Cd") or node.text(f"{kind}/Prtry"),
        documents=node.texts("RfrdDocInf/Nb"),
        additional=node.texts("AddtlRmtInf"),
    )


def _bank_transaction_code(node: Node) -> BankTransactionCode | None:
    code = node.child("BkTxCd")
    if code is None:
        return None
    return BankTransactionCode(
        domain=code.text("Domn/Cd"),
        family=code.text("Domn/Fmly/Cd"),
        sub_family=code.text("Domn/Fmly/SubFmlyCd"),
        proprietary=code.text("Prtry/Cd"),
        issuer=code.text("Prtry/Issr"),
    )
