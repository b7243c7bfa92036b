"""Statements: write -> read identity, the versions' differences, and what is refused."""

import contextlib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally_bankfiles.camt import (
    Account,
    BankTransactionCode,
    EntryStatus,
    EntryTransaction,
    MessageKind,
    Page,
    Party,
    Period,
    Statement,
    StatementEntry,
    StatementError,
    StructuredRemittance,
    read_statements,
    write_camt053,
)
from tally_money import Money, currency

RECEIVED = BankTransactionCode(domain="PMNT", family="RCDT", sub_family="ESCT")


def eur(amount: str) -> Money:
    return Money.parse(amount, "EUR")


def sample() -> Statement:
    """Two credits, one of them a batch of two, and one pending debit."""
    first = StatementEntry(
        index=0,
        line=0,
        amount=eur("100.00"),
        credit=True,
        booking_date=date(2026, 3, 2),
        value_date=date(2026, 3, 3),
        account_servicer_ref="BANKREF1",
        bank_transaction_code=RECEIVED,
        transactions=(
            EntryTransaction(
                amount=eur("100.00"),
                credit=True,
                end_to_end_id="E2E-1",
                uetr="9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d",
                debtor=Party("PAYER ONE", "NL91ABNA0417164300"),
                unstructured=("INVOICE 17",),
                structured=(
                    StructuredRemittance(
                        reference="RF18539007547034",
                        reference_type="SCOR",
                        documents=("17", "18"),
                        additional=("thanks",),
                    ),
                ),
            ),
        ),
    )
    batch = StatementEntry(
        index=1,
        line=0,
        amount=eur("30.50"),
        credit=True,
        bank_transaction_code=RECEIVED,
        batch_size=2,
        transactions=(
            EntryTransaction(amount=eur("10.00"), credit=True, end_to_end_id="E2E-2"),
            EntryTransaction(amount=eur("20.50"), credit=True, end_to_end_id="E2E-3"),
        ),
    )
    pending = replace(
        first,
        index=2,
        amount=eur("5.00"),
        credit=False,
        status=EntryStatus.PENDING,
        transactions=(),
    )
    return Statement(
        message_id="MSG1",
        id="STMT1",
        account=Account("DE89370400440532013000", is_iban=True),
        currency=currency("EUR"),
        electronic_sequence=61,
        legal_sequence=61,
        created_at=datetime(2026, 3, 3, 1, tzinfo=UTC),
        period=Period(datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC)),
        opening=eur("10.00"),
        opening_date=date(2026, 3, 1),
        closing=eur("140.50"),
        closing_date=date(2026, 3, 2),
        entries=(first, batch, pending),
    )


XML = write_camt053(sample()).decode()

words = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.just(" "),
    min_size=1,
    max_size=35,
).filter(lambda text: text.strip() == text and text != "NOTPROVIDED")
maybe = st.none() | words
dates = st.dates(date(2000, 1, 1), date(2099, 1, 1))
moments = st.integers(0, 4 * 10**9).map(lambda second: datetime.fromtimestamp(second, UTC))
code = st.text(st.characters(min_codepoint=65, max_codepoint=90), min_size=4, max_size=4)
bank_codes = st.one_of(
    st.builds(BankTransactionCode, domain=code, family=code, sub_family=code),
    st.builds(BankTransactionCode, proprietary=words, issuer=maybe),
)
remittances = st.builds(
    StructuredRemittance,
    reference=words,
    reference_type=st.sampled_from(["SCOR", "RADM", "house reference"]),
    documents=st.lists(words, max_size=2).map(tuple),
    additional=st.lists(words, max_size=3).map(tuple),
)
accounts = st.sampled_from(["NL91ABNA0417164300", "DE89370400440532013000", "123-456", "00417"])
parties = st.builds(Party, name=maybe, account=st.none() | accounts)


def transactions(unit: str, version: int) -> st.SearchStrategy[EntryTransaction]:
    amounts = st.integers(0, 10**14).map(lambda minor: Money(minor, currency(unit)))
    return st.builds(
        EntryTransaction,
        amount=amounts,
        credit=st.booleans() if version == 8 else st.just(value=True),
        end_to_end_id=maybe,
        uetr=st.uuids(version=4).map(str) if version == 8 else st.none(),
        instruction_id=maybe,
        transaction_id=maybe,
        account_servicer_ref=maybe,
        mandate_id=maybe,
        debtor=parties,
        creditor=parties,
        bank_transaction_code=st.none() | bank_codes,
        unstructured=st.lists(words, max_size=2).map(tuple),
        structured=st.lists(remittances, max_size=2).map(tuple),
        return_reason=st.none() | st.sampled_from(["AC04", "MS03", "house reason"]),
        additional_info=maybe,
    )


@st.composite
def entries(draw: st.DrawFn, index: int, unit: str, version: int) -> StatementEntry:
    credit = draw(st.booleans()) if version == 8 else True
    return StatementEntry(
        index=index,
        line=0,
        amount=Money(draw(st.integers(0, 10**14)), currency(unit)),
        credit=credit,
        reversal=draw(st.booleans()),
        status=draw(st.sampled_from(EntryStatus)),
        booking_date=draw(st.none() | dates),
        value_date=draw(st.none() | dates),
        entry_ref=draw(maybe),
        account_servicer_ref=draw(maybe),
        bank_transaction_code=draw(bank_codes),
        batch_size=draw(st.none() | st.integers(2, 10**6)),
        transactions=tuple(draw(st.lists(transactions(unit, version), max_size=2))),
        additional_info=draw(maybe),
    )


@st.composite
def statements(draw: st.DrawFn, version: int) -> Statement:
    unit = draw(st.sampled_from(["EUR", "USD", "JPY", "KWD", "CLF"]))
    opening = draw(st.integers(-(10**12), 10**12))
    count = draw(st.integers(0, 3))
    listed = tuple(draw(entries(index, unit, version)) for index in range(count))
    booked = sum(e.signed.minor for e in listed if e.status is EntryStatus.BOOKED)
    return Statement(
        message_id=draw(words),
        id=draw(words),
        account=Account(draw(accounts), is_iban=False),
        currency=currency(unit),
        electronic_sequence=draw(st.none() | st.integers(0, 10**18 - 1)),
        legal_sequence=draw(st.none() | st.integers(0, 10**18 - 1)),
        page=draw(st.none() | st.builds(Page, st.integers(1, 99999), st.booleans())),
        created_at=draw(moments),
        period=draw(st.none() | st.builds(Period, moments, moments)),
        copy_duplicate=draw(st.none() | st.sampled_from(["CODU", "COPY", "DUPL"])),
        opening=Money(opening, currency(unit)),
        opening_date=draw(dates),
        closing=Money(opening + booked, currency(unit)),
        closing_date=draw(dates),
        entries=listed,
    )


@pytest.mark.parametrize("version", [2, 8])
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_what_is_written_reads_back_the_same(version: int, data: st.DataObject) -> None:
    statement = data.draw(statements(version))
    assert read_statements(write_camt053(statement, version=version)) == (statement,)


def test_an_entry_names_its_index_and_the_line_it_starts_on() -> None:
    (statement,) = read_statements(XML.encode())
    lines = XML.splitlines()
    assert [entry.index for entry in statement.entries] == [0, 1, 2]
    assert ["<Ntry>" in lines[entry.line - 1] for entry in statement.entries] == [True] * 3
    assert "<Stmt>" in lines[statement.line - 1]


def test_a_batch_splits_exactly_when_its_payments_add_up() -> None:
    (statement,) = read_statements(XML.encode())
    single, batch, pending = statement.entries
    assert single.splits_exactly
    assert batch.splits_exactly
    assert not pending.splits_exactly
    short = replace(batch, transactions=batch.transactions[:1])
    unknown = replace(batch.transactions[0], amount=None)
    assert not short.splits_exactly
    assert not replace(batch, transactions=(*batch.transactions, unknown)).splits_exactly


def test_only_booked_entries_are_booked() -> None:
    assert [entry.index for entry in sample().booked] == [0, 1]


def edited(*changes: tuple[str, str]) -> bytes:
    """The sample with the first occurrence of each text replaced."""
    xml = XML
    for old, new in changes:
        assert old in xml, old
        xml = xml.replace(old, new, 1)
    return xml.encode()


def refusal(data: bytes) -> StatementError:
    with pytest.raises(StatementError) as caught:
        read_statements(data)
    return caught.value


def line_of(text: str) -> int:
    return next(n for n, line in enumerate(XML.splitlines(), start=1) if text in line)


def test_an_unbalanced_statement_is_refused_at_its_closing_balance_with_both_figures() -> None:
    error = refusal(edited((">140.50<", ">140.51<")))
    assert error.code == "statement_unbalanced"
    assert error.line == line_of("<Cd>CLBD</Cd>") - 3
    assert "140.50 EUR" in error.detail
    assert "140.51 EUR" in error.detail
    assert error.remedy


@pytest.mark.parametrize(
    ("old", "new", "code", "field"),
    [
        (">100.00</Amt>", ">100.001</Amt>", "too_many_decimals", "Ntry/Amt"),
        (">100.00</Amt>", ">-100.00</Amt>", "amount_format", "Ntry/Amt"),
        (">100.00</Amt>", ">1e2</Amt>", "amount_format", "Ntry/Amt"),
        (">100.00</Amt>", ">.</Amt>", "amount_format", "Ntry/Amt"),
        (">100.00</Amt>", ">100,00</Amt>", "amount_format", "Ntry/Amt"),
        (">100.00</Amt>", ">1234567890123456789</Amt>", "amount_format", "Ntry/Amt"),
        (">100.00</Amt>", ">\u0661</Amt>", "amount_format", "Ntry/Amt"),
        (">100.00</Amt>", "></Amt>", "field_missing", "Ntry/Amt"),
        ('"EUR">100.00', '"DEM">100.00', "unknown_currency", "Ntry/Amt"),
        ('"EUR">100.00', '"USD">100.00', "currency_mismatch", "Stmt/Amt"),
        ('"EUR">140.50', '"USD">140.50', "currency_mismatch", "Stmt/Amt"),
        ("<Ccy>EUR</Ccy>", "<Ccy>USD</Ccy>", "currency_mismatch", "Stmt/Amt"),
        ("<Ccy>EUR</Ccy>", "<Ccy>eur</Ccy>", "unknown_currency", "Acct/Ccy"),
        ("<Cd>CLBD</Cd>", "<Cd>CLAV</Cd>", "balance_missing", "Stmt/Bal"),
        ("<Cd>OPBD</Cd>", "<Cd>OPAV</Cd>", "balance_missing", "Stmt/Bal"),
        ("<Cd>CLBD</Cd>", "<Cd>OPBD</Cd>", "balance_ambiguous", "Stmt/Bal"),
        ("<Cd>BOOK</Cd>", "<Cd>SENT</Cd>", "field_format", "Ntry/Sts"),
        ("<Sts>", "<RvslInd>yes</RvslInd><Sts>", "field_format", "Ntry/RvslInd"),
        (
            ">2026-03-02T00:00:00+00:00",
            ">0001-01-01T00:00:00+10:00",
            "field_format",
            "FrToDt/FrDtTm",
        ),
        ("CRDT</CdtDbtInd>", "C</CdtDbtInd>", "field_format", "Bal/CdtDbtInd"),
        ("<Id>STMT1</Id>", "", "field_missing", "Stmt/Id"),
        ("<MsgId>MSG1</MsgId>", "", "field_missing", "BkToCstmrStmt/GrpHdr/MsgId"),
        ("<Dt>2026-03-03</Dt>", "<Dt>2026-02-30</Dt>", "field_format", "ValDt/Dt"),
        (
            "61</LglSeqNb>\n      <CreDtTm>2026",
            "61</LglSeqNb><CreDtTm>",
            "field_format",
            "Stmt/CreDtTm",
        ),
        ("Nb>61<", "Nb>61a<", "field_format", "Stmt/ElctrncSeqNb"),
        ("<NbOfNtries>2<", "<NbOfNtries>3<", "statement_totals", "TxsSummry/TtlCdtNtries"),
        ("<Sum>130.50<", "<Sum>130.51<", "statement_totals", "TxsSummry/TtlCdtNtries"),
        ("<Sum>130.50<", "<Sum>all<", "field_format", "TtlCdtNtries/Sum"),
        ("camt.053.001.08", "camt.053.001.01", "unsupported_message", "Document"),
        ("camt.053.001.08", "camt.053.001.15", "unsupported_message", "Document"),
        ("camt.053.001.08", "camt.052.001.08", "field_missing", "Document/BkToCstmrAcctRpt"),
        ("</Document>", "</Other>", "xml_malformed", "Document"),
    ],
)
def test_a_broken_statement_is_refused_with_code_and_field(
    old: str, new: str, code: str, field: str
) -> None:
    error = refusal(edited((old, new)))
    assert (error.code, error.field) == (code, field)
    assert error.remedy
    assert error.line >= 1


@pytest.mark.parametrize("written", ["100", "100.00000", "0100.0", "+100.00", "100."])
def test_zeros_and_signs_that_change_no_amount_are_read(written: str) -> None:
    assert read_statements(edited((">100.00<", f">{written}<"))) == (sample(),)


def test_an_amount_of_zero_is_read() -> None:
    zero = replace(
        sample(), closing=eur("10.00"), entries=(replace(sample().entries[0], amount=eur("0.00")),)
    )
    assert read_statements(write_camt053(zero))[0].entries[0].amount == eur("0.00")


OLDER_SHAPES = (
    ("<Sts>\n          <Cd>BOOK</Cd>\n        </Sts>", "<Sts>BOOK</Sts>"),
    ("<Pty>", ""),
    ("</Pty>", ""),
    (
        '<Amt Ccy="EUR">20.50</Amt>\n            <CdtDbtInd>CRDT</CdtDbtInd>',
        '<AmtDtls><TxAmt><Amt Ccy="EUR">20.50</Amt></TxAmt></AmtDtls>',
    ),
)


@pytest.mark.parametrize("version", range(2, 15))
@pytest.mark.parametrize("shapes", [(), OLDER_SHAPES])
def test_every_version_reads_whichever_way_it_writes_status_party_and_amount(
    version: int, shapes: tuple[tuple[str, str], ...]
) -> None:
    data = edited(("001.08", f"001.{version:02}"), *shapes)
    assert read_statements(data) == (sample(),)


def test_times_are_utc_whatever_their_offset_and_days_are_the_banks_own() -> None:
    local = timezone(timedelta(hours=5, minutes=30))
    moved = replace(sample(), created_at=datetime(2026, 3, 3, 6, 30, tzinfo=local))
    assert read_statements(write_camt053(moved))[0].created_at == sample().created_at
    late = edited(
        (
            "<Dt>2026-03-02</Dt>\n        </BookgDt>",
            "<DtTm>2026-03-02T23:59:00-11:00</DtTm></BookgDt>",
        )
    )
    assert read_statements(late)[0].entries[0].booking_date == date(2026, 3, 2)
    zoned = edited(("<Dt>2026-03-02</Dt>\n        </BookgDt>", "<Dt>2026-03-02Z</Dt></BookgDt>"))
    assert read_statements(zoned)[0].entries[0].booking_date == date(2026, 3, 2)


def test_an_end_to_end_id_that_was_not_provided_is_none() -> None:
    (statement,) = read_statements(edited(("E2E-1", "NOTPROVIDED")))
    assert statement.entries[0].transactions[0].end_to_end_id is None


def test_a_payment_alone_in_its_entry_has_the_amount_of_the_entry() -> None:
    xml = edited(('<Amt Ccy="EUR">100.00</Amt>\n            <CdtDbtInd>CRDT</CdtDbtInd>', ""))
    (statement,) = read_statements(xml)
    assert statement.entries[0].transactions[0].amount == eur("100.00")
    several = edited(('<Amt Ccy="EUR">10.00</Amt>\n            <CdtDbtInd>CRDT</CdtDbtInd>', ""))
    (statement,) = read_statements(several)
    assert statement.entries[1].transactions[0].amount is None


def test_a_page_opens_and_closes_with_interim_balances() -> None:
    middle = XML.replace("OPBD", "ITBD").replace("CLBD", "ITBD")
    (statement,) = read_statements(middle.encode())
    assert (statement.opening, statement.closing) == (eur("10.00"), eur("140.50"))
    last = XML.replace("OPBD", "PRCD")
    assert read_statements(last.encode())[0].opening == eur("10.00")


def test_reports_and_notifications_need_no_balances() -> None:
    body = XML[: XML.index("<Bal>")] + XML[XML.index("<TxsSummry>") :]
    report = body.replace("camt.053", "camt.052").replace("BkToCstmrStmt", "BkToCstmrAcctRpt")
    report = report.replace("<Stmt>", "<Rpt>").replace("</Stmt>", "</Rpt>")
    notice = body.replace("camt.053", "camt.054").replace("BkToCstmrStmt", "BkToCstmrDbtCdtNtfctn")
    notice = notice.replace("<Stmt>", "<Ntfctn>").replace("</Stmt>", "</Ntfctn>")
    for xml, kind in ((report, MessageKind.REPORT), (notice, MessageKind.NOTIFICATION)):
        (statement,) = read_statements(xml.encode())
        assert (statement.kind, statement.opening, statement.closing) == (kind, None, None)
        assert statement.entries == sample().entries


def test_a_report_with_both_balances_is_checked_too() -> None:
    report = XML.replace("camt.053", "camt.052").replace("BkToCstmrStmt", "BkToCstmrAcctRpt")
    report = report.replace("<Stmt>", "<Rpt>").replace("</Stmt>", "</Rpt>")
    assert read_statements(report.encode())[0].closing == eur("140.50")
    assert refusal(report.replace(">140.50<", ">1.00<").encode()).code == "statement_unbalanced"


@pytest.mark.parametrize(("flag", "reversal"), [("true", True), ("1", True), ("0", False)])
def test_a_reversal_says_what_it_undoes_and_keeps_its_own_side(flag: str, reversal: bool) -> None:
    (statement,) = read_statements(edited(("<Sts>", f"<RvslInd>{flag}</RvslInd><Sts>")))
    assert statement.entries[0].reversal is reversal
    assert statement.entries[0].signed == eur("100.00")


@pytest.mark.parametrize(
    "group", ["<NbOfNtries>3</NbOfNtries><Sum>135.50</Sum>", "<Sum>130.5</Sum>"]
)
def test_the_banks_totals_may_count_all_entries_or_the_booked(group: str) -> None:
    xml = edited(("<TxsSummry>", f"<TxsSummry><TtlNtries>{group}</TtlNtries>"))
    assert read_statements(xml) == (sample(),)


def test_supplementary_data_of_another_namespace_is_tolerated() -> None:
    extra = "<SplmtryData><Envlp><x:Amt xmlns:x='urn:x'>1</x:Amt></Envlp></SplmtryData></Ntry>"
    assert read_statements(edited(("</Ntry>", extra))) == (sample(),)


def test_a_file_without_statement_is_refused() -> None:
    xml = XML[: XML.index("<Stmt>")] + XML[XML.index("</Stmt>") + len("</Stmt>") :]
    assert refusal(xml.encode()).code == "field_missing"


@given(st.lists(st.tuples(st.integers(0, len(XML) - 1), st.integers(0, 255)), max_size=5))
@settings(max_examples=150, deadline=None)
def test_a_shot_up_statement_never_crashes_the_reader(hits: list[tuple[int, int]]) -> None:
    data = bytearray(XML.encode())
    for position, value in hits:
        data[position] = value
    with contextlib.suppress(StatementError):
        read_statements(bytes(data))


AMOUNTS = [
    position
    for position, digit in enumerate(XML)
    if digit.isdigit() and XML[position + 1 :].split("<")[1].startswith("/Amt>")
]


@given(st.sampled_from(AMOUNTS[:12]), st.sampled_from("0123456789"))
def test_another_digit_in_a_balance_is_always_detected(position: int, digit: str) -> None:
    if XML[position] == digit or position > XML.index("<TxsSummry>"):
        return
    assert refusal((XML[:position] + digit + XML[position + 1 :]).encode())


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"closing": None}, "balance CLBD"),
        ({"opening_date": None}, "balance OPBD"),
        ({"id": "X" * 36}, "1 to 35 characters"),
        ({"id": ""}, "1 to 35 characters"),
        ({"id": "A\x00"}, "XML"),
        (
            {"entries": (replace(sample().entries[0], bank_transaction_code=None),)},
            "transaction code",
        ),
        ({"kind": MessageKind.REPORT}, "does not hold all"),
    ],
)
def test_writer_refuses_what_the_message_cannot_hold(change: dict[str, object], what: str) -> None:
    with pytest.raises(StatementError, match=what):
        write_camt053(replace(sample(), **change))


def test_writer_refuses_to_write_an_unbalanced_statement() -> None:
    with pytest.raises(StatementError) as caught:
        write_camt053(replace(sample(), closing=eur("1.00")))
    assert caught.value.code == "statement_unbalanced"


def test_version_two_has_no_place_for_a_uetr() -> None:
    with pytest.raises(StatementError, match="version 2 does not hold"):
        write_camt053(sample(), version=2)
    with pytest.raises(ValueError, match="version 3"):
        write_camt053(sample(), version=3)
