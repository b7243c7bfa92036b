"""The signed root of each day: of the log, chained, signed. An implementation of the oracle's own."""

import hashlib
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, date, datetime, time, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tally_postgres import Record
from tally_reconciliation.findings import Findings
from tally_reconciliation.merkle import Tree
from tally_reconciliation.report import Check
from tally_reconciliation.snapshot import Snapshot

_DAYS = """
SELECT shard, day, first_log, last_log, root, head, previous, signed_at, key_id, record_hash,
       signature
FROM ledger.daily_root ORDER BY shard, day
"""

_LOG = "SELECT seq, root, recorded_at, form FROM ledger.log WHERE shard = $1 ORDER BY seq"

_KEYS = "SELECT id, public_key FROM ledger.signing_key ORDER BY id"

_ONE_DAY = timedelta(days=1)
_TREE_FORM = 2
_ID_DIGITS = 16


async def check_days(snap: Snapshot, trusted: tuple[bytes, ...]) -> Check:
    """Daily roots recompute from the log and are signed: by a trusted key, where any is given."""
    found = Findings("L14", "each closed day has one signed root, of all that was recorded on it")
    keys = await _keys(snap, found, trusted)
    by_shard: dict[str, list[Record]] = {}
    async for row in snap.rows(_DAYS):
        by_shard.setdefault(row["shard"], []).append(row)
    for shard, days in by_shard.items():
        _chain(found, days)
        for day in days:
            _signature(found, day, keys)
        await _against_log(snap, found, shard, days)
    count = sum(map(len, by_shard.values()))
    found.figures.update(days=count, trusted_keys=len(trusted))
    by = f"by {len(trusted)} given keys" if trusted else "by the keys the ledger states"
    return found.judged(f"{count} days, {by}")


async def _keys(snap: Snapshot, found: Findings, trusted: tuple[bytes, ...]) -> Mapping[str, bytes]:
    """Public keys by their id; an id follows from its key."""
    stated = {row["id"]: bytes(row["public_key"]) for row in await snap.all(_KEYS)}
    for id_, raw in stated.items():
        if _id(raw) != id_:
            found.wrong("key_differs_from_id", signing_key=id_, found=_id(raw))
    return {_id(raw): raw for raw in trusted} if trusted else stated


def _id(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:_ID_DIGITS]


def _chain(found: Findings, days: list[Record]) -> None:
    """Days follow one another, in the calendar, in the log and in the chain of their records."""
    before: Record | None = None
    for day in days:
        where = _where(day)
        if hashlib.sha256(_record(day)).digest() != day["record_hash"]:
            found.wrong("record_hash_differs", **where)
        if before is None:
            expected, after = {bytes(32)}, 0
        else:
            # A row before that was spoilt is named there, and not once more here.
            expected = {before["record_hash"], hashlib.sha256(_record(before)).digest()}
            after = before["last_log"]
            if day["day"] != before["day"] + _ONE_DAY:
                found.wrong("day_missing", **where, after=before["day"].isoformat())
        if day["previous"] not in expected:
            found.wrong("previous_differs", **where)
        if day["first_log"] != after + 1:
            found.wrong("day_not_next", **where, first_log=day["first_log"], expected=after + 1)
        before = day


def _signature(found: Findings, day: Record, keys: Mapping[str, bytes]) -> None:
    raw = keys.get(day["key_id"])
    if raw is None:
        found.wrong("key_unknown", **_where(day), key_id=day["key_id"])
        return
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(day["signature"], _record(day))
    except InvalidSignature:
        found.wrong("signature_invalid", **_where(day), key_id=day["key_id"])


async def _against_log(snap: Snapshot, found: Findings, shard: str, days: list[Record]) -> None:
    """Each day's root and head, and that its batches and no others were recorded on it."""
    rows = aiter(snap.rows(_LOG, shard))
    entry = await anext(rows, None)
    head, previous_end = bytes(32), None
    for day in days:
        tree, end = Tree(), datetime.combine(day["day"] + _ONE_DAY, time(), UTC)
        while entry is not None and entry["seq"] <= day["last_log"]:
            _recorded_on(found, day, entry, previous_end, end)
            tree.add(hashlib.sha256(b"\x00" + entry["root"]).digest())
            head, entry = entry["root"], await anext(rows, None)
        if tree.root() != day["root"]:
            found.wrong("day_root_differs", **_where(day))
        if head != day["head"]:
            found.wrong("day_head_differs", **_where(day))
        previous_end = end
    await _rest(found, shard, previous_end, entry, rows)


def _recorded_on(
    found: Findings, day: Record, entry: Record, start: datetime | None, end: datetime
) -> None:
    if entry["form"] != _TREE_FORM:
        return
    if entry["recorded_at"] >= end or (start is not None and entry["recorded_at"] < start):
        found.wrong("batch_of_another_day", **_where(day), log_seq=entry["seq"])


async def _rest(
    found: Findings,
    shard: str,
    closed_until: datetime | None,
    entry: Record | None,
    rows: AsyncIterator[Record],
) -> None:
    """Nothing behind the last closed day was recorded before it was over."""
    while entry is not None:
        if closed_until is not None and entry["recorded_at"] < closed_until:
            found.wrong("batch_in_a_closed_day", shard=shard, log_seq=entry["seq"])
        entry = await anext(rows, None)


def _where(day: Record) -> dict[str, str]:
    return {"shard": day["shard"], "daily_root": day["day"].isoformat()}


def _record(day: Record) -> bytes:
    stated: date = day["day"]
    fields = (
        "D",
        "1",
        day["shard"],
        stated.isoformat(),
        str(day["first_log"]),
        str(day["last_log"]),
        day["root"].hex(),
        day["head"].hex(),
        day["previous"].hex(),
        day["signed_at"].astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z",
        day["key_id"],
    )
    return ("\x1f".join(fields) + "\x1e").encode()
