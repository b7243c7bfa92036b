"""Writing camt.053 statements, for demonstrations and tests."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Final, cast

from lxml import etree

from tally_bankfiles.camt.model import (
    Account,
    BankTransactionCode,
    EntryStatus,
    EntryTransaction,
    Page,
    Party,
    SignedMoney,
    Statement,
    StatementEntry,
    StructuredRemittance,
)
from tally_bankfiles.camt.reader import read_statements
from tally_bankfiles.camt.writing import Branch
from tally_money import Money

VERSIONS: Final = (2, 8)
_WITH_PARTY_CHOICE: Final = 8
"""From this version on a status and a party stand one element deeper, an amount one higher."""

_STATUS: Final[Mapping[EntryStatus, str]] = MappingProxyType(
    {EntryStatus.BOOKED: "BOOK", EntryStatus.PENDING: "PDNG", EntryStatus.INFO: "INFO"}
)
_REFERENCE_TYPES: Final = frozenset({"RADM", "RPIN", "FXDR", "DISP", "PUOR", "SCOR"})
_REASON_LENGTH: Final = 4


def write_camt053(statement: Statement, *, version: int = 8) -> bytes:
    """A camt.053 of version 2 or 8 with one statement, valid by that schema.

    Needs both balances with their dates and a bank transaction code on each entry. What was
    written is read back and must be the same statement; raises StatementError where it cannot be
    (an unbalanced statement too: damage the bytes to get one).
    """
    if version not in VERSIONS:
        raise ValueError(f"version {version} is not written; give one of {VERSIONS}")
    namespace = f"urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version:02}"
    default = cast("dict[str, str]", {None: namespace})  # the stubs know no default namespace
    root = etree.Element(f"{{{namespace}}}Document", nsmap=default)
    message = Branch(root, version).branch("BkToCstmrStmt")
    header = message.branch("GrpHdr")
    header.leaf("MsgId", statement.message_id)
    header.leaf("CreDtTm", _moment(statement.created_at))
    if version < _WITH_PARTY_CHOICE:
        _write_page(header, "MsgPgntn", statement.page)
    _write_statement(message.branch("Stmt"), statement)
    etree.indent(root)
    data = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    if read_statements(data) != (statement,):
        raise message.refused("Stmt", f"version {version} does not hold all of this statement")
    return data


def _write_statement(node: Branch, statement: Statement) -> None:
    node.leaf("Id", statement.id)
    if node.version >= _WITH_PARTY_CHOICE:
        _write_page(node, "StmtPgntn", statement.page)
    node.leaf("ElctrncSeqNb", _number(statement.electronic_sequence))
    node.leaf("LglSeqNb", _number(statement.legal_sequence))
    node.leaf("CreDtTm", _moment(statement.created_at))
    if statement.period is not None:
        period = node.branch("FrToDt")
        period.leaf("FrDtTm", _moment(statement.period.start))
        period.leaf("ToDtTm", _moment(statement.period.end))
    node.leaf("CpyDplctInd", statement.copy_duplicate)
    account = node.branch("Acct")
    _write_account(account, statement.account)
    account.leaf("Ccy", None if statement.currency is None else statement.currency.code)
    _write_balance(node, "OPBD", statement.opening, statement.opening_date)
    _write_balance(node, "CLBD", statement.closing, statement.closing_date)
    _write_summary(node, statement.entries)
    for entry in statement.entries:
        _write_entry(node.branch("Ntry"), entry)


def _write_page(node: Branch, tag: str, page: Page | None) -> None:
    if page is not None:
        pagination = node.branch(tag)
        pagination.leaf("PgNb", str(page.number))
        pagination.leaf("LastPgInd", _flag(page.last))


def _write_account(node: Branch, account: Account) -> None:
    node.leaf("Id/IBAN" if account.is_iban else "Id/Othr/Id", account.number)


def _write_balance(node: Branch, code: str, amount: SignedMoney | None, day: date | None) -> None:
    if amount is None or day is None:
        raise node.refused("Bal", f"balance {code} and its date must be given")
    balance = node.branch("Bal")
    balance.leaf("Tp/CdOrPrtry/Cd", code)
    balance.amount("Amt", amount if amount.minor >= 0 else -amount)
    balance.leaf("CdtDbtInd", _side(credit=amount.minor >= 0))
    balance.leaf("Dt/Dt", day.isoformat())


def _write_summary(node: Branch, entries: Sequence[StatementEntry]) -> None:
    if not entries:
        return
    summary = node.branch("TxsSummry")
    for tag, credit in (("TtlCdtNtries", True), ("TtlDbtNtries", False)):
        amounts = [entry.amount for entry in entries if entry.credit is credit]
        if amounts:
            group = summary.branch(tag)
            group.leaf("NbOfNtries", str(len(amounts)))
            total = Money(sum(amount.minor for amount in amounts), amounts[0].currency)
            group.leaf("Sum", total.wire_amount)


def _write_entry(node: Branch, entry: StatementEntry) -> None:
    node.leaf("NtryRef", entry.entry_ref)
    node.amount("Amt", entry.amount)
    node.leaf("CdtDbtInd", _side(credit=entry.credit))
    if entry.reversal:
        node.leaf("RvslInd", _flag(entry.reversal))
    node.leaf("Sts/Cd" if node.version >= _WITH_PARTY_CHOICE else "Sts", _STATUS[entry.status])
    node.leaf("BookgDt/Dt", _day(entry.booking_date))
    node.leaf("ValDt/Dt", _day(entry.value_date))
    node.leaf("AcctSvcrRef", entry.account_servicer_ref)
    if entry.bank_transaction_code is None:
        raise node.refused("BkTxCd", "an entry has a bank transaction code")
    _write_code(node, entry.bank_transaction_code)
    if entry.batch_size is not None or entry.transactions:
        details = node.branch("NtryDtls")
        details.leaf("Btch/NbOfTxs", _number(entry.batch_size))
        for transaction in entry.transactions:
            _write_transaction(details.branch("TxDtls"), transaction)
    node.leaf("AddtlNtryInf", entry.additional_info)


def _write_code(node: Branch, code: BankTransactionCode) -> None:
    written = node.branch("BkTxCd")
    iso = (code.domain, code.family, code.sub_family)
    if None in iso and any(iso):
        raise written.refused("Domn", "domain, family and sub-family come together")
    if code.domain is not None:
        domain = written.branch("Domn")
        domain.leaf("Cd", code.domain)
        family = domain.branch("Fmly")
        family.leaf("Cd", code.family)
        family.leaf("SubFmlyCd", code.sub_family)
    if code.proprietary is not None:
        proprietary = written.branch("Prtry")
        proprietary.leaf("Cd", code.proprietary)
        proprietary.leaf("Issr", code.issuer)


def _write_transaction(node: Branch, transaction: EntryTransaction) -> None:
    refs = node.branch("Refs")
    refs.leaf("AcctSvcrRef", transaction.account_servicer_ref)
    refs.leaf("InstrId", transaction.instruction_id)
    refs.leaf("EndToEndId", transaction.end_to_end_id)
    if node.version >= _WITH_PARTY_CHOICE:
        refs.leaf("UETR", transaction.uetr)
    refs.leaf("TxId", transaction.transaction_id)
    refs.leaf("MndtId", transaction.mandate_id)
    if node.version >= _WITH_PARTY_CHOICE:
        if transaction.amount is not None:
            node.amount("Amt", transaction.amount)
            node.leaf("CdtDbtInd", _side(credit=transaction.credit))
    elif transaction.amount is not None:
        node.amount("AmtDtls/TxAmt/Amt", transaction.amount)
    if transaction.bank_transaction_code is not None:
        _write_code(node, transaction.bank_transaction_code)
    _write_parties(node, transaction.debtor, transaction.creditor)
    if transaction.unstructured or transaction.structured:
        remittance = node.branch("RmtInf")
        for text in transaction.unstructured:
            remittance.leaf("Ustrd", text)
        for structured in transaction.structured:
            _write_structured(remittance.branch("Strd"), structured)
    reason = transaction.return_reason
    if reason is not None:
        node.leaf(f"RtrInf/Rsn/{'Cd' if len(reason) <= _REASON_LENGTH else 'Prtry'}", reason)
    node.leaf("AddtlTxInf", transaction.additional_info)


def _write_parties(node: Branch, debtor: Party, creditor: Party) -> None:
    if debtor == creditor == Party():
        return
    parties = node.branch("RltdPties")
    for role, party in (("Dbtr", debtor), ("Cdtr", creditor)):
        choice = "/Pty" if node.version >= _WITH_PARTY_CHOICE else ""
        parties.leaf(f"{role}{choice}/Nm", party.name)
        if party.account is not None:
            iban = party.account[:2].isalpha() and party.account[2:4].isdigit()
            parties.leaf(f"{role}Acct/Id/{'IBAN' if iban else 'Othr/Id'}", party.account)


def _write_structured(node: Branch, structured: StructuredRemittance) -> None:
    for number in structured.documents:
        node.leaf("RfrdDocInf/Nb", number)
    if structured.reference is not None or structured.reference_type is not None:
        reference = node.branch("CdtrRefInf")
        kind = "Cd" if structured.reference_type in _REFERENCE_TYPES else "Prtry"
        reference.leaf(f"Tp/CdOrPrtry/{kind}", structured.reference_type)
        reference.leaf("Ref", structured.reference)
    for text in structured.additional:
        node.leaf("AddtlRmtInf", text)


def _side(*, credit: bool) -> str:
    return "CRDT" if credit else "DBIT"


def _flag(value: bool) -> str:  # noqa: FBT001 - the value itself is what is written
    return "true" if value else "false"


def _number(value: int | None) -> str | None:
    return None if value is None else str(value)


def _day(value: date | None) -> str | None:
    return None if value is None else value.isoformat()


def _moment(value: datetime) -> str:
    return value.astimezone(UTC).isoformat()
