"""Each column of the log and of a shard's head, spoilt alone: the row is named and no other."""

import pytest

from tally_reconciliation import Verdict

from .conftest import Day

pytestmark = pytest.mark.stack
_DROP = ("log_leaves_by_form",)


def flipped(column: str) -> str:
    return f"set_bit({column}, 9, 1 - get_bit({column}, 9))"


LOG = {
    "shard": ("'other'", "log_gap"),
    "seq": ("seq + 1000", "log_gap"),
    "first_transfer": ("first_transfer + 1", "batch_not_next"),
    "last_transfer": ("last_transfer + 1", "log_row_differs"),
    "root": (flipped("root"), "root_differs"),
    "previous_root": (flipped("previous_root"), "previous_root_differs"),
    "recorded_at": ("recorded_at + interval '1 microsecond'", "root_differs"),
    "form": ("3", "form_unknown"),
    "leaves": (flipped("leaves"), "leaves_differ"),
}
ALONE = ("root", "previous_root", "form", "leaves")
HEAD = {
    "log_seq": ("log_seq - 1", "head_differs"),
    "transfer_seq": ("transfer_seq + 1", "head_differs"),
    "head": (flipped("head"), "head_differs"),
    "recorded_at": ("recorded_at - interval '1 day'", "head_before_the_last"),
}


async def test_every_column_is_spoilt_below(day: Day) -> None:
    for table, columns in (("log", LOG.keys()), ("shard_state", {"shard", "version", *HEAD})):
        rows = await day.conn.fetch(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = $1::regclass"
            " AND attnum > 0 AND NOT attisdropped",
            f"ledger.{table}",
        )
        assert {row[0] for row in rows} == columns


@pytest.mark.parametrize("column", LOG)
async def test_a_changed_column_of_the_log_is_found(day: Day, column: str) -> None:
    value, what = LOG[column]
    await day.spoil(f"UPDATE ledger.log SET {column} = {value} WHERE seq = 5", drop=_DROP)
    check = (await day.judge()).check("L11")
    assert check.verdict is Verdict.RED
    said = [(fault.what, fault.row["log_seq"]) for fault in check.faults if "log_seq" in fault.row]
    assert (what, 6 if column in {"shard", "seq"} else 5) in said, said
    if column in ALONE:
        assert said == [(what, 5)]


@pytest.mark.parametrize("column", HEAD)
async def test_a_changed_column_of_a_head_is_found(day: Day, column: str) -> None:
    value, what = HEAD[column]
    await day.spoil(f"UPDATE ledger.shard_state SET {column} = {value} WHERE shard = 'main'")
    check = (await day.judge()).check("L11")
    assert [(fault.what, fault.row["shard"]) for fault in check.faults] == [(what, "main")]
