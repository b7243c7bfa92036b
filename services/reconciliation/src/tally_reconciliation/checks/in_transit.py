"""L15: money on its way between two ledgers is on both sides alike; what moves or settles it ends alike."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from tally_reconciliation.findings import Findings
from tally_reconciliation.report import Check, Quiet
from tally_reconciliation.snapshot import Snapshot

OVERDUE = timedelta(hours=1)
"""Age after which a transfer still open is a fault, whatever else is going on."""

_TITLE = (
    "accounts in transit between two ledgers mirror each other; transfers and settlements end alike"
    " on both sides"
)

_ACCOUNTS = """
SELECT shard, split_part(path, '/', 2) AS other, asset, id,
       credits_posted - debits_posted AS posted, debits_pending + credits_pending AS pending
FROM ledger.account WHERE purpose = 'in_transit' ORDER BY shard, path
"""

# The payee is in the request alone, which is read as text: what was spoilt may be no JSON any more.
_SOURCES = """
SELECT id, ledger, to_ledger, asset, amount, state, side, asked_at < now() - $1::interval AS overdue,
       substring(request FROM '"credit": *"([^"]*)"') AS credit
FROM ledger.cross_transfer ORDER BY id
"""

_CREDITS = """
SELECT id, from_ledger, ledger, asset, amount, credit, code FROM ledger.cross_credit ORDER BY id
"""

_SETTLEMENTS = """
SELECT id, ledger, other AS to_ledger, asset, amount, owed_by, state, side,
       ended_at IS NOT NULL AND amount ~ '[1-9]' AS answered,
       settled_at < now() - $1::interval AS overdue
FROM ledger.transit_settlement ORDER BY id
"""

_MIRRORS = """
SELECT id, from_ledger, asset, amount, owed_by, code FROM ledger.transit_mirror ORDER BY id
"""

_LEDGERS = "SELECT shard FROM ledger.shard_state ORDER BY shard"

Asked = tuple[str, str]
"""The ledger that asked, and the id it gave."""


@dataclass(slots=True)
class Sides:
    """What the databases looked at hold; filled one after another, read when all are in.

    Each is as of a moment of its own, so a credit may be missing that was made in between. Transfers
    and settlements are known by who asked and their id: two ledgers may take the same one.
    """

    databases: int = 0

    ledgers: dict[str, int] = field(default_factory=dict)
    accounts: dict[tuple[str, str, str], tuple[str, int, int]] = field(default_factory=dict)
    sources: dict[Asked, Mapping[str, object]] = field(default_factory=dict)
    credits: dict[Asked, Mapping[str, object]] = field(default_factory=dict)
    settlements: dict[Asked, Mapping[str, object]] = field(default_factory=dict)
    mirrors: dict[Asked, Mapping[str, object]] = field(default_factory=dict)

    async def look(self, snap: Snapshot) -> None:
        """Add one database's ledgers."""
        self.databases += 1
        for row in await snap.all(_LEDGERS):
            self.ledgers[row["shard"]] = self.ledgers.get(row["shard"], 0) + 1
        async for row in snap.rows(_ACCOUNTS):
            key = (row["shard"], row["other"], row["asset"])
            self.accounts[key] = (row["id"], int(row["posted"]), int(row["pending"]))
        async for row in snap.rows(_SOURCES, OVERDUE):
            self.sources[row["ledger"], row["id"]] = dict(row)
        async for row in snap.rows(_CREDITS):
            self.credits[row["from_ledger"], row["id"]] = dict(row)
        async for row in snap.rows(_SETTLEMENTS, OVERDUE):
            self.settlements[row["ledger"], row["id"]] = dict(row)
        async for row in snap.rows(_MIRRORS):
            self.mirrors[row["from_ledger"], row["id"]] = dict(row)


async def check_in_transit(snap: Snapshot, quiet: Quiet, *further: Snapshot) -> Check:
    """L15 over the databases given; a pair with a ledger in another one is not judged."""
    sides = Sides()
    for one in (snap, *further):
        await sides.look(one)
    return judge_sides(sides, quiet)


def judge_sides(sides: Sides, quiet: Quiet) -> Check:
    """L15 over every pair of ledgers whose books were both looked at."""
    found = Findings("L15", _TITLE)
    for ledger, times in sides.ledgers.items():
        if times > 1:
            found.wrong("ledger_in_two_databases", ledger=ledger)
    pairs = _judge_accounts(sides, found)
    _judge_transfers(sides, found)
    _judge_settlements(sides, found)
    found.figures["transfers"] = len(sides.sources)
    found.figures["settlements"] = len(sides.settlements)
    told = f"{len(sides.sources)} transfers, {len(sides.settlements)} settlements"
    return found.once_quiet(f"{pairs} pairs, {told}", quiet)


def _judge_accounts(sides: Sides, found: Findings) -> int:
    pairs = {
        (min(ledger, other), max(ledger, other), asset) for ledger, other, asset in sides.accounts
    }
    judged = 0
    for one, two, asset in sorted(pairs):
        if one not in sides.ledgers or two not in sides.ledgers:
            continue
        judged += 1
        here = sides.accounts.get((one, two, asset), ("", 0, 0))
        there = sides.accounts.get((two, one, asset), ("", 0, 0))
        if here[1] + there[1] != 0 or here[2] or there[2]:
            found.unfinished(
                "in_transit_unmirrored",
                account=here[0] or there[0],
                ledgers=f"{one} {two}",
                asset=asset,
                posted=f"{here[1]} {there[1]}",
                pending=f"{here[2]} {there[2]}",
            )
    return judged


def _judge_transfers(sides: Sides, found: Findings) -> None:
    for asked, row in sides.sources.items():
        state, there = row["state"], str(row["to_ledger"])
        credit, transfer_id = sides.credits.get(asked), asked[1]
        if state == "started":
            report = found.wrong if row["overdue"] else found.unfinished
            report("transfer_open", id=transfer_id, to_ledger=there)
        elif there not in sides.ledgers:
            continue
        elif state == "completed" and (credit is None or credit["code"] is not None):
            late = credit is None and sides.databases > 1
            report = found.unfinished if late else found.wrong
            report("debited_not_credited", id=transfer_id, to_ledger=there)
        elif state == "refused" and credit is not None and credit["code"] is None:
            found.wrong("credited_not_debited", id=transfer_id, to_ledger=there)
        if credit is not None and (credit["asset"], credit["amount"]) != (
            row["asset"],
            row["amount"],
        ):
            found.wrong("amounts_differ", id=transfer_id, to_ledger=there)
        # Credits of before did not note whose they are.
        if credit is not None and credit["credit"] not in {None, row["credit"]}:
            found.wrong("payees_differ", id=transfer_id, to_ledger=there)


def _judge_settlements(sides: Sides, found: Findings) -> None:
    for asked, row in sides.settlements.items():
        state, there = row["state"], str(row["to_ledger"])
        mirror, settlement_id = sides.mirrors.get(asked), asked[1]
        if state == "started":
            report = found.wrong if row["overdue"] else found.unfinished
            report("settlement_open", id=settlement_id, to_ledger=there)
        elif there not in sides.ledgers:
            continue
        elif state == "completed" and row["answered"] and (mirror is None or mirror["code"]):
            late = mirror is None and sides.databases > 1
            report = found.unfinished if late else found.wrong
            report("settled_not_mirrored", id=settlement_id, to_ledger=there)
        elif state == "refused" and mirror is not None and mirror["code"] is None:
            found.wrong("mirrored_not_settled", id=settlement_id, to_ledger=there)
        if mirror is not None and any(
            mirror[of] != row[of] for of in ("asset", "amount", "owed_by")
        ):
            found.wrong("settlements_differ", id=settlement_id, to_ledger=there)
    for asked in sorted(sides.mirrors.keys() - sides.settlements.keys()):
        ledger, settlement_id = asked
        if ledger in sides.ledgers:
            found.unfinished("mirrored_not_asked", id=settlement_id, ledger=ledger)
