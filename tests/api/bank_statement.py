"""Statements as a bank sends them."""

import base64
from datetime import UTC, date, datetime, time

from tally_bankfiles.camt import (
    Account,
    BankTransactionCode,
    EntryTransaction,
    Statement,
    StatementEntry,
    write_camt053,
)
from tally_money import Money, currency
from tally_runtime import Ids

_IDS = Ids()


def statement(lines: list[tuple[str, int]]) -> str:
    """A bank statement (camt.053) of euro credits with what their payers wrote, in base64."""
    euro, day, name = currency("EUR"), date(2026, 9, 21), _IDS.uuid7().hex[-12:]
    entries = tuple(
        StatementEntry(
            index=number,
            line=0,
            amount=Money(minor, euro),
            credit=True,
            booking_date=day,
            value_date=day,
            account_servicer_ref=f"{name}-{number}",
            bank_transaction_code=BankTransactionCode(
                domain="PMNT", family="RCDT", sub_family="ESCT"
            ),
            transactions=(
                EntryTransaction(
                    amount=Money(minor, euro),
                    credit=True,
                    account_servicer_ref=f"{name}-{number}",
                    unstructured=(text,),
                ),
            ),
        )
        for number, (text, minor) in enumerate(lines)
    )
    total = sum(minor for _, minor in lines)
    written = Statement(
        message_id=f"{name}-message",
        id=f"{name}-statement",
        account=Account(f"90{int(name, 16) % 10**9:09d}", is_iban=False),
        currency=euro,
        created_at=datetime.combine(day, time(18), UTC),
        opening=Money(0, euro),
        opening_date=day,
        closing=Money(total, euro),
        closing_date=day,
        entries=entries,
    )
    return base64.b64encode(write_camt053(written)).decode()
