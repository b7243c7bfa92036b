"""What views of another installation showed of a tenant, for the views of this one (F62).

Money is the books' alone and came with the journals: nothing is done again because of what is told
here. Only what is done with is told: a payout under way, or a pay-in nobody has matched, stays where
its money is.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from tally_cli.moving.archive import ArchiveFault, Row, read_rows, usable
from tally_cli.moving.history import Account
from tally_contracts.base import Event, Where, Who, Why
from tally_contracts.operations_history import TYPES, FactBrought, HopBrought, MovementBrought
from tally_contracts.owners import OF_CONTACT
from tally_gateway.domain.concerns import PARTY_FIELDS, THING_FIELDS, concerned
from tally_money import MAX_EXPONENT, iso_currencies
from tally_portfolio.domain.projection import ALLOCATED
from tally_portfolio.domain.time_line import ENDED

TOPIC: Final = "operations.history.v1"
FILES: Final = frozenset({"portfolio.hop.jsonl", "portfolio.movement.jsonl", "gateway.event.jsonl"})
_MOVEMENTS: Final = "portfolio.movement.jsonl"
_PAYOUT: Final = "payouts.payout.changed.v1"
_A_PARTY: Final = "party_"
_NAMES: Final = (PARTY_FIELDS | THING_FIELDS) | {
    "budget_id",
    "charge_id",
    "movement_id",
    "payable_id",
    "payment_id",
    "payout_id",
    "return_id",
}
"""Fields that logs and views go by: whose a fact is, and what it adds to."""
SUBJECTS: Final[Mapping[str, tuple[str, ...]]] = {
    "funding.charge": ("pay_in_id", "owner"),
    "funding.claim": ("movement_id",),
    "funding.pay_in": ("pay_in_id",),
    "payouts.payout": ("payout_id",),
    "programs.budget_claim": ("claim_id",),
    "programs.payment": ("payment_id",),
}
"""What facts of a kind are about: the first of these fields that says something."""


@dataclass(slots=True)
class Past:
    """Makes the events of one export's past.

    `parties` are the tenant's, `waiting` its pay-ins that nobody has yet, `open` its payouts that have
    not ended. `hops` and `subjects` are the ids of what is told, `named` what else it names that is no
    party of the tenant's, `movements` how many there are of each account, `left_out` the facts of what
    goes on elsewhere or is also another tenant's.
    """

    folder: Path
    tenant: str
    accounts: Mapping[str, Account]
    parties: frozenset[str]
    waiting: Collection[str]
    open: Collection[str]
    hops: set[str] = field(default_factory=set)
    subjects: set[str] = field(default_factory=set)
    movements: Counter[str] = field(default_factory=Counter)
    named: set[str] = field(default_factory=set)
    left_out: int = 0

    @classmethod
    def of(cls, folder: Path, tenant: str, accounts: Mapping[str, Account]) -> Self:
        """The past of a tenant, none of it told yet."""
        return cls(
            folder,
            tenant,
            accounts,
            parties=frozenset(
                str(row.get("party_id")) for row in read_rows(folder, "directory.party.jsonl")
            ),
            waiting={
                str(row.get("pay_in_id"))
                for row in read_rows(folder, "funding.pay_in.jsonl")
                if row.get("state") != ALLOCATED
            },
            open={
                str(row.get("id"))
                for row in read_rows(folder, "payouts.payout.jsonl")
                if row.get("state") not in ENDED
            },
        )

    @staticmethod
    def is_told(folder: Path) -> bool:
        """Whether the export holds what its views showed; one of an earlier release does not."""
        return (folder / _MOVEMENTS).exists()

    def events(self) -> Iterator[tuple[Event, str]]:
        """Each event with the row it is of; raises `ArchiveFault` where movements do not sum up."""
        hops = {row.get("event_id"): row for row in read_rows(self.folder, "portfolio.hop.jsonl")}
        # Payouts after the pay-ins they are of: without it, a payout is a payment of nothing.
        for turn in (TYPES - {_PAYOUT}, {_PAYOUT}):
            for row in read_rows(self.folder, "gateway.event.jsonl"):
                with usable(row):
                    if row["type"] in turn:
                        yield from self._fact(row, hops.get(row["event_id"]))
        for hop in hops.values():
            with usable(hop):
                if hop["event_type"] not in TYPES and hop["subject"] in self.subjects:
                    yield self._hop(hop), hop.place
        yield from self._moved()

    def _fact(self, row: Row, hop: Row | None) -> Iterator[tuple[Event, str]]:
        text = bytes.fromhex(row["payload"]).decode()
        told = json.loads(text)
        if (
            hop is None
            or not self._is_done(row["type"], told)
            or not self._is_own(row["type"], hop["subject"], told)
        ):
            self.left_out += 1
            return
        self.hops.add(hop["event_id"])
        self.subjects.add(hop["subject"])
        yield (
            FactBrought(
                tenant=self.tenant,
                fact_key=row["event_id"],
                fact_type=row["type"],
                fact=text,
                topic=hop["topic"],
                source=f"/tallystick/{hop['service']}",
                **_times(hop),
            ),
            row.place,
        )

    def _hop(self, hop: Row) -> HopBrought:
        self.hops.add(hop["event_id"])
        if hop["about"] is not None:
            self.named.add(hop["about"])
        names = ("subject", "about", "topic", "service")
        return HopBrought(
            tenant=self.tenant,
            fact_key=hop["event_id"],
            fact_type=hop["event_type"],
            summary=json.dumps(hop["summary"], ensure_ascii=False),
            **{name: hop[name] for name in names},
            **_times(hop),
        )

    def _moved(self) -> Iterator[tuple[Event, str]]:
        posted: Counter[str] = Counter()
        held: Counter[str] = Counter()
        for row in read_rows(self.folder, _MOVEMENTS):
            with usable(row):
                account = row["account"]
                if account not in self.accounts:
                    continue
                posted[account] += int(row["posted"])
                held[account] += int(row["held"])
                self.movements[account] += 1
                yield self._movement(row), row.place
        for account in self.accounts.values():
            if posted[account.id] != _shown_minor(account) or held[account.id]:
                raise ArchiveFault(
                    "history_incomplete",
                    f"{account.row.place}: the movements shown of {account.id} come to "
                    f"{posted[account.id]}, its balance is {_shown_minor(account)}: export again",
                )

    def _movement(self, row: Row) -> MovementBrought:
        (actor, principal), (channel, country), (program, event, reason) = (
            row["five_ws"][word] for word in ("who", "where", "why")
        )
        names = ("account", "counter", "transfer_id", "journal", "reference", "ledger", "kind")
        return MovementBrought(
            tenant=self.tenant,
            fact_key=row["event_id"],
            log_seq=int(row["log_seq"]),
            effective_at=_utc(row["effective_at"]),
            occurred_at=_utc(row["at"]),
            who=Who(actor=actor, principal=principal),
            where=Where(channel=channel, country=country),
            why=Why(program=program, event=event, reason=reason),
            **{name: row[name] for name in (*names, "code", "currency", "posted", "held")},
        )

    def _is_done(self, event_type: str, told: Mapping[str, Any]) -> bool:
        """Whether nothing more will come of what a fact tells of."""
        # Those of the past of an earlier move are in no table of the services: they are done with.
        if told.get("pay_in_id") in self.waiting:
            return False
        pay_in = told.get("pay_in_id")
        return event_type != _PAYOUT or (
            told["payout_id"] not in self.open and (pay_in is None or pay_in in self.subjects)
        )

    def _is_own(self, event_type: str, subject: str, told: Mapping[str, Any]) -> bool:
        """Whether it is of the tenant, of what its hop is of, and of no party of another's.

        Whatever else it names is kept to be asked about: an export says of itself whose it is.
        """
        about = next(filter(None, map(told.get, SUBJECTS[event_type.rsplit(".", 2)[0]])), None)
        if about != subject or told.get("tenant") not in {None, self.tenant}:
            return False
        others = set(_named(event_type, told)) - self.parties
        if any(other.startswith(_A_PARTY) for other in others):
            return False
        self.named |= others
        return True


def _named(event_type: str, told: Mapping[str, Any]) -> Iterator[str]:
    yield from concerned(event_type, told)
    yield from (told[name] for name in _NAMES & told.keys() if isinstance(told[name], str))
    beneficiary = told.get("beneficiary") or {}
    if beneficiary.get("contact"):
        yield f"{OF_CONTACT}{beneficiary['contact']}"


def _times(hop: Row) -> dict[str, Any]:
    return {
        "recorded_at": _utc(hop["recorded_at"]),
        "occurred_at": _utc(hop["occurred_at"]),
        "correlation": hop["correlation_id"],
        "causation": hop["causation_id"],
    }


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _shown_minor(account: Account) -> int:
    """A balance in the unit that views count in."""
    if account.unit.code in iso_currencies():
        return account.balance
    return account.balance * int(10 ** (MAX_EXPONENT - account.unit.exponent))
