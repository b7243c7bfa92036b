"""Agreements at rest: one statement per function, whatever the number of rows."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tally_contracts.base import Where, Who, Why
from tally_contracts.funding_escrow import ReleaseCondition
from tally_funding.escrow.domain.agreement import (
    Agreement,
    Condition,
    Movement,
    State,
)
from tally_messaging import Cause
from tally_money import Money, currency
from tally_postgres import Connection, Record

# Name, type, and whether it changes after the agreement was entered.
_COLUMNS = (
    ("agreement_id", "text", False),
    ("tenant", "text", False),
    ("payer", "text", False),
    ("payee", "text", False),
    ("arbiter", "text", False),
    ("currency", "text", False),
    ("amount", "numeric", False),
    ("condition", "jsonb", False),
    ("event_name", "text", False),
    ("event_reference", "text", False),
    ("deadline", "timestamptz", False),
    ("on_deadline", "text", False),
    ("program", "text", False),
    ("circumstances", "jsonb", False),
    ("cause", "text", False),
    ("state", "text", True),
    ("sequence", "integer", True),
    ("funded", "boolean", True),
    ("released", "numeric", True),
    ("refunded", "numeric", True),
    ("approvals", "text", True),
    ("condition_met", "boolean", True),
    ("movements", "integer", True),
    ("to_payee", "numeric", True),
    ("to_payer", "numeric", True),
    ("resting", "text", True),
    ("not_before", "timestamptz", True),
    ("due_at", "timestamptz", True),
)
_NAMES = ", ".join(name for name, _, _ in _COLUMNS)
_ARRAYS = ", ".join(f"${place}::{kind}[]" for place, (_, kind, _) in enumerate(_COLUMNS, 1))
# Arrays of arrays do not unnest by row: approvals travel as one text, parties hold no blanks.
_VALUES = ", ".join(
    "string_to_array(a.approvals, ' ')" if name == "approvals" else f"a.{name}"
    for name, _, _ in _COLUMNS
)
_CHANGES = ", ".join(f"{name} = EXCLUDED.{name}" for name, _, changes in _COLUMNS if changes)
_NOW = f"${len(_COLUMNS) + 1}"

# An update only of the state before: nobody else can have moved a row this unit has locked.
_SAVE = f"""
INSERT INTO agreement AS known ({_NAMES}, proposed_at, changed_at)
SELECT {_VALUES}, {_NOW}, {_NOW} FROM unnest({_ARRAYS}) AS a ({_NAMES})
ON CONFLICT (agreement_id) DO UPDATE SET {_CHANGES}, changed_at = EXCLUDED.changed_at
WHERE known.sequence < EXCLUDED.sequence
"""

# In id order, so that two units never wait for each other.
_LOCK = f"SELECT {_NAMES} FROM agreement WHERE agreement_id = ANY($1::text[]) ORDER BY 1 FOR UPDATE"

_WAITING_FOR = f"""
SELECT {_NAMES} FROM agreement
WHERE event_reference = ANY($1::text[]) AND NOT condition_met
ORDER BY agreement_id FOR UPDATE
"""

# Asked again of each row once it is locked: another worker may have moved it on meanwhile.
_DUE = f"""
SELECT {_NAMES} FROM agreement
WHERE due_at <= $1 AND agreement_id IN (
    SELECT agreement_id FROM agreement WHERE due_at <= $1 ORDER BY due_at LIMIT $2)
ORDER BY agreement_id FOR UPDATE
"""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Who proposed an agreement, through what, why, and what it followed from."""

    who: Who
    where: Where
    why: Why
    cause: Cause


@dataclass(frozen=True, slots=True)
class Kept:
    """An agreement with the circumstances its facts repeat."""

    agreement: Agreement
    circumstances: Circumstances


async def save(conn: Connection, kept: Collection[Kept], now: datetime) -> None:
    """Enter or change agreements; the caller holds the rows' locks, so every change must take."""
    ordered = sorted(kept, key=lambda one: one.agreement.agreement_id)
    columns = map(list, zip(*map(_row, ordered), strict=True))
    status = await conn.execute(_SAVE, *columns, now)
    assert status == f"INSERT 0 {len(ordered)}", f"{len(ordered)} saved, the database: {status!r}"


async def lock(conn: Connection, agreement_ids: Collection[str]) -> Mapping[str, Kept]:
    """Those of the agreements that exist, locked for this transaction."""
    return _read(await conn.fetch(_LOCK, sorted(agreement_ids)))


async def waiting_for(conn: Connection, references: Collection[str]) -> Mapping[str, Kept]:
    """Agreements that wait for an event of one of these references, locked."""
    return _read(await conn.fetch(_WAITING_FOR, sorted(references)))


async def due(conn: Connection, now: datetime, limit: int) -> Mapping[str, Kept]:
    """Agreements that time alone moves on by now, the longest due first, locked."""
    return _read(await conn.fetch(_DUE, now, limit))


def _row(kept: Kept) -> tuple[object, ...]:
    agreement, told = kept.agreement, kept.circumstances
    condition, movement = agreement.condition, agreement.movement
    return (
        agreement.agreement_id,
        agreement.tenant,
        agreement.payer,
        agreement.payee,
        agreement.arbiter,
        agreement.amount.currency.code,
        agreement.amount.minor,
        wire_condition(condition).model_dump(mode="json"),
        condition.event,
        condition.event_reference if condition.kind == "event" else None,
        agreement.deadline,
        agreement.on_deadline,
        agreement.program,
        {name: getattr(told, name).model_dump() for name in ("who", "where", "why")},
        told.cause.to_text(),
        agreement.state.value,
        agreement.sequence,
        agreement.funded,
        agreement.released.minor,
        agreement.refunded.minor,
        " ".join(agreement.approvals),
        agreement.condition_met,
        agreement.movements,
        None if movement is None else movement.to_payee.minor,
        None if movement is None else movement.to_payer.minor,
        None if movement is None else movement.resting.value,
        agreement.not_before,
        agreement.due_at,
    )


def wire_condition(condition: Condition) -> ReleaseCondition:
    """A condition in the words of its contract."""
    return ReleaseCondition(
        kind=condition.kind,
        approvers=condition.approvers,
        needed=condition.needed,
        at=condition.at,
        document=condition.document,
        presenter=condition.presenter,
        event=condition.event,
        event_reference=condition.event_reference,
    )


def condition_of(wire: ReleaseCondition) -> Condition:
    """A condition as decisions take it."""
    return Condition(
        kind=wire.kind,
        approvers=wire.approvers,
        needed=wire.needed,
        at=wire.at,
        document=wire.document,
        presenter=wire.presenter,
        event=wire.event,
        event_reference=wire.event_reference,
    )


def _read(rows: Sequence[Record]) -> Mapping[str, Kept]:
    return {row["agreement_id"]: Kept(_agreement(row), _circumstances(row)) for row in rows}


def _agreement(row: Record) -> Agreement:
    unit = currency(row["currency"])
    movement = None
    if row["resting"] is not None:
        movement = Movement(
            row["movements"],
            Money(row["to_payee"], unit),
            Money(row["to_payer"], unit),
            State(row["resting"]),
        )
    return Agreement(
        agreement_id=row["agreement_id"],
        tenant=row["tenant"],
        payer=row["payer"],
        payee=row["payee"],
        arbiter=row["arbiter"],
        amount=Money(row["amount"], unit),
        condition=condition_of(ReleaseCondition.model_validate(row["condition"])),
        deadline=row["deadline"],
        on_deadline=row["on_deadline"],
        program=row["program"],
        state=State(row["state"]),
        sequence=row["sequence"],
        funded=row["funded"],
        released=Money(row["released"], unit),
        refunded=Money(row["refunded"], unit),
        approvals=tuple(row["approvals"]),
        condition_met=row["condition_met"],
        movements=row["movements"],
        movement=movement,
        not_before=row["not_before"],
    )


def _circumstances(row: Record) -> Circumstances:
    told = row["circumstances"]
    return Circumstances(
        who=Who.model_validate(told["who"]),
        where=Where.model_validate(told["where"]),
        why=Why.model_validate(told["why"]),
        cause=Cause.from_text(row["cause"]),
    )
