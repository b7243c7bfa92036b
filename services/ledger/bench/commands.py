# ruff: noqa: INP001 - a part of a script
"""Commands as records, made before a run: one transfer a command, or many in one batch."""

from collections.abc import Sequence
from typing import NamedTuple

from aiokafka.partitioner import DefaultPartitioner
from loads import CURRENCY, NOW, account_id

from tally_contracts.base import PositiveAmount, Where, Who, Why
from tally_contracts.ledger import Leg, PostJournal
from tally_contracts.ledger_batches import BatchItem, PostBatch
from tally_messaging import encode_headers, outgoing_headers
from tally_messaging.envelope import Cause
from tally_runtime import Ids

PARTITIONS = 6
ACCOUNTS = 10_000
_JOURNAL, _REFERENCE = "jrn_00000000000000000000000000", "ref_00000000000000000000000000"
_TRANSFER, _BATCH = "tr_00000000000000000000000000", "bat_00000000000000000000000000"
_DEBIT, _CREDIT = "acc_00000000000000000000000001", "acc_00000000000000000000000002"


class Prepared(NamedTuple):
    """A record to send; its fact comes back under `reference`."""

    partition: int
    reference: bytes
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


def partition_of(key: str) -> int:
    """Where the senders' client puts a key."""
    every = list(range(PARTITIONS))
    return int(DefaultPartitioner()(key.encode(), every, every))


def ledger_names(number: int) -> list[str]:
    """Ledgers on partitions of their own, each with account ids of its own (loads.py)."""
    names: list[str] = []
    for letter in "abcdefgh"[:number]:
        taken = {partition_of(name) for name in names}
        names.append(
            next(
                name
                for name in (f"{letter}{n}" for n in range(1000))
                if len(taken) >= PARTITIONS or partition_of(name) not in taken
            )
        )
    return names


class Commands:
    """Records made by filling a template, so that making them costs little; `items` transfers each.

    One item is a PostJournal of its own, more of them a PostBatch.
    """

    def __init__(self, ledgers: Sequence[str], items: int = 1) -> None:
        self.items = items
        self._ids = Ids()
        self._records = 0
        self._transfers = 0
        self._ledgers = list(ledgers)
        self._partitions = {name: partition_of(name) for name in ledgers}
        self._single = {name: _journal(name).model_dump_json() for name in ledgers}
        empty = {name: _batch(name) for name in ledgers}
        self._item = next(iter(empty.values())).items[0].model_dump_json()
        self._batch = {name: batch.model_dump_json() for name, batch in empty.items()}

    def records(self, number: int) -> list[Prepared]:
        """So many records, ledgers in turn."""
        return [self._one() for _ in range(number)]

    def _one(self) -> Prepared:
        ledger = self._ledgers[self._records % len(self._ledgers)]
        self._records += 1
        reference = self._ids.new("ref")
        if self.items == 1:
            event_type = PostJournal.TYPE
            value = self._filled(self._single[ledger], ledger)
        else:
            event_type = PostBatch.TYPE
            items = ",".join(self._filled(self._item, ledger) for _ in range(self.items))
            value = self._batch[ledger].replace(self._item, items)
            value = value.replace(_BATCH, self._ids.new("bat"))
        headers = outgoing_headers(
            event_id=str(self._ids.uuid7()),
            source="/bench",
            event_type=event_type,
            at=NOW,
            subject=ledger,
            cause=Cause("bench"),
        )
        return Prepared(
            self._partitions[ledger],
            reference.encode(),
            ledger.encode(),
            value.replace(_REFERENCE, reference).encode(),
            encode_headers(headers),
        )

    def _filled(self, template: str, ledger: str) -> str:
        number = self._transfers
        self._transfers += 1
        debit = number * 7919 % ACCOUNTS + 1
        credit = number * 104_729 % ACCOUNTS + 1
        credit = credit % ACCOUNTS + 1 if credit == debit else credit
        return (
            template.replace(_JOURNAL, self._ids.new("jrn"))
            .replace(_TRANSFER, self._ids.new("tr"))
            .replace(_DEBIT, account_id(ledger, debit))
            .replace(_CREDIT, account_id(ledger, credit))
        )


_LEG = Leg(
    id=_TRANSFER,
    debit=_DEBIT,
    credit=_CREDIT,
    amount=PositiveAmount(currency=CURRENCY, amount="0.01"),
    code="bench",
)
_WHO, _WHERE = Who(actor="bench", principal="bench"), Where(channel="bench")
_WHY = Why(program="bench", event="bench", reason="Measuring the ledger")


def _journal(ledger: str) -> PostJournal:
    return PostJournal(
        journal_id=_JOURNAL,
        ledger=ledger,
        reference=_REFERENCE,
        legs=(_LEG,),
        effective_at=NOW,
        who=_WHO,
        where=_WHERE,
        why=_WHY,
        occurred_at=NOW,
    )


def _batch(ledger: str) -> PostBatch:
    return PostBatch(
        batch_id=_BATCH,
        ledger=ledger,
        reference=_REFERENCE,
        items=(BatchItem(journal_id=_JOURNAL, reference=_REFERENCE, leg=_LEG),),
        effective_at=NOW,
        who=_WHO,
        where=_WHERE,
        why=_WHY,
        occurred_at=NOW,
    )
