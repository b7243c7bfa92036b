"""O14: each event kept in an outbox is one, was taken in as it stands, and says what the rows say.

One pass over every outbox. What is dropped from it by retention is no longer compared.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from tally_contracts.catalogue import Topic
from tally_contracts.owners import OF_CONTACT, OF_EVENT
from tally_postgres import Record
from tally_reconciliation.checks.batches import facts_of, unanswered
from tally_reconciliation.checks.delivery import catalogued
from tally_reconciliation.checks.hops import judge_hop
from tally_reconciliation.evidence import TOLD
from tally_reconciliation.findings import Findings
from tally_reconciliation.report import Check, Quiet, Value
from tally_reconciliation.snapshot import Snapshot, fill

_BATCH = 1000
_RESERVED = ("xhld_", "xjrn_", "xtr_", "exp_")

# Of most events the portfolio's hop tells what the headers say; of all events this much holds.
_FIXED_HEADERS = {"content-type": "application/json", "ce_specversion": "1.0"}
_HEADERS = frozenset(
    {
        *("ce_id", "ce_source", "ce_type", "ce_time", "ce_subject"),
        *("tally_correlation_id", "tally_tenant"),
    }
)
_OPTIONAL_HEADERS = frozenset({"tally_causation_id", "tally_actor", "traceparent"})

_EVENTS = """
SELECT o.lane, o.seq, o.event_id::text AS event_id, o.topic, o.record_key, o.headers, o.payload{hashes}
FROM {schema}.outbox o{joins} ORDER BY o.lane, o.seq
"""

_HOP_COLUMNS = (
    ", hop.event_id AS hop, hop.event_type AS hop_type, hop.topic AS hop_topic,"
    " hop.service AS hop_service, hop.correlation_id AS hop_correlation,"
    " hop.causation_id AS hop_causation, hop.occurred_at AS hop_occurred,"
    " hop.recorded_at AS hop_recorded, hop.summary AS hop_summary"
)
_HOP_JOIN = " LEFT JOIN portfolio.hop hop ON hop.event_id = o.event_id::text"


@dataclass(frozen=True, slots=True)
class Fact:
    """Where the rows are that events of some types tell of.

    `id` are fields of the body that together are the `key` of a row; `same` are columns (or
    expressions over the row `r`) and the paths in the body (a path with `@` is a time; `=` begins
    an expression over the fact `f`) that say the same. `each` is a list in
    the body: its items have rows of their own, keyed by their place besides. A fact of a row that
    went on since then (`newest`) is compared with nothing.
    """

    types: tuple[str, ...]
    table: str
    id: tuple[str, ...]
    key: str
    same: Mapping[str, str]
    each: str = ""
    newest: bool = False

    def query(self) -> str:
        """Facts and their rows that differ, and in which columns."""
        differing = ", ".join(
            f"CASE WHEN ({column})::text IS DISTINCT FROM {_value(path)} THEN {_quoted(column)} END"
            for column, path in self.same.items()
        )
        return (
            "SELECT * FROM (SELECT f.key, f.event_id, f.type, r IS NULL AS missing,"
            f" concat_ws(' ', {differing}) AS columns FROM pg_temp.told_fact f"
            f" LEFT JOIN {self.table} r ON {self.key} = f.key WHERE f.type = ANY($1::text[])) d"
            f" WHERE {'NOT missing AND' if self.newest else 'missing OR'} columns <> ''"
            " ORDER BY key, event_id"
        )

    def bodies(self, body: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """What of an event's body is told of a row each, by the row's key."""
        key = " ".join(str(_at(body, path)) for path in self.id)
        if not self.each:
            yield key, body
            return
        items = body.get(self.each)
        for place, item in enumerate(items if isinstance(items, list) else ()):
            yield f"{key} {place}", item


def _quoted(column: str) -> str:
    return "'" + column.replace("'", "''") + "'"


def _value(path: str) -> str:
    if path.startswith("="):
        return path[1:]
    if path.endswith("@"):
        return f"(((f.body::jsonb #>> '{{{path[:-1]}}}')::timestamptz)::text)"
    return f"(f.body::jsonb #>> '{{{path}}}')"


_CONTEXT = {
    "r.who_actor": "who,actor",
    "r.who_principal": "who,principal",
    "r.why_program": "why,program",
    "r.why_event": "why,event",
    "r.why_reason": "why,reason",
    "r.recorded_at": "occurred_at@",
    "r.shard": "ledger",
}
_CIRCUMSTANCES = {
    f"r.circumstances #>> '{{{path}}}'": path
    for path in (
        *("who,actor", "who,principal", "where,channel", "where,country"),
        *("why,program", "why,event", "why,reason"),
    )
}
_OWNER = (
    "=CASE WHEN f.body::jsonb #>> '{beneficiary,contact}' IS NOT NULL"
    f" THEN '{OF_CONTACT}' || (f.body::jsonb #>> '{{beneficiary,contact}}')"
    " WHEN f.body::jsonb #>> '{beneficiary,event_reference}' IS NOT NULL"
    f" THEN '{OF_EVENT}' || (f.body::jsonb #>> '{{beneficiary,event_reference}}')"
    " ELSE f.body::jsonb #>> '{beneficiary,party}' END"
)
_REFUSAL = {"r.code": "code", "r.detail": "detail", "r.shard": "ledger"}
FACTS = (
    Fact(
        ("ledger.account.opened.v1",), "ledger.account", ("account,id",), "r.id",
        {"r.owner": "account,owner", "r.purpose": "account,purpose", "r.path": "account,path",
         "r.asset": "account,currency", "r.guarded": "account,guarded", "r.shard": "ledger",
         "r.no_credit_overdraft": "account,no_credit_overdraft",
         "r.aggregated": "account,aggregated", "r.opened_at": "occurred_at@"},
    ),
    Fact(
        ("ledger.account.changed.v1",), "ledger.account_change", ("change_id",), "r.id",
        {**_CONTEXT, "r.account": "account", "r.operation": "operation",
         "r.frozen_in": "frozen_in", "r.frozen_out": "frozen_out", "r.closed": "closed"},
    ),
    Fact(
        ("ledger.asset.registered.v1",), "ledger.asset_registration", ("registration_id",), "r.id",
        {**_CONTEXT, "r.asset": "asset"},
    ),
    Fact(
        ("ledger.asset.registered.v1",), "ledger.asset", ("asset",), "r.code",
        {"r.scale": "scale", "r.kind": "kind", "r.registered_at": "occurred_at@"},
    ),
    Fact(
        ("ledger.journal.rejected.v1",), "ledger.rejection", ("journal_id",), "r.id",
        {**_REFUSAL, "r.reference": "reference"},
    ),
    Fact(
        ("ledger.hold.rejected.v1",), "ledger.rejection", ("command_id",), "r.id",
        {**_REFUSAL, "r.reference": "reference", "r.operation": "operation"},
    ),
    Fact(
        ("ledger.journal.posted.v1", "ledger.journal.reversed.v1"), "ledger.journal",
        ("journal_id",), "r.id",
        {"r.shard": "ledger", "r.reference": "reference", "r.log_seq": "log_seq",
         "r.effective_at": "effective_at@", "r.who_actor": "who,actor",
         "r.who_principal": "who,principal", "r.where_channel": "where,channel",
         "r.where_country": "where,country", "r.why_program": "why,program",
         "r.why_event": "why,event", "r.why_reason": "why,reason"},
    ),
    Fact(
        ("payouts.payout.changed.v1",), "payouts.payout_history", ("payout_id", "sequence"),
        "r.payout_id || ' ' || r.sequence",
        {"r.state": "state", "r.previous": "previous", "r.reason_code": "reason_code",
         "r.must_act": "must_act", "r.at": "occurred_at@"},
    ),
    Fact(
        ("payouts.payout.changed.v1",), "payouts.payout", ("payout_id",), "r.id",
        {"r.owner": "owner", "r.company": "company", "r.account": "account",
         "r.pay_in_id": "pay_in_id"},
    ),
    Fact(
        ("payouts.method.chosen.v1",), "payouts.method", ("owner", "currency", "version"),
        "r.owner || ' ' || r.currency || ' ' || r.version",
        {"r.rail": "rail", "r.instrument": "instrument"},
    ),
    Fact(
        ("rails.attempt.changed.v1",), "rails.attempt_history", ("attempt_id", "sequence"),
        "r.attempt_id || ' ' || r.sequence",
        {"r.state": "state", "r.code": "code", "r.source": "source", "r.at": "occurred_at@"},
    ),
    Fact(
        ("rails.attempt.changed.v1",), "rails.attempt", ("attempt_id", "sequence"),
        "r.id || ' ' || r.sequence",
        {"r.payout_id": "payout_id", "r.rail": "rail", "r.state": "state", "r.code": "code",
         "r.action": "action", "r.source": "source", "r.provider_reference": "provider_reference",
         "r.return_reference": "return_reference", **_CIRCUMSTANCES},
        newest=True,
    ),
    Fact(
        ("payouts.payout.changed.v1",), "payouts.payout", ("payout_id", "sequence"),
        "r.id || ' ' || r.sequence", {"r.state": "state", "r.rail": "rail", **_CIRCUMSTANCES},
        newest=True,
    ),
    Fact(
        ("payouts.payout.changed.v1",), "payouts.payout", ("payout_id", "sequence"),
        "r.id || ' 1'", {"r.opened_at": "occurred_at@"}, newest=True,
    ),
    Fact(
        ("funding.pay_in.received.v1",), "funding.pay_in", ("pay_in_id",), "r.pay_in_id",
        {"r.source": "source", "r.external_id": "external_id", "r.company": "company",
         "r.currency": "amount,currency", "r.originator": "originator,reference",
         "r.originator_country": "originator,country", "r.value_date": "value_date",
         "r.received_at": "occurred_at@", "r.actor": "who,actor", "r.principal": "who,principal",
         "r.channel": "where,channel", "r.country": "where,country", "r.program": "why,program",
         "r.event": "why,event", "r.reason": "why,reason",
         "r.beneficiary": _OWNER},
    ),
    Fact(
        ("funding.pay_in.allocated.v1",), "funding.allocation", ("pay_in_id",),
        "r.pay_in_id || ' ' || r.position",
        {"r.account": "account", "r.owner": "owner", "r.role": "role", "r.pay_out": "pay_out"},
        each="allocations",
    ),
    Fact(
        ("funding.pay_in.allocated.v1",), "funding.pay_in", ("pay_in_id",), "r.pay_in_id",
        {"r.rule": "rule"},
    ),
)  # fmt: skip


async def check_events(snap: Snapshot, quiet: Quiet) -> Check:
    """Read every outbox once; compare with inboxes on the way, and with the rows at the end."""
    found = Findings(
        "O14", "each kept event is whole, was taken in as it stands, and the rows agree"
    )
    facts = [fact for fact in FACTS if fact.table.partition(".")[0] in snap.schemas]
    events = 0
    shown = "portfolio" in snap.schemas
    for schema in sorted(snap.schemas):
        consumers = sorted(snap.schemas)
        query = _EVENTS.format(
            schema=schema,
            hashes="".join(f", {name}.body_hash AS {name}" for name in consumers)
            + (_HOP_COLUMNS if shown else ""),
            joins="".join(
                f" LEFT JOIN {name}.inbox {name} ON {name}.consumer = '{name}'"
                f" AND {name}.event_key = o.event_id"
                for name in consumers
            )
            + (_HOP_JOIN if shown else ""),
        )
        told: list[tuple[object, ...]] = []
        async for row in snap.rows(query):
            events += 1
            told += _event(found, schema, row, consumers, facts)
            if shown:
                judge_hop(found, schema, row)
            if len(told) >= _BATCH:
                await fill(snap.conn, "told_fact", TOLD, told)
                told = []
        await fill(snap.conn, "told_fact", TOLD, told)
    for number, fact in enumerate(facts):
        types = [f"{kind} {number}" for kind in fact.types]
        async for row in snap.rows(fact.query(), types):
            where: dict[str, Value] = {"table": fact.table, "key": row["key"]}
            where.update(event=row["event_id"], type=row["type"].partition(" ")[0])
            if row["missing"]:
                found.wrong("fact_without_row", **where)
            else:
                found.wrong("row_differs_from_fact", **where, columns=row["columns"])
    found.figures["events"] = events
    return found.once_quiet(f"{events} events against inboxes and rows", quiet)


def _event(
    found: Findings, schema: str, row: Record, consumers: Sequence[str], facts: Sequence[Fact]
) -> list[tuple[object, ...]]:
    """Judge one outbox row; the facts it tells of rows."""
    where: dict[str, Value] = {"service": schema, "lane": row["lane"], "seq": row["seq"]}
    where["event"] = row["event_id"]
    headers, body = _object(row["headers"]), _object(row["payload"])
    kind = headers.get("ce_type")
    if headers.get("ce_id") != row["event_id"]:
        found.wrong("headers_of_another_event", **where)
    if not _well_formed(headers):
        found.wrong("headers_malformed", **where)
    topic = catalogued(row["topic"])
    if headers.get("ce_subject") != row["record_key"] and not _keyed(
        topic, body, row["record_key"]
    ):
        found.wrong("key_differs_from_subject", **where, key=row["record_key"])
    if topic is None or kind not in topic.types or schema not in topic.producers:
        found.wrong("event_on_another_topic", **where, topic=row["topic"])
    if not body:
        found.wrong("payload_unreadable", **where)
    hashed = blake2b(row["payload"], digest_size=16, person=b"tally-body").digest()
    for name in consumers:
        if row[name] is not None and row[name] != hashed:
            found.wrong("taken_in_otherwise", **where, consumer=name)
    told: list[tuple[object, ...]] = []
    if unanswered(str(kind), body):
        found.wrong("answers_to_other_items", **where)
    for of, told_body in facts_of(str(kind), body):
        for number, fact in enumerate(facts):
            if of in fact.types and not _unkept(of, told_body, fact):
                told += [
                    (f"{of} {number}", key, row["event_id"], json.dumps(said))
                    for key, said in fact.bodies(told_body)
                ]
    return told


def _well_formed(headers: Mapping[str, Any]) -> bool:
    """Whether an event has each header that events have, no other, and the fixed ones as they are."""
    fixed = {**_FIXED_HEADERS, "ce_dataschema": f"urn:tallystick:schema:{headers.get('ce_type')}"}
    return (
        fixed.keys() | _HEADERS <= headers.keys() <= fixed.keys() | _HEADERS | _OPTIONAL_HEADERS
        and {name: headers[name] for name in fixed} == fixed
    )


def _keyed(topic: Topic | None, body: Mapping[str, Any], key: str) -> bool:
    """Whether the key is the field that the catalogue names, where the subject is another."""
    names = () if topic is None else topic.key.split(" or ")
    return any(_at(body, name.replace(".", ",")) == key for name in names)


def _unkept(kind: str, body: Mapping[str, Any], fact: Fact) -> bool:
    """Whether a refusal has no row: what stands under its id is another request's, or the ledger's."""
    if not kind.endswith(".rejected.v1"):
        return False
    code = body.get("code")
    own = str(_at(body, fact.id[0]))
    return code == "id_conflict" or (code == "id_reserved" and own.startswith(_RESERVED))


def _object(raw: str | bytes) -> Mapping[str, Any]:
    try:
        read = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _at(body: Mapping[str, Any], path: str) -> object:
    found: object = body
    for name in path.split(","):
        found = found.get(name) if isinstance(found, dict) else None
    return found
