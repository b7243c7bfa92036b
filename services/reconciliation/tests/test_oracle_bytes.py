"""Every column of every table, one byte changed in a row of each kind: the verdict names it.

What no check judges stands in `UNJUDGED` with the reason; a column that is noticed must not stand
there, and a new column is judged or given its reason. Tables without a row on this day stand in `EMPTY`:
they are spoilt in the files about them, or no check judges them. Every byte of the log is changed in
`test_oracle_log.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from asyncpg.exceptions import IntegrityConstraintViolationError

from tally_reconciliation import Verdict

from .conftest import Day

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(900)]

_CHARACTER = "greatest(1, (length({c}) + 1) / 2)"
FLIPS: Mapping[str, str] = {
    "text": f"overlay({{c}} placing CASE WHEN substr({{c}}, {_CHARACTER}, 1) = '1' THEN '2' ELSE '1' END"
    f" from {_CHARACTER} for 1)",
    "numeric": "{c} + 1",
    "bigint": "{c} + 1",
    "integer": "{c} + 1",
    "smallint": "({c} + 1)::smallint",
    "boolean": "NOT {c}",
    "timestamp with time zone": "{c} + interval '1 second'",
    "date": "{c} + 1",
    "bytea": "set_byte({c}, 0, get_byte({c}, 0) # 1)",
    "uuid": "overlay({c}::text placing CASE WHEN right({c}::text, 1) = '1' THEN '2' ELSE '1' END"
    " from 36 for 1)::uuid",
    "jsonb": "translate({c}::text, 'opic', '0qjd')::jsonb",
}
_COLUMNS = """
SELECT n.nspname || '.' || c.relname AS table, a.attname AS column,
       format_type(a.atttypid, NULL) AS kind
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = ANY($1::text[]) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY 1, a.attnum
"""
_CHECKS = """
SELECT conname FROM pg_constraint
WHERE conrelid = $1::regclass AND contype = 'c' AND coninhcount = 0
"""


VIEWS = frozenset(
    f"portfolio.{table}"
    for table in ("day", "hour", "involvement", "minute", "movement", "owned", "sight", "total")
)
"""Sums and lists for fast pages, built again from the topics (`tally portfolio rebuild`)."""
BOOKKEEPING = ("migration_", "relay", "retention", "rule_stamp", "job")
"""What only says where work stands: wrong values delay it or repeat it, and O8 and O12 see that."""

_LOCAL_TIME = "when a service wrote the row down: no other record tells"
_INBOX = "an outside event is known by its topic alone, which ages; O3 judges what became of it"
_FILE = "words of the bank's file, which is not kept; sums and continuity are judged"
_SAGA = (
    "how far the saga is with this payout; what it did is judged by holds, attempts and statuses"
)
_CASE = "a note to a person about what is judged by itself"
_NOTE = "a note to ask about held payouts: one too many asks in vain"
_BANK = "judged against the bank's own book (test_oracle_bank.py)"
_ANNOUNCED = "said by the announcement alone, on a topic that ages"
_CLOCK = "for dormancy clocks alone: a filing asks the ledger, which gives no more than there is"
_VIEW = "a look-up of the portfolio, which is built again from the topics"

UNJUDGED: Mapping[str, str] = {
    **{
        f"{schema}.inbox.{column}": _INBOX
        for schema in ("funding", "ledger", "payouts", "rails", "portfolio")
        for column in ("consumer", "event_key", "body_hash", "received_at")
    },
    **{
        f"{schema}.outbox.recorded_at": _LOCAL_TIME
        for schema in ("funding", "ledger", "payouts", "rails")
    },
    **{
        f"{schema}.outbox.headers": "id, type, subject and what hops show are judged, not all headers"
        for schema in ("funding", "ledger", "payouts", "rails")
    },
    **{
        f"funding.pay_in.{column}": _ANNOUNCED
        for column in ("content_digest", "kind", "occurred_at", "source_references")
    },
    **{
        f"funding.rule_version.{column}": "compared with its digest at the service's start"
        for column in ("rule", "version", "digest", "document", "first_used_at")
    },
    **{
        f"funding.quarantine.{column}": _CASE
        for column in (
            *("id", "field", "detail", "blocks", "duplicate_of", "event_key", "quarantined_at"),
            "code",
        )
    },
    **{
        f"funding.statement.{column}": _FILE
        for column in (
            *("account", "currency", "number", "page", "period_start", "period_end", "last_day"),
            *("digest", "continuity", "import_id", "file_name", "imported_at"),
        )
    },
    **{
        f"funding.statement_entry.{column}": _FILE
        for column in (
            *("entry_index", "part", "reversal", "booking_date", "bank_reference", "remittance"),
            "outcome",
        )
    },
    **{
        f"funding.{table}.tenant": "who may see the row, of which the directory alone tells"
        for table in (
            *("pay_in", "allocation", "suspense_case", "repeated_announcement", "statement"),
            "statement_entry",
        )
    },
    **{
        f"funding.party_place.{column}": "a company the directory has not told of yet"
        for column in (
            *("party_id", "tenant", "path", "registered", "changed_at", "awaited", "kind"),
        )
    },
    "funding.statement_entry.value_date": "another message may date known money otherwise",
    "funding.statement.company": _FILE,
    "funding.statement.kind": _FILE,
    **{
        f"funding.claimable_wallet.{column}": _CLOCK
        for column in (
            *("account", "tenant", "owner", "currency", "balance", "program", "circumstances"),
            *("cause", "jurisdiction", "period", "dormancy", "last_activity_at", "dormant_at"),
            *("opened_at", "ask_law"),
        )
    },
    **{f"funding.untold_balance.{column}": _CLOCK for column in ("account", "currency", "amount")},
    "funding.pay_in.changed_at": _LOCAL_TIME,
    "funding.pay_in.rule": "of a pay-in in suspense no fact says it; of an allocated one O14 does",
    "funding.repeated_announcement.last_at": _LOCAL_TIME,
    "funding.rule_stamp.id": "the one row of its table",
    "funding.rule_stamp.stamp": "replicas that see another number read the rules again",
    "funding.suspense_case.detail": _CASE,
    "funding.suspense_case.opened_at": _LOCAL_TIME,
    "ledger.asset.kind": "of ISO 4217 currencies nothing hangs on it",
    "ledger.entry.recorded_at": _LOCAL_TIME,
    "ledger.home.only_row": "the one row of its table",
    "ledger.home.database": "judged where ledgers lie in two databases (test_oracle_databases.py)",
    "ledger.shard_state.recorded_at": _LOCAL_TIME,
    "ledger.shard_state.version": "compared and set by writers; any later value serves",
    "ledger.signing_key.since": _LOCAL_TIME,
    **{f"payouts.method.{c}": _SAGA for c in ("changed_at", "reason_code", "state", "superseded")},
    **{f"payouts.payee.{c}": "a row to lock; its count is judged" for c in ("owner", "currency")},
    "payouts.payee.versions": "of a payee without a method",
    **{
        f"payouts.payout.{column}": _SAGA
        for column in (
            *("attempt_id", "attempt_sequence", "cause", "ending_must_act", "ending_reason"),
            *("ending_state", "hold_id", "method_version", "return_must_act", "return_reason"),
            *("return_step", "version", "holds", "asked_at", "asked_class", "asked_of"),
        )
    },
    **{f"payouts.exit_due.{c}": _NOTE for c in ("owner", "at")},
    **{
        f"payouts.party_owner.{c}": "follows from the owner's name alone"
        for c in ("party_id", "owner")
    },
    "payouts.return_seen.seen_at": _LOCAL_TIME,
    "payouts.wallet.account": "another account's row says no more of this one; its owner is judged",
    "portfolio.outbox_lane.head": "the portfolio sends nothing",
    **{f"portfolio.payment_key.{column}": _VIEW for column in ("id", "subject", "shared", "at")},
    **{f"portfolio.pay_in.{column}": _VIEW for column in ("changed_at", "state_rank")},
    "portfolio.hop.subject": _VIEW,
    "portfolio.balance.owner": _VIEW,
    **{f"portfolio.balance.{column}": _VIEW for column in ("received", "paid", "committed")},
    "portfolio.balance.account": "a balance of no account is nobody's; accounts of wallets are judged",
    "portfolio.hop.summary": "parts named otherwise than in the event are not compared",
    "portfolio.payout.correlation_id": _VIEW,
    "portfolio.set_aside.occurred_at": _VIEW,
    **{f"rails.ach_entry.{c}": _BANK for c in ("trace", "cycle", "batch_number", "rdfi")},
    **{
        f"rails.ach_file.{column}": _BANK
        for column in (
            *("origin", "created_on", "created_time", "modifier", "name", "effective_date"),
            *("state", "changed_at"),
        )
    },
    **{f"rails.attempt.{column}": _SAGA for column in ("cause", "opened_at", "version")},
    "rails.attempt_history.reference": "of a step that is over; the attempt's own is judged",
    **{
        f"rails.instrument.{column}": "sealed for the rail alone, which refuses what does not open"
        for column in ("sealed", "masked", "version", "changed_at")
    },
    **{
        f"rails.rail_case.{column}": _CASE
        for column in ("id", "rail", "code", "subject", "detail", "opened_at")
    },
}
_RULES = (
    "what divided a pay-in is in its allocations, which are judged; of the rule itself nobody tells"
)
_ASKED = "said to, and answered by, the service alone: what it moved is judged in the books"
_DIRECTORY = "copied from the directory's facts, on a topic that ages"
_MODEL, _RETURNS = "spoilt in test_oracle_model.py", "spoilt in test_oracle_returns.py"
_IN_TRANSIT, _UNCLAIMED = (
    "spoilt in test_oracle_in_transit.py",
    "spoilt in test_oracle_unclaimed.py",
)
_ASIDE = "judged as funding's is; one is spoilt in test_oracle_corruption.py"
_FILES_READ = (
    "how far the rail has numbered and read files: the bank refuses, and O7 sees, a repeat"
)

EMPTY: Mapping[str, str] = {
    **{
        f"funding.{table}": _RULES
        for table in (
            *("allocation_rule", "allocation_rule_version", "owner_consent", "owner_key"),
            "rule_question",
        )
    },
    **{
        f"funding.{table}": _ASKED
        for table in (
            *("agreement", "claim", "claimable_company", "command_answer", "expectation"),
            *("match_look", "movement", "redirect", "webhook_event", "card_refund_failure"),
            "rule_charge",
        )
    },
    **{
        f"funding.{table}": _DIRECTORY
        for table in ("known_member", "known_relation", "party_contact")
    },
    **{
        f"funding.{table}": _RETURNS
        for table in (
            *("card_dispute", "card_payment", "manual_entry", "pay_in_match", "pay_in_return"),
            *("receivable", "receivable_settlement", "return_leg"),
        )
    },
    **{
        f"funding.{table}": _UNCLAIMED
        for table in ("reclaim", "unclaimed_filing", "unclaimed_line")
    },
    **{
        f"ledger.{table}": _MODEL for table in ("account_change", "asset_registration", "rejection")
    },
    **{
        f"ledger.{table}": _IN_TRANSIT
        for table in ("cross_credit", "cross_transfer", "transit_mirror", "transit_settlement")
    },
    "ledger.daily_root": "spoilt in test_oracle_days.py",
    **{f"{schema}.quarantine": _ASIDE for schema in ("ledger", "payouts", "portfolio", "rails")},
    **{f"payouts.{table}": _ASKED for table in ("designation", "restricted_release")},
    "payouts.payout_case": _CASE,
    "payouts.program_policy": "a copy of the document that programs published",
    **{
        f"{schema}.gate_table": "a copy of the table that kyc published"
        for schema in ("funding", "payouts")
    },
    **{
        f"{schema}.party_level": "a copy of the level that kyc told"
        for schema in ("funding", "payouts")
    },
    "funding.restriction": _ASKED,
    **{
        f"portfolio.{table}": _VIEW
        for table in (
            *(
                "belonging",
                "budget",
                "connection",
                "consent",
                "descent",
                "keeper",
                "party",
                "record",
            ),
            *("tier", "view_log", "wallet", "wallet_grant"),
        )
    },
    "portfolio.outbox": "the portfolio sends nothing",
    **{f"rails.{table}": _FILES_READ for table in ("ach_counter", "ach_incoming")},
    "rails.instrument_version": "what an instrument was before: sealed, for the rail alone",
}
"""Tables that have no row on this day: where they are judged, or why nowhere."""

OUTCOMES: Mapping[bool | None, str] = {True: "noticed", False: "unnoticed", None: "held"}
"""`held`: a key or a bound of a partition in the database refuses the change."""


@dataclass(frozen=True)
class Column:
    table: str
    name: str
    kind: str

    def __str__(self) -> str:
        return f"{self.table}.{self.name}"


async def _columns(day: Day) -> list[Column]:
    rows = await day.conn.fetch(_COLUMNS, list(day.schemas))
    return [Column(row["table"], row["column"], row["kind"]) for row in rows]


def _is_judged(column: Column) -> bool:
    name = column.table.partition(".")[2]
    return not name.startswith(BOOKKEEPING) and column.table not in VIEWS


async def _first_row(day: Day, column: Column) -> Any | None:
    """The first row that has a value there; those of the payout that was paid come first."""
    return await day.conn.fetchrow(
        f"SELECT tableoid::regclass::text AS part, ctid FROM {column.table}"
        f' WHERE "{column.name}" IS NOT NULL ORDER BY ctid LIMIT 1'
    )


async def _noticed(day: Day, column: Column, row: Any) -> bool | None:
    """Whether the judge turns red; None where the database itself refuses the change."""
    undone = day.conn.transaction()
    await undone.start()
    try:
        await day.conn.execute("SET LOCAL session_replication_role = replica")
        for check in await day.conn.fetch(_CHECKS, column.table):
            await day.conn.execute(f'ALTER TABLE {column.table} DROP CONSTRAINT "{check[0]}"')
        quoted = f'"{column.name}"'
        changed = FLIPS[column.kind].format(c=quoted)
        try:
            await day.conn.execute(
                f"UPDATE {row['part']} SET {quoted} = {changed} WHERE ctid = $1", row["ctid"]
            )
        except IntegrityConstraintViolationError:
            return None
        report = await day.judge()
        return report.verdict is Verdict.RED
    finally:
        await undone.rollback()


async def test_every_table_has_a_row_on_this_day_or_its_reason(day: Day) -> None:
    tables = {column.table for column in await _columns(day) if _is_judged(column)}
    empty = {
        table
        for table in tables
        if not await day.conn.fetchval(f"SELECT EXISTS (SELECT FROM {table})")
    }
    assert empty == EMPTY.keys()


async def test_one_byte_changed_anywhere_is_noticed(day: Day) -> None:
    sound = await day.judge()
    assert [check.faults for check in sound.checks if check.faults] == []
    outcomes: dict[str, list[str]] = {"noticed": [], "unnoticed": [], "held": []}
    for column in await _columns(day):
        if not _is_judged(column) or column.table in EMPTY or str(column) in UNJUDGED:
            continue
        row = await _first_row(day, column)
        if row is None:
            continue
        noticed = await _noticed(day, column, row)
        outcomes[OUTCOMES[noticed]].append(str(column))
    assert outcomes["unnoticed"] == []
    assert len(outcomes["noticed"]) > 200
