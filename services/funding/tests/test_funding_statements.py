"""Bank statements on a real Postgres: whole or not at all, replay a no-op, every credit matched or kept."""

import base64
import gzip
import time
import zlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from tally_bankfiles.camt import StatementError
from tally_contracts.funding import (
    ImportStatement,
    PayInReceived,
    PayInSuspended,
    StatementImported,
    StatementRefused,
)
from tally_contracts.ledger import PostJournal
from tally_funding.statements.content import read_content

IBAN = "DE89370400440532013000"


@dataclass(frozen=True)
class Entry:
    """A booked credit of 10.00 EUR unless said otherwise; `parts` are amounts of its payments."""

    amount: str = "10.00"
    side: str = "CRDT"
    reference: str | None = None
    remittance: str = ""
    status: str = "BOOK"
    reversal: bool = False
    parts: tuple[tuple[str, str], ...] = ()
    structured: str = ""

    def xml(self) -> str:
        details = "".join(
            f"<TxDtls><Refs><AcctSvcrRef>{reference}</AcctSvcrRef></Refs>"
            f'<Amt Ccy="EUR">{amount}</Amt></TxDtls>'
            for reference, amount in self.parts
        ) or (
            f"<TxDtls><RmtInf><Ustrd>{self.remittance or 'none'}</Ustrd>"
            + (
                f"<Strd><CdtrRefInf><Ref>{self.structured}</Ref></CdtrRefInf></Strd>"
                if self.structured
                else ""
            )
            + "</RmtInf></TxDtls>"
        )
        reference = f"<AcctSvcrRef>{self.reference}</AcctSvcrRef>" if self.reference else ""
        return (
            f'<Ntry><Amt Ccy="EUR">{self.amount}</Amt><CdtDbtInd>{self.side}</CdtDbtInd>'
            f"<RvslInd>{str(self.reversal).lower()}</RvslInd><Sts>{self.status}</Sts>"
            "<BookgDt><Dt>2026-09-21</Dt></BookgDt><ValDt><Dt>2026-09-22</Dt></ValDt>"
            f"{reference}<BkTxCd/><NtryDtls>{details}</NtryDtls></Ntry>"
        )

    @property
    def effect(self) -> int:
        minor = int(self.amount.replace(".", ""))
        return (minor if self.side == "CRDT" else -minor) * (self.status == "BOOK")


def statement(
    *entries: Entry,
    sequence: int | None = 1,
    opening: int = 0,
    closing: int | None = None,
    number: str = "S-1",
    day: str = "2026-09-21",
) -> str:
    if closing is None:
        closing = opening + sum(entry.effect for entry in entries)

    def balance(code: str, minor: int) -> str:
        side = "DBIT" if minor < 0 else "CRDT"
        units, cents = divmod(abs(minor), 100)
        return (
            f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
            f'<Amt Ccy="EUR">{units}.{cents:02}</Amt><CdtDbtInd>{side}</CdtDbtInd>'
            f"<Dt><Dt>{day}</Dt></Dt></Bal>"
        )

    numbered = f"<ElctrncSeqNb>{sequence}</ElctrncSeqNb>" if sequence is not None else ""
    return (
        f"<Stmt><Id>{number}</Id>{numbered}<CreDtTm>{day}T20:00:00Z</CreDtTm>"
        f"<FrToDt><FrDtTm>{day}T00:00:00Z</FrDtTm><ToDtTm>{day}T23:59:59Z</ToDtTm></FrToDt>"
        f"<Acct><Id><IBAN>{IBAN}</IBAN></Id><Ccy>EUR</Ccy></Acct>"
        f"{balance('OPBD', opening)}{balance('CLBD', closing)}"
        f"{''.join(entry.xml() for entry in entries)}</Stmt>"
    )


def document(*statements: str, message: str = "M-1") -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt>'
        f"<GrpHdr><MsgId>{message}</MsgId><CreDtTm>2026-09-21T20:00:00Z</CreDtTm></GrpHdr>"
        f"{''.join(statements)}</BkToCstmrStmt></Document>"
    ).encode()


def packed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, mtime=0)).decode()


@pytest.fixture
def importing(funding: Any) -> Any:
    """Import a file; the answer, and the events told before it."""

    async def run(data: bytes | str, import_id: str = "imp_00000000000000000000000001") -> Any:
        command = ImportStatement(
            import_id=import_id,
            file_name="day.xml",
            content=data if isinstance(data, str) else packed(data),
            who={"actor": "user:treasury", "principal": "co_holder"},
        )
        await funding.process(
            funding.record(ImportStatement.TYPE, command, topic="funding.commands.v1")
        )
        assert await funding.set_aside() == []
        *told, answer = await funding.told()
        return answer, told

    return run


async def _nothing_kept(funding: Any) -> bool:
    counts = [
        await funding.value(f"SELECT count(*) FROM {table}")
        for table in ("statement", "statement_entry", "pay_in", "suspense_case")
    ]
    return counts == [0, 0, 0, 0]


async def test_f12_a_bank_credit_that_names_a_payee_becomes_a_pay_in_like_any_other(
    funding: Any, importing: Any
) -> None:
    entry = Entry("1250.00", reference="BR-1", remittance="Inv 7 TALLY:supplier-payments:pty_7")
    answer, (received, journal) = await importing(document(statement(entry)))
    assert isinstance(answer, StatementImported)
    assert (answer.pay_ins, answer.already_known, answer.ignored_entries) == (1, 0, 0)
    assert answer.statement_ids == ("S-1",)
    assert isinstance(received, PayInReceived)
    assert (received.source, received.external_id) == ("bank", "BR-1")
    assert (received.company, received.why.program) == ("co_holder", "supplier-payments")
    assert received.where.country == "DE"
    assert str(received.value_date) == "2026-09-22"
    assert isinstance(journal, PostJournal)
    assert journal.open_accounts[0].path == "clearing/bank/EUR"
    assert "wallet/pty_7/EUR" in [account.path for account in journal.open_accounts]
    assert await funding.states() == {"BR-1": "allocating"}


async def test_f14_a_bank_credit_that_names_nobody_stands_in_suspense(
    funding: Any, importing: Any
) -> None:
    entry = Entry(reference="BR-1", remittance="thank you")
    _, (_, journal) = await importing(document(statement(entry)))
    await funding.process(funding.posted(journal))
    (suspended,) = await funding.told()
    assert isinstance(suspended, PayInSuspended)
    assert suspended.reason_code == "no_beneficiary"
    text = await funding.value("SELECT remittance FROM statement_entry")
    assert text == "thank you", "a person can see what the payer wrote"


async def test_debits_reversals_and_entries_not_booked_move_no_money_but_are_kept(
    funding: Any, importing: Any
) -> None:
    answer, told = await importing(
        document(
            statement(
                Entry(side="DBIT"),
                Entry(reversal=True),
                Entry(status="PDNG"),
                Entry("0.00"),
                opening=5000,
            )
        )
    )
    assert (answer.pay_ins, answer.ignored_entries) == (0, 4)
    assert told == []
    rows = await funding.rows("SELECT outcome, pay_in_id FROM statement_entry")
    assert [(row[0], row[1]) for row in rows] == [("ignored", None)] * 4


@pytest.mark.parametrize("renamed", [False, True])
async def test_a_statement_again_is_known_and_changes_nothing(
    funding: Any, importing: Any, renamed: bool
) -> None:
    entries = (Entry(reference="BR-1"), Entry("3.00"), Entry(side="DBIT"))
    await importing(document(statement(*entries)))
    number = "S-other" if renamed else "S-1"
    again = document(statement(*entries, number=number), message="M-2")
    answer, told = await importing(again, "imp_00000000000000000000000002")
    assert (answer.pay_ins, answer.already_known, answer.ignored_entries) == (0, 2, 1)
    assert told == []
    assert await funding.value("SELECT count(*) FROM statement") == 1


async def test_a_new_statement_beside_a_known_one_is_imported(importing: Any) -> None:
    first = statement(Entry(reference="BR-1"))
    second = statement(Entry(reference="BR-2"), sequence=2, opening=1000, day="2026-09-22")
    await importing(document(first))
    answer, told = await importing(document(first, second, second))
    assert (answer.pay_ins, answer.already_known) == (1, 2)
    assert [event.external_id for event in told if isinstance(event, PayInReceived)] == ["BR-2"]


async def test_a_known_statement_with_other_entries_is_refused_whole(
    funding: Any, importing: Any
) -> None:
    await importing(document(statement(Entry(reference="BR-1"))))
    fresh = statement(Entry(reference="BR-2"), sequence=2, opening=1000, day="2026-09-22")
    changed = statement(Entry("10.01", reference="BR-1"))
    answer, told = await importing(document(fresh, changed))
    assert isinstance(answer, StatementRefused)
    assert (answer.code, answer.line, told) == ("statement_conflict", 2, [])
    assert set(await funding.states()) == {"BR-1"}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (document(statement(Entry(), closing=999)), "statement_unbalanced"),
        (document(statement(Entry("10.001"), closing=1000)), "too_many_decimals"),
        (document(statement(Entry(reference="BR-1")), "<Stmt><Id>x</Id></Stmt>"), None),
        (document(statement(Entry())).replace(b"camt.053", b"camt.099"), "unsupported_message"),
        (b"not xml", "xml_encoding"),
        (b"<!DOCTYPE x><a/>", "xml_doctype"),
        ("A", "content_base64"),
        ("QUJD", "content_gzip"),
        (base64.b64encode(gzip.compress(b"<a/>", mtime=0)[:-4]).decode(), "content_gzip"),
        (base64.b64encode(gzip.compress(b"<a/>", mtime=0) * 2).decode(), "content_gzip"),
    ],
)
async def test_a_bad_file_changes_nothing_and_is_told_with_code_field_and_remedy(
    funding: Any, importing: Any, data: bytes | str, code: str | None
) -> None:
    answer, told = await importing(data)
    assert isinstance(answer, StatementRefused)
    assert code is None or answer.code == code
    assert answer.field
    assert answer.remedy
    assert told == []
    assert await _nothing_kept(funding)


def test_a_gzip_bomb_is_refused_before_it_is_unpacked() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(1024 * 1024)
    bomb = b"".join(packer.compress(zeros) for _ in range(100)) + packer.flush()
    content = base64.b64encode(bomb).decode()
    assert len(content) < 900_000, "it fits into a command"
    started = time.process_time()
    with pytest.raises(StatementError) as refused:
        read_content(content)
    assert refused.value.code == "content_too_large"
    assert time.process_time() - started < 1.0


@pytest.mark.parametrize(
    ("statements", "code"),
    [
        ([statement()] * 401, "too_many_statements"),
        ([statement(*[Entry("0.01")] * 20_001)], "too_many_entries"),
    ],
)
def test_a_file_too_large_for_one_unit_of_work_is_refused(statements: list[str], code: str) -> None:
    with pytest.raises(StatementError) as refused:
        read_content(packed(document(*statements)))
    assert refused.value.code == code


async def test_payments_booked_as_one_entry_become_pay_ins_of_their_own(
    funding: Any, importing: Any
) -> None:
    batch = Entry("30.00", parts=(("P-1", "10.00"), ("P-2", "20.00")))
    answer, _ = await importing(document(statement(batch)))
    assert answer.pay_ins == 2
    assert set(await funding.states()) == {"P-1", "P-2"}


async def test_payments_that_do_not_add_up_to_their_entry_are_one_pay_in(
    funding: Any, importing: Any
) -> None:
    batch = Entry("30.00", reference="BR-9", parts=(("P-1", "10.00"), ("P-2", "15.00")))
    answer, _ = await importing(document(statement(batch)))
    assert answer.pay_ins == 1
    assert set(await funding.states()) == {"BR-9"}


async def test_credits_alike_or_with_one_reference_are_all_booked(
    funding: Any, importing: Any
) -> None:
    answer, _ = await importing(
        document(
            statement(
                Entry(),
                Entry(),
                Entry(reference="SAME"),
                Entry(reference="SAME"),
                Entry(reference="NONREF"),
            )
        )
    )
    assert (answer.pay_ins, answer.already_known) == (5, 0)
    assert len(await funding.states()) == 5


async def test_a_credit_already_announced_by_the_bank_topic_is_booked_once(
    funding: Any, importing: Any, announce: Any
) -> None:
    told_before = announce("BR-1", amount={"currency": "EUR", "amount": "10.00"})
    await funding.process(funding.money(told_before, source="bank"))
    await funding.told()
    answer, told = await importing(document(statement(Entry(reference="BR-1"))))
    assert (answer.pay_ins, answer.already_known, told) == (0, 1, [])
    assert await funding.cases() == []


async def test_a_bank_reference_with_another_amount_is_a_case_and_no_second_booking(
    funding: Any, importing: Any, announce: Any
) -> None:
    told_before = announce("BR-1", amount={"currency": "EUR", "amount": "10.01"})
    await funding.process(funding.money(told_before, source="bank"))
    await funding.told()
    answer, told = await importing(document(statement(Entry(reference="BR-1"))))
    assert (answer.pay_ins, answer.already_known, told) == (0, 1, [])
    assert await funding.cases() == [("BR-1", "pay_in_conflict")]
    assert await funding.value("SELECT outcome FROM statement_entry") == "conflict"


async def test_the_same_day_exported_anew_without_numbers_is_a_case_and_no_second_booking(
    funding: Any, importing: Any
) -> None:
    await importing(document(statement(Entry(), sequence=None, number="export-1")))
    answer, told = await importing(document(statement(Entry(), sequence=None, number="export-2")))
    assert (answer.pay_ins, answer.already_known, told) == (0, 1, [])
    assert sorted(reason for _, reason in await funding.cases()) == [
        "no_beneficiary",
        "pay_in_conflict",
    ]


@pytest.mark.parametrize(
    ("following", "continuity"),
    [
        ({"sequence": 2}, "in_order"),
        ({"sequence": 2, "opening": 999}, "balance_break"),
        ({"sequence": 3}, "gap"),
        ({"sequence": 1, "day": "2027-01-02"}, "in_order"),
        ({"sequence": 0, "day": "2026-09-20"}, "out_of_order"),
        ({"sequence": None}, "unnumbered"),
    ],
)
async def test_a_statement_that_does_not_follow_the_last_is_imported_and_marked(
    funding: Any, importing: Any, following: dict[str, Any], continuity: str
) -> None:
    await importing(document(statement(Entry(reference="BR-1"))))
    funding.clock.advance(timedelta(seconds=1))
    terms = {"opening": 1000, "day": "2026-09-22", "number": "S-2", **following}
    answer, _ = await importing(document(statement(Entry(reference="BR-2"), **terms)))
    assert answer.pay_ins == 1
    rows = await funding.rows("SELECT continuity FROM statement ORDER BY imported_at")
    assert [row[0] for row in rows] == ["first", continuity]


async def test_a_thousand_credits_are_one_import(funding: Any, importing: Any) -> None:
    entries = [Entry(reference=f"BR-{n}", remittance=f"TALLY:p:pty_{n}") for n in range(1200)]
    answer, told = await importing(document(statement(*entries)))
    assert answer.pay_ins == 1200
    assert len({event.pay_in_id for event in told if isinstance(event, PayInReceived)}) == 1200
