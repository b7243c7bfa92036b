"""The part of one ledger's books that a batch touches, and what was decided about it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from tally_ledger.domain.model import Account, Balance, Entry, Hold, Transfer, TransferKind


class Posted(NamedTuple):
    """A command that was accepted: everything it adds and the state it leaves."""

    opened: tuple[Account, ...]
    transfers: tuple[Transfer, ...]
    entries: tuple[Entry, ...]
    balances: dict[str, Balance]
    hold: Hold | None


class Rejected(NamedTuple):
    """A command that was refused: it changes nothing. `detail` names the field and the remedy."""

    code: str
    detail: str


class Done(NamedTuple):
    """What is remembered of a movement; `transfer` only where a hold was its subject."""

    log_seq: int
    transfer: Transfer | None


class Opened(NamedTuple):
    """The account is in the books, opened now or before."""

    account: Account


class Changed(NamedTuple):
    """How the account stood once it was frozen, unfrozen or closed."""

    account: str
    frozen_in: bool
    frozen_out: bool
    closed: bool


class Asset(NamedTuple):
    """A unit of value; its scale (decimals, 0 to 18) and kind never change.

    An ISO 4217 currency has no time of registration: it was always there.
    """

    code: str
    scale: int
    kind: str
    registered_at: datetime | None


class Registered(NamedTuple):
    """The asset is in the books, entered now or before; `is_new` tells which."""

    asset: Asset
    is_new: bool


class Answer(NamedTuple):
    """What a command is told, now or whenever it is asked again."""

    outcome: Done | Opened | Changed | Registered | Rejected
    recorded_at: datetime


class Known(NamedTuple):
    """A request that was answered before."""

    request_hash: bytes
    answer: Answer


@dataclass(slots=True)
class Books:
    """Everything a batch of one ledger may read.

    `accounts`, `balances` and `holds` are of this ledger; `elsewhere` are accounts that exist in
    another one. `known` are answered requests by id, `transfer_ids` the ids already in use.
    `journals` are transfers by journal, of the batch and of reversals' targets; `reversed` is how
    much of a transfer was moved back. A ledger that is not `is_open` refuses everything.
    """

    ledger: str
    is_open: bool = True
    log_seq: int = 0
    accounts: dict[str, Account] = field(default_factory=dict)
    balances: dict[str, Balance] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    known: dict[str, Known] = field(default_factory=dict)
    transfer_ids: set[str] = field(default_factory=set)
    elsewhere: frozenset[str] = frozenset()
    journals: dict[str, tuple[Transfer, ...]] = field(default_factory=dict)
    reversed: dict[str, int] = field(default_factory=dict)

    def copy(self) -> "Books":
        """A working copy; what it holds is immutable, so that copying the containers is enough."""
        return Books(
            self.ledger,
            self.is_open,
            self.log_seq,
            self.accounts.copy(),
            self.balances.copy(),
            self.holds.copy(),
            self.known.copy(),
            self.transfer_ids.copy(),
            self.elsewhere,
            self.journals.copy(),
            self.reversed.copy(),
        )

    def apply(self, command_id: str, posted: Posted) -> None:
        """Take over what was decided."""
        for account in posted.opened:
            self.accounts[account.id] = account
        self.balances.update(posted.balances)
        for transfer in posted.transfers:
            self.transfer_ids.add(transfer.id)
        if posted.hold is not None:
            self.holds[posted.hold.id] = posted.hold
        self.journals[command_id] = posted.transfers
        if posted.transfers[0].kind is TransferKind.REVERSE:
            for transfer in posted.transfers:
                target = transfer.pending_id
                assert target is not None, "a reversal names what it reverses"
                self.reversed[target] = self.reversed.get(target, 0) + transfer.amount

    def change(self, changed: Changed) -> None:
        """Take over how an account stands."""
        self.accounts[changed.account] = self.accounts[changed.account]._replace(
            frozen_in=changed.frozen_in, frozen_out=changed.frozen_out, closed=changed.closed
        )
