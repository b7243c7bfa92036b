"""Budgets with what was set aside and used of them, and payables with what was paid, as commands."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from tally_cli.moving.archive import ArchiveFault, Row, read_rows, usable
from tally_contracts import programs
from tally_contracts.base import Amount, Event, PositiveAmount, Where, Who, Why
from tally_money import Currency, Money
from tally_runtime import derived_id

_WAITING: Final = (
    ("programs.payment.jsonl", frozenset({"proposed", "approved"}), "payment"),
    ("programs.claim.jsonl", frozenset({"submitted"}), "claim"),
)


def refuse_waiting(folder: Path) -> None:
    """Raise `ArchiveFault` where a payment or claim still waits for somebody's word."""
    for name, states, what in _WAITING:
        for row in read_rows(folder, name):
            if row.get("state") in states:
                raise ArchiveFault(
                    "decision_open",
                    f"{row.place}: the {what} {row.get('id')} is {row.get('state')}: have it decided, "
                    "then export again",
                )


@dataclass(frozen=True, slots=True)
class Owed:
    """Makes the commands of one export. `common` is what each has: tenant, who, where, when."""

    folder: Path
    units: Mapping[str, Currency]
    common: Mapping[str, Any]
    reason: str

    @classmethod
    def of(
        cls,
        folder: Path,
        units: Mapping[str, Currency],
        *,
        tenant: str,
        who: Who,
        reason: str,
        at: datetime,
    ) -> "Owed":
        """For a tenant; the commands say `at` as their time."""
        common = {"tenant": tenant, "who": who, "where": Where(channel="import"), "occurred_at": at}
        return cls(folder, units, common, reason)

    def budgets(self) -> list[list[tuple[Event, str]]]:
        """Commands with the row each is of, in waves: budgets tier by tier, then their use."""
        names = self._names()
        tiers: dict[int, list[tuple[Event, str]]] = {}
        rows: dict[str, Row] = {}
        for row in read_rows(self.folder, "programs.budget.jsonl"):
            with usable(row):
                rows[row["id"]] = row
                opened = programs.OpenBudget(
                    **self._money(row["program_id"], names[row["program_id"]], row["id"]),
                    budget_id=row["id"],
                    parent=row["parent"],
                    holder=row["holder"],
                    amount=Amount.of(self._amount(row, "amount")),
                    wallet=None if row["parent"] else row["wallet"],
                )
                depth = row["path"].count("/") + bool(row["path"])
                tiers.setdefault(depth, []).append((opened, row["id"]))
        steps: list[list[tuple[Event, str]]] = [[], [], []]
        for row in read_rows(self.folder, "programs.reservation.jsonl"):
            with usable(row):
                for step, event in self._used(row, rows[row["budget_id"]], names):
                    steps[step].append((event, row["id"]))
        return [*(tiers[depth] for depth in sorted(tiers)), *steps]

    def payables(self) -> list[tuple[Event, str]]:
        """Commands with the row each is of, registered with what was paid and whether cancelled."""
        names = self._names()
        settled: dict[str, list[programs.BroughtSettlement]] = {}
        for row in read_rows(self.folder, "programs.settlement.jsonl"):
            with usable(row):
                settled.setdefault(row["payable_id"], []).append(
                    programs.BroughtSettlement(
                        reference=row["reference"],
                        amount=Amount.of(self._amount(row, "amount")),
                        sequence=int(row["sequence"]),
                    )
                )
        registered: list[tuple[Event, str]] = []
        for row in read_rows(self.folder, "programs.payable.jsonl"):
            with usable(row):
                counted = settled.get(row["id"], [])
                if sum(each.amount.money().minor for each in counted) != int(row["paid"]):
                    raise ValueError("its settlements do not sum to what was paid")
                event = programs.RegisterPayable(
                    **self._money(row["program_id"], names[row["program_id"]], row["number"]),
                    payable_id=row["id"],
                    document=row["document"],
                    number=row["number"],
                    payer=row["payer"],
                    payee=row["payee"],
                    amount=PositiveAmount.of(self._amount(row, "amount")),
                    due=date.fromisoformat(row["due"]),
                    kind=row["kind"],
                    settled_by=row["settled_by"],
                    brought=programs.BroughtPayable(
                        settled=tuple(counted), cancelled=row["cancelled"]
                    ),
                )
                registered.append((event, row["id"]))
        return registered

    def _used(self, row: Row, budget: Row, names: Mapping[str, str]) -> Iterator[tuple[int, Event]]:
        program = budget["program_id"]
        common = self._money(program, names[program], row["id"]) | {
            "budget_id": budget["id"],
            "reservation_id": row["id"],
        }
        amount = Money(int(row["amount"]), self.units[budget["currency"]])
        yield (
            0,
            programs.ReserveBudget(
                **common, amount=PositiveAmount.of(amount), reference=row["reference"]
            ),
        )
        used = Money(int(row["used"]), amount.currency)
        if used:
            use_id = derived_id("use", "import", row["id"])
            yield (
                1,
                programs.UseBudget(**common, use_id=use_id, amount=PositiveAmount.of(used)),
            )
        if not row["open"] and used < amount:
            release_id = derived_id("rls", "import", row["id"])
            yield 2, programs.ReleaseBudget(**common, release_id=release_id)

    def _names(self) -> dict[str, str]:
        return {row["id"]: row["name"] for row in read_rows(self.folder, "programs.program.jsonl")}

    def _money(self, program_id: str, program: str, event: str) -> dict[str, Any]:
        why = Why(program=program, event=event, reason=self.reason)
        return {**self.common, "program_id": program_id, "why": why}

    def _amount(self, row: Mapping[str, Any], name: str) -> Money:
        return Money(int(row[name]), self.units[row["currency"]])
