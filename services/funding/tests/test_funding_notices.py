"""camt.054: what a bank notifies during the day is booked at once, and once with the statement after it."""

import base64
import gzip
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tally_contracts.funding import ImportStatement, PayInReceived
from tally_funding.statements.content import read_content

IBAN = "DE89370400440532013000"
UETR = "eb6305c9-1f7f-49de-aed0-16487c27b42d"
VECTORS = Path(__file__).parents[4] / "shared" / "vectors" / "camt"


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
            f"<Sts><Cd>{self.status}</Cd></Sts><BookgDt><Dt>2026-09-21</Dt></BookgDt>"
            f"<ValDt><Dt>2026-09-21</Dt></ValDt>{reference}<BkTxCd/>"
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


@pytest.mark.skipif(not VECTORS.exists(), reason="the samples of banks are not on this machine")
def test_a_banks_sample_of_a_notification_is_read() -> None:
    data = (VECTORS / "camt054.v2.xml").read_bytes()
    (found,) = read_content(base64.b64encode(gzip.compress(data)).decode())
    assert found.opening is None
    assert [entry.credit for entry in found.entries] == [False]
