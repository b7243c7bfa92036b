"""camt.054: what a bank notifies during the day is booked at once, and once with the statement after it."""

import base64
import gzip
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pytest

from tally_bankfiles.camt import Statement
from tally_contracts.funding import ImportStatement, PayInReceived
from tally_funding.statements.content import read_content
from tally_funding.statements.credits import Credit, identify, lines
from tally_funding.statements.notices import Booked, Same, pair

IBAN = "DE89370400440532013000"
UETR = "eb6305c9-1f7f-49de-aed0-16487c27b42d"


@dataclass(frozen=True)
class Entry:
    """A credit of EUR cents; `parts` are its payments, each (reference, cents)."""

    cents: int = 1_000
    reference: str | None = None
    end_to_end: str | None = None
    uetr: str | None = None
    status: str = "BOOK"
    side: str = "CRDT"
    parts: Sequence[tuple[str, int]] = ()
    day: str = "2026-09-21"

    def xml(self) -> str:
        if self.parts:
            details = "".join(
                f"<TxDtls><Refs><EndToEndId>{name}</EndToEndId></Refs>{_amount(cents)}</TxDtls>"
                for name, cents in self.parts
            )
        else:
            named = f"<EndToEndId>{self.end_to_end}</EndToEndId>" if self.end_to_end else ""
            named += f"<UETR>{self.uetr}</UETR>" if self.uetr else ""
            details = f"<TxDtls><Refs>{named}</Refs></TxDtls>"
        reference = f"<AcctSvcrRef>{self.reference}</AcctSvcrRef>" if self.reference else ""
        return (
            f"<Ntry>{_amount(self.cents)}<CdtDbtInd>{self.side}</CdtDbtInd>"
            f"<Sts><Cd>{self.status}</Cd></Sts><BookgDt><Dt>{self.day}</Dt></BookgDt>"
            f"<ValDt><Dt>{self.day}</Dt></ValDt>{reference}<BkTxCd/>"
            f"<NtryDtls>{details}</NtryDtls></Ntry>"
        )


def _amount(cents: int) -> str:
    return f'<Amt Ccy="EUR">{cents // 100}.{cents % 100:02}</Amt>'


def _document(
    number: str, body: str, container: str, name: str, balances: str, *more: str
) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><Document'
        f' xmlns="urn:iso:std:iso:20022:tech:xsd:{name}.001.08"><{container}>'
        f"<GrpHdr><MsgId>M</MsgId><CreDtTm>2026-09-21T20:00:00Z</CreDtTm></GrpHdr>"
        f"<{body}><Id>{number}</Id><CreDtTm>2026-09-21T20:00:00Z</CreDtTm>"
        f"<Acct><Id><IBAN>{IBAN}</IBAN></Id></Acct>{balances}{''.join(more)}</{body}>"
        f"</{container}></Document>"
    ).encode()


def notice(*entries: Entry, number: str = "N-1") -> bytes:
    found = [entry.xml() for entry in entries]
    return _document(number, "Ntfctn", "BkToCstmrDbtCdtNtfctn", "camt.054", "", *found)


def statement(*entries: Entry, number: str = "S-1") -> bytes:
    total = sum(e.cents if e.side == "CRDT" else -e.cents for e in entries if e.status == "BOOK")
    balances = "".join(
        f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>{_amount(cents)}"
        "<CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-09-21</Dt></Dt></Bal>"
        for code, cents in (("OPBD", 0), ("CLBD", total))
    )
    found = [entry.xml() for entry in entries]
    return _document(number, "Stmt", "BkToCstmrStmt", "camt.053", balances, *found)


def read_one(data: bytes) -> Statement:
    (found,) = read_content(base64.b64encode(gzip.compress(data)).decode())
    return found


@pytest.fixture
def importing(funding: Any) -> Any:
    numbers = itertools.count(1)

    async def run(data: bytes) -> tuple[Any, list[int]]:
        """The answer, and the amounts of new pay-ins."""
        command = ImportStatement(
            import_id=f"imp_{next(numbers):026}",
            file_name="day.xml",
            content=base64.b64encode(gzip.compress(data)).decode(),
            who={"actor": "user:treasury", "principal": "co_holder"},
        )
        record = funding.record(ImportStatement.TYPE, command, topic="funding.commands.v1")
        await funding.process(record)
        assert await funding.set_aside() == []
        *told, answer = await funding.told()
        return answer, [e.amount.money().minor for e in told if isinstance(e, PayInReceived)]

    return run


# The bank's own reference, a UETR, or the payer's id: whatever both messages say.
PAIRS = {
    "reference": (Entry(reference="BR-1"), Entry(reference="BR-1", end_to_end="E-1")),
    "uetr": (Entry(uetr=UETR), Entry(reference="BR-1", uetr=UETR)),
    "end_to_end": (Entry(end_to_end="E-1"), Entry(reference="BR-1", end_to_end="E-1")),
    "whole": (
        Entry(reference="BR-1", parts=(("E-1", 400), ("E-2", 600))),
        Entry(reference="BR-1"),
    ),
}


@pytest.mark.parametrize("first", ["notice", "statement"])
@pytest.mark.parametrize("pair", PAIRS)
async def test_f12_what_is_notified_and_stated_is_booked_once_whichever_comes_first(
    funding: Any, importing: Any, pair: str, first: str
) -> None:
    notified, stated = notice(PAIRS[pair][0]), statement(PAIRS[pair][1])
    order = (notified, stated) if first == "notice" else (stated, notified)
    answer, booked = await importing(order[0])
    assert sum(booked) == 1_000
    assert answer.pay_ins == len(booked)
    again, more = await importing(order[1])
    assert (more, again.pay_ins) == ([], 0)
    assert again.already_known >= 1
    assert len(await funding.cases()) == len(booked), "each is in suspense, and no conflict"
    for data in order:
        assert (await importing(data))[1] == [], "either again is a no-op"


async def test_f12_payments_alike_are_told_apart_by_their_number(importing: Any) -> None:
    alike = Entry(end_to_end="RENT")
    _, booked = await importing(notice(alike))
    assert booked == [1_000]
    stated = (
        Entry(reference="BR-1", end_to_end="RENT"),
        Entry(reference="BR-2", end_to_end="RENT"),
    )
    answer, more = await importing(statement(*stated))
    assert (more, answer.already_known) == ([1_000], 1)
    _, later = await importing(statement(*stated, number="S-2"))
    assert later == [], "the statement exported anew names the same two"


async def test_f12_next_months_payment_under_the_same_end_to_end_id_is_other_money(
    importing: Any,
) -> None:
    first, second = (
        Entry(end_to_end="RENT", day="2026-08-21"),
        Entry(end_to_end="RENT", day="2026-09-21"),
    )
    assert (await importing(notice(first, number="N-1")))[1] == [1_000]
    assert (await importing(statement(replace(first, reference="BR-1"), number="S-1")))[1] == []
    assert (await importing(notice(second, number="N-2")))[1] == [1_000]
    _, more = await importing(statement(replace(second, reference="BR-2"), number="S-2"))
    assert more == [], "the second month's statement repeats the second month's notification"


async def test_f12_an_account_that_changes_over_to_notifications_loses_no_payment(
    importing: Any,
) -> None:
    stated = [Entry(reference=f"BR-{n}", end_to_end="RENT", day=f"2026-0{n}-21") for n in (6, 7, 8)]
    for number, entry in enumerate(stated):
        assert (await importing(statement(entry, number=f"S-{number}")))[1] == [1_000]
    notified = Entry(reference="BR-9", end_to_end="RENT", day="2026-08-24")
    assert (await importing(notice(notified)))[1] == [1_000], "two references are two payments"
    unnamed = Entry(end_to_end="RENT", day="2026-09-21")
    assert (await importing(notice(unnamed, number="N-2")))[1] == [1_000]
    for entry in (notified, replace(unnamed, reference="BR-10")):
        _, more = await importing(statement(entry, number=f"S-{entry.day}"))
        assert more == [], "each is stated once"


async def test_f12_a_notification_repeated_under_another_id_stands_for_one_payment(
    importing: Any,
) -> None:
    named = Entry(end_to_end="RENT", uetr=UETR)
    assert (await importing(notice(named)))[1] == [1_000]
    answer, more = await importing(notice(named, number="N-2"))
    assert (more, answer.already_known) == ([], 1)
    stated = (
        Entry(reference="BR-1", end_to_end="RENT"),
        Entry(reference="BR-2", end_to_end="RENT"),
    )
    answer, more = await importing(statement(*stated))
    assert (more, answer.already_known) == ([1_000], 1)


def test_what_no_bank_names_is_not_paired_by_its_placeholder() -> None:
    found = lines(read_one(statement(Entry(reference="NONREF", end_to_end="NotProvided"))))
    credit = Credit(found[0], "ent_1", own_id=False)
    identity = identify(read_one(statement(Entry())))
    booked = Booked(
        "ent_0", "pay_0", found[0].amount, date(2026, 9, 21), "NONREF", None, None, "NOTPROVIDED"
    )
    assert not pair(identity, [credit], [booked])


def test_many_payments_alike_are_paired_in_the_time_of_one_look_at_each() -> None:
    """Counted, not timed: how often a booked line is looked at."""
    read = read_one(notice(*[Entry(end_to_end="RENT")] * 300))
    money = [Credit(line, f"ent_{line.entry_index}", own_id=False) for line in lines(read)]
    looks: Counter[str] = Counter()

    class Counted(Booked):
        def __getattribute__(self, name: str) -> Any:
            looks[name] += 1
            return super().__getattribute__(name)

    booked = [
        Counted(
            f"BR-{n}",
            f"pay_{n}",
            line.line.amount,
            date(2026, 9, 21),
            f"BR-{n}",
            None,
            None,
            "RENT",
        )
        for n, line in enumerate(money)
    ]
    pairs = pair(identify(read), money, booked)
    assert [pairs[credit] for credit in money] == [Same(one.external_id) for one in booked]
    assert looks["pay_in_id"] < 10 * len(money)


async def test_f12_another_amount_or_reference_is_other_money(importing: Any) -> None:
    await importing(notice(Entry(end_to_end="E-1")))
    other = (Entry(1_001, end_to_end="E-1"), Entry(reference="BR-9", end_to_end="E-9"))
    _, more = await importing(statement(*other))
    assert more == [1_001, 1_000]


async def test_f12_what_is_not_booked_or_no_credit_is_kept_and_moves_nothing(
    funding: Any, importing: Any
) -> None:
    entries = (Entry(status="PDNG", end_to_end="E-1"), Entry(side="DBIT", reference="BR-2"))
    answer, booked = await importing(notice(*entries))
    assert (booked, answer.ignored_entries) == ([], 2)
    assert (
        await funding.value("SELECT count(*) FROM statement_entry WHERE outcome = 'ignored'") == 2
    )
    _, more = await importing(statement(Entry(reference="BR-1", end_to_end="E-1")))
    assert more == [1_000]


async def test_payments_that_do_not_come_to_the_stated_entry_are_a_case(
    funding: Any, importing: Any
) -> None:
    await importing(notice(Entry(reference="BR-1", parts=(("E-1", 400), ("E-2", 600)))))
    _, more = await importing(statement(Entry(1_100, reference="BR-1")))
    assert more == []
    assert "notification_differs" in {reason for _, reason in await funding.cases()}


async def test_a_notification_does_not_break_the_line_of_statements(
    funding: Any, importing: Any
) -> None:
    await importing(statement(Entry(reference="BR-1")))
    await importing(notice(Entry(reference="BR-2")))
    rows = await funding.rows("SELECT kind, continuity, opening FROM statement ORDER BY kind")
    assert [tuple(row) for row in rows] == [("notification", None, None), ("statement", "first", 0)]


def test_a_notification_of_the_2009_version_is_read() -> None:
    data = notice(Entry(side="DBIT", reference="BR-1")).replace(
        b"camt.054.001.08", b"camt.054.001.02"
    )
    found = read_one(data.replace(b"<Sts><Cd>BOOK</Cd></Sts>", b"<Sts>BOOK</Sts>"))
    assert found.opening is None
    assert [entry.credit for entry in found.entries] == [False]
