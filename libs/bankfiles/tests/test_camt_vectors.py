"""Statements made by others."""

from datetime import date
from pathlib import Path

import pytest

from tally_bankfiles.camt import MessageKind, Party, StatementError, read_statements
from tally_money import Money

VECTORS = Path(__file__).parents[4] / "shared" / "vectors" / "camt"
pytestmark = pytest.mark.skipif(not VECTORS.is_dir(), reason="../shared/vectors/camt is absent")


def test_two_statements_in_one_file_read_with_their_balances() -> None:
    first, second = read_statements((VECTORS / "camt053.v2.multi.statement.xml").read_bytes())
    assert first.closing == second.opening == Money.parse("27.00", "EUR")
    assert (first.electronic_sequence, second.electronic_sequence) == (12312, None)
    (entry,) = second.entries
    (transaction,) = entry.transactions
    assert entry.signed == -Money.parse("7.00", "EUR")
    assert transaction.end_to_end_id == "000000002"
    assert transaction.unstructured == ("Transaction Description 2",)


@pytest.mark.parametrize("name", ["minimal", "with-party-ids"])
def test_a_closing_balance_in_another_currency_is_refused_and_its_repair_read(name: str) -> None:
    data = (VECTORS / f"camt053.v2.{name}.xml").read_bytes()
    with pytest.raises(StatementError) as caught:
        read_statements(data)
    assert (caught.value.code, caught.value.line) == ("currency_mismatch", 54)
    at = data.index(b'<Amt Ccy="SEK">27.00')
    repaired = data[:at] + data[at:].replace(b"SEK", b"EUR", 1).replace(b"DBIT", b"CRDT", 1)
    (statement,) = read_statements(repaired)
    (entry,) = statement.entries
    (transaction,) = entry.transactions
    assert (entry.booking_date, entry.value_date) == (date(2014, 12, 31), date(2015, 1, 2))
    assert transaction.debtor == Party("NAME NAME", "NL56AGDH9619008421")
    assert transaction.structured[0].reference == "4654654654654654"


def test_balances_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(StatementError) as caught:
        read_statements((VECTORS / "camt053.v2.all-balance-types.xml").read_bytes())
    assert (caught.value.code, caught.value.line) == ("statement_unbalanced", 68)
    assert "9.86 EUR" in caught.value.detail
    assert "4.04 EUR" in caught.value.detail


def test_a_notification_keeps_its_payments_apart() -> None:
    (notice,) = read_statements((VECTORS / "camt054.v2.xml").read_bytes())
    assert notice.kind is MessageKind.NOTIFICATION
    (entry,) = notice.entries
    assert [transaction.amount for transaction in entry.transactions] == [None, None, None]
    assert not entry.splits_exactly
    references = [t.structured[-1].reference for t in entry.transactions]
    assert references == ["ISR ref number V1", "ISR ref number V2", "Ref number V3 block 2"]


def test_a_report_says_how_many_payments_an_entry_stands_for() -> None:
    (report,) = read_statements((VECTORS / "camt052.v2.xml").read_bytes())
    (entry,) = report.entries
    assert (entry.batch_size, len(entry.transactions)) == (20, 1)
    assert entry.transactions[0].amount is None
    assert entry.amount == Money.parse("200000.00", "SEK")
