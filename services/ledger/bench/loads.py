# ruff: noqa: INP001, S311 - a part of a script; repeatable chance on purpose
"""Commands to measure with: seeded, so that runs compare."""

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import accumulate

from tally_ledger.domain import Capture, Command, Context, Leg, Place, PostLegs
from tally_runtime import Ids

CURRENCY = "EUR"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
TWO_PHASE = 30
_CONTEXT = Context("bench", "bench", "bench", None, "bench", "bench", "Measuring the ledger")


def account_id(shard: str, number: int) -> str:
    """Accounts of a shard are numbered from 1; 0 is the hot one. As long as real ids."""
    return f"acc_{ord(shard[0]) % 8}{number:025d}"


# The same ids in SQL: $1 is the shard.
ACCOUNT_ID = "'acc_' || ascii($1) % 8 || lpad(n::text, 25, '0')"


@dataclass
class Load:
    """Batches over `accounts` guarded wallets of one shard."""

    shard: str
    accounts: int
    shape: str = "uniform"
    two_phase: int = 0
    ids: Ids = field(default_factory=Ids)
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    placed: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._pick = self._picker()

    def batch(self, size: int) -> list[Command]:
        """`size` commands; of the two-phase share one half places and one captures what the batch before placed."""
        share = size * self.two_phase // 200
        due, self.placed = self.placed, []
        commands: list[Command] = [self._hold() for _ in range(share)]
        commands += [self._capture(*hold) for hold in due]
        commands += [self._journal() for _ in range(size - len(commands))]
        self.chance.shuffle(commands)
        return commands

    def _picker(self) -> Callable[[], int]:
        if self.shape != "zipf":
            return lambda: self.chance.randint(1, self.accounts)
        weights = list(accumulate(1 / rank for rank in range(1, self.accounts + 1)))
        numbers: Sequence[int] = range(1, self.accounts + 1)
        return lambda: self.chance.choices(numbers, cum_weights=weights)[0]

    def pair(self) -> tuple[str, str]:
        """Debit and credit, never the same; the hot account is always the payee."""
        debit = self._pick()
        credit = 0 if self.shape == "hot" else self._pick()
        while credit == debit:
            credit = self._pick()
        return account_id(self.shard, debit), account_id(self.shard, credit)

    def _journal(self) -> PostLegs:
        command, leg = self.ids.new("jrn"), self.ids.new("tr")
        legs = (Leg(leg, *self.pair(), CURRENCY, 1, "bench"),)
        return PostLegs(command, command, (), legs, NOW, _CONTEXT, _hash(command))

    def _hold(self) -> Place:
        hold = self.ids.new("hld")
        self.placed.append((hold, hold))
        leg = Leg(hold, *self.pair(), CURRENCY, 1, "bench")
        return Place(hold, hold, (), leg, None, NOW, _CONTEXT, _hash(hold))

    def _capture(self, hold: str, reference: str) -> Capture:
        transfer = self.ids.new("tr")
        return Capture(
            transfer, reference, hold, CURRENCY, 1, "bench", NOW, _CONTEXT, _hash(transfer)
        )


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
