"""What moved on a tenant's accounts, journal by journal: the same amounts, times, people and reasons.

Money that came from or went to accounts that are not the tenant's comes from and goes to one
account per ledger and currency here, `brought_forward/<tenant>/<currency>`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from tally_cli.moving.archive import ArchiveFault, Row, read_rows, usable
from tally_contracts import ledger
from tally_contracts.base import AskedAmount, Where, Who, Why
from tally_money import Currency, Money
from tally_runtime import derived_id

FORWARD: Final = "brought_forward"
IMPORTED: Final = "import"
"""The channel of every journal that was brought: what says that it did not happen here."""
SHOWN_AS_BROUGHT: Final = "imp"
"""Prefix of the reference of a journal that is shown as it was brought."""
_MOVING: Final = frozenset({"single", "post", "reverse"})
_ACCOUNTS: Final = "ledger.account.jsonl"
_TRANSFERS: Final = "ledger.transfer.jsonl"


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the tenant's, its balance in minor units, and the row it comes from."""

    row: Row
    unit: Currency
    balance: int

    @property
    def id(self) -> str:
        """Its id, here as there."""
        return str(self.row["id"])

    def spec(self) -> ledger.AccountSpec:
        """As the ledger opens it."""
        limit = self.row["max_balance"]
        return ledger.AccountSpec(
            id=self.id,
            owner=self.row["owner"],
            purpose=self.row["purpose"],
            path=self.row["path"],
            currency=self.row["asset"],
            guarded=self.row["guarded"],
            no_credit_overdraft=self.row["no_credit_overdraft"],
            aggregated=self.row["aggregated"],
            balance_limit=None if limit is None else Money(int(limit), self.unit).wire_amount,
        )


def accounts(folder: Path, units: Mapping[str, Currency]) -> dict[str, Account]:
    """The tenant's accounts by id; raises `ArchiveFault` where money is reserved still.

    What an earlier import brought forward is nobody's account: it is made anew.
    """
    found: dict[str, Account] = {}
    for row in read_rows(folder, _ACCOUNTS):
        with usable(row):
            if row["purpose"] == FORWARD:
                continue
            if int(row["debits_pending"]) or int(row["credits_pending"]):
                raise ArchiveFault(
                    "money_reserved",
                    f"{row.place}: {row['id']} has money reserved for what was under way: let payouts "
                    "end or cancel them, then export again",
                )
            balance = int(row["credits_posted"]) - int(row["debits_posted"])
            found[row["id"]] = Account(row, units[row["asset"]], balance)
    return found


@dataclass(slots=True)
class History:
    """Makes the journals of an import, in the order in which each ledger recorded them.

    `prefix` is that of their references: it tells views whether the past is told apart.
    """

    folder: Path
    tenant: str
    accounts: Mapping[str, Account]
    taken_at: datetime
    prefix: str = SHOWN_AS_BROUGHT
    _moved: Counter[str] = field(default_factory=Counter)
    _opened: set[str] = field(default_factory=set)

    def journals(self) -> Iterator[ledger.PostJournal]:
        """Every journal that moved something; raises `ArchiveFault` where they do not sum up.

        The sum of what moved on an account is its balance, else rows are missing.
        """
        of = {row["id"]: row for row in read_rows(self.folder, "ledger.journal.jsonl")}
        moving = (r for r in read_rows(self.folder, _TRANSFERS) if r.get("kind") in _MOVING)
        for journal_id, group in groupby(moving, key=lambda row: row.get("journal_id")):
            rows = list(group)
            with usable(rows[0]):
                yield self._journal(of[journal_id], rows)
        for account in self.accounts.values():
            if self._moved[account.id] != account.balance:
                raise ArchiveFault(
                    "history_incomplete",
                    f"{account.row.place}: the transfers of {account.id} come to "
                    f"{self._moved[account.id]}, its balance is {account.balance}: export again",
                )

    def _journal(self, row: Mapping[str, Any], transfers: Sequence[Row]) -> ledger.PostJournal:
        opened: dict[str, ledger.AccountSpec] = {}
        legs = []
        for transfer in transfers:
            with usable(transfer):
                legs.append(self._leg(row["shard"], transfer, opened))
        return ledger.PostJournal(
            journal_id=derived_id("jrn", "import", row["id"]),
            ledger=row["shard"],
            reference=derived_id(self.prefix, row["reference"]),
            open_accounts=tuple(opened.values()),
            legs=tuple(legs),
            effective_at=datetime.fromisoformat(row["effective_at"]),
            who=Who(actor=row["who_actor"], principal=row["who_principal"]),
            where=Where(channel=IMPORTED, country=row["where_country"]),
            why=Why(program=row["why_program"], event=row["why_event"], reason=row["why_reason"]),
            occurred_at=self.taken_at,
        )

    def _leg(self, shard: str, row: Row, opened: dict[str, ledger.AccountSpec]) -> ledger.Leg:
        amount = int(row["amount"])
        sides = []
        for side, sign in (("debit", -1), ("credit", 1)):
            account = self.accounts.get(row[side])
            spec = self._forward(shard, row["asset"]) if account is None else account.spec()
            if account is not None:
                self._moved[account.id] += sign * amount
            if spec.id not in self._opened:
                self._opened.add(spec.id)
                opened[spec.id] = spec
            sides.append(spec.id)
        mine = self.accounts.get(row["debit"]) or self.accounts[row["credit"]]
        return ledger.Leg(
            id=derived_id("tr", "import", row["id"]),
            debit=sides[0],
            credit=sides[1],
            amount=AskedAmount.of(Money(amount, mine.unit)),
            code=row["code"],
        )

    def _forward(self, shard: str, asset: str) -> ledger.AccountSpec:
        path = f"{FORWARD}/{self.tenant}/{asset}"
        return ledger.AccountSpec(
            id=derived_id("acc", shard, path),
            owner=self.tenant,
            purpose=FORWARD,
            path=path,
            currency=asset,
            guarded=False,
        )
