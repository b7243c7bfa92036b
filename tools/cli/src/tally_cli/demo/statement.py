"""The demo's bank statement: a camt.053 file whose opening balance and entries make its closing one."""

from datetime import UTC, date, datetime, time

from tally_bankfiles.camt import (
    Account,
    BankTransactionCode,
    EntryTransaction,
    Statement,
    StatementEntry,
    write_camt053,
)
from tally_cli.demo.dataset import PROGRAM, Payee
from tally_money import Money, currency

MATCHED, UNMATCHED = 8, 4
_CREDIT = BankTransactionCode(domain="PMNT", family="RCDT", sub_family="ESCT")


def make_statement(run: str, payees: tuple[Payee, ...], day: date) -> tuple[bytes, int]:
    """Twelve credits in dollars, four of which name nobody known; and their total in cents."""
    dollars = currency("USD")
    entries: list[StatementEntry] = []
    for number in range(MATCHED + UNMATCHED):
        amount = Money(100_00 + 1_11 * number, dollars)
        mark = f"TALLY:{PROGRAM}:{payees[number].party}" if number < MATCHED else "Thank you"
        reference = f"{run}-bank-{number}"
        entries.append(
            StatementEntry(
                index=number,
                line=0,
                amount=amount,
                credit=True,
                booking_date=day,
                value_date=day,
                account_servicer_ref=reference,
                bank_transaction_code=_CREDIT,
                transactions=(
                    EntryTransaction(
                        amount=amount,
                        credit=True,
                        account_servicer_ref=reference,
                        unstructured=(mark,),
                    ),
                ),
            )
        )
    total = sum(entry.amount.minor for entry in entries)
    opening = Money(5_000_00, dollars)
    statement = Statement(
        message_id=f"{run}-message",
        id=f"{run}-statement",
        account=Account("900100200", is_iban=False),
        currency=dollars,
        created_at=datetime.combine(day, time(18), UTC),
        opening=opening,
        opening_date=day,
        closing=Money(opening.minor + total, dollars),
        closing_date=day,
        entries=tuple(entries),
    )
    return write_camt053(statement), total
