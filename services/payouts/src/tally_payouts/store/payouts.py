"""Payouts, their history, returns and cases at rest."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tally_money import Money, currency
from tally_payouts.domain.payout import (
    Asked,
    CaseOpened,
    ExitHold,
    Moved,
    Order,
    Outcome,
    Payout,
    ReturnedMoney,
    Route,
    Standing,
)
from tally_payouts.domain.states import (
    AttemptState,
    HoldState,
    MustAct,
    PayoutState,
    ReturnStep,
)
from tally_payouts.errors import StaleVersion
from tally_postgres import Connection, Record

_FIXED = (
    ("id", "text"),
    ("ledger", "text"),
    ("owner", "text"),
    ("company", "text"),
    ("account", "text"),
    ("currency", "text"),
    ("amount", "numeric"),
    ("pay_in_id", "text"),
    ("external_id", "text"),
    ("hold_id", "text"),
    ("attempt_id", "text"),
    ("circumstances", "jsonb"),
    ("cause", "text"),
    ("source", "text"),
    ("policy_version", "integer"),
    ("kind", "text"),
)
# What changes with nearly every step, apart from what most payouts never get or get once.
_MOVING = (
    ("version", "bigint"),
    ("state", "text"),
    ("sequence", "integer"),
    ("reason_code", "text"),
    ("must_act", "text"),
    ("hold", "text"),
    ("attempt", "text"),
    ("attempt_sequence", "bigint"),
    ("asked_at", "timestamptz"),
    ("asked_class", "text"),
    ("asked_of", "jsonb"),
)
_STANDING = (
    ("method_version", "integer"),
    ("rail", "text"),
    ("instrument", "text"),
    ("settlement_account", "text"),
    ("method_owner", "text"),
    ("ending_state", "text"),
    ("ending_reason", "text"),
    ("ending_must_act", "text"),
    ("return_reference", "text"),
    ("return_step", "text"),
    ("return_reason", "text"),
    ("return_must_act", "text"),
    ("holds", "text"),
)
_CHANGING = _MOVING + _STANDING
_COLUMNS = _FIXED + _CHANGING
_NAMES = ", ".join(name for name, _ in _COLUMNS)
# A list inside an array would be taken for one more dimension of it.
_GIVEN = ", ".join("r.holds::jsonb" if name == "holds" else f"r.{name}" for name, _ in _COLUMNS)

# In id order, so that two appliers never wait for each other in a circle.
_LOAD = f"""
SELECT {_NAMES}, opened_at FROM payout
WHERE id = ANY($1::text[] || ARRAY(
    SELECT p.id FROM unnest($2::text[], $3::text[]) AS k (owner, currency)
    JOIN payout p ON p.owner = k.owner AND p.currency = k.currency AND p.state = 'claimable'
))
ORDER BY id
FOR UPDATE
"""

_LOAD_HELD = f"""
SELECT {_NAMES}, opened_at FROM payout
WHERE state = 'held' AND owner = ANY (
    $1::text[] || $2::text[]
    || ARRAY(SELECT owner FROM party_owner WHERE party_id = ANY($2::text[]))
)
ORDER BY id
FOR UPDATE
"""

_SAVE = f"""
INSERT INTO payout AS p ({_NAMES}, opened_at, changed_at)
SELECT {_GIVEN}, $1, $1
FROM unnest({", ".join(f"${n}::{kind}[]" for n, (_, kind) in enumerate(_COLUMNS, 2))})
    AS r ({_NAMES})
ON CONFLICT (id) DO UPDATE SET
    {", ".join(f"{name} = excluded.{name}" for name, _ in _CHANGING)}, changed_at = $1
WHERE p.version = excluded.version - 1
"""

_MOVED = (("id", "text"), *_MOVING)
# Found by id one by one: joined freely, a plan kept from when payouts were few goes through all.
_MOVE = f"""
UPDATE payout p SET {", ".join(f"{name} = r.{name}" for name, _ in _MOVING)}, changed_at = $1
FROM unnest({", ".join(f"${n}::{kind}[]" for n, (_, kind) in enumerate(_MOVED, 2))})
    AS r ({", ".join(name for name, _ in _MOVED)})
CROSS JOIN LATERAL (SELECT f.ctid FROM payout f WHERE f.id = r.id OFFSET 0) AS found
WHERE p.ctid = found.ctid AND p.version = r.version - 1
"""

_SAVE_HISTORY = """
INSERT INTO payout_history (payout_id, sequence, state, previous, reason_code, must_act, at)
SELECT h.*, $7
FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::text[]) AS h
"""

_SAVE_RETURNS = """
INSERT INTO return_seen (attempt_id, return_reference, payout_id, seen_at)
SELECT r.*, $4 FROM unnest($1::text[], $2::text[], $3::text[]) AS r
ON CONFLICT DO NOTHING
"""

_SAVE_CASES = """
INSERT INTO payout_case (id, payout_id, code, subject, detail, opened_at)
SELECT c.*, $6 FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) AS c
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class StoredPayout:
    """A payout with what is kept beside it. `version` is 0, `opened_at` absent until it is saved.

    `read` is the payout as its row has it: what is the same is not written again.
    """

    payout: Payout
    circumstances: Mapping[str, Any]
    cause: str
    version: int = 0
    opened_at: datetime | None = None
    read: Payout | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A case about a payout; its id is derived, so that a replay opens no second one."""

    id: str
    payout_id: str
    opened: CaseOpened


async def load_payouts(
    conn: Connection, ids: Iterable[str], claimable_of: Sequence[tuple[str, str]]
) -> list[StoredPayout]:
    """Lock and read payouts by id, and all claimable ones of these (owner, currency) pairs."""
    rows = await conn.fetch(
        _LOAD, list(ids), [key[0] for key in claimable_of], [key[1] for key in claimable_of]
    )
    return [_read(row) for row in rows]


async def load_held(conn: Connection, owners: Mapping[str, str]) -> list[StoredPayout]:
    """Lock and read all held payouts of these owners, and of their parties by any reference."""
    rows = await conn.fetch(_LOAD_HELD, list(owners), sorted(set(owners.values())))
    return [_read(row) for row in rows]


async def save_payouts(conn: Connection, stored: Sequence[StoredPayout], now: datetime) -> None:
    """Insert new payouts and update changed ones; raise `StaleVersion` if any was changed since."""
    ordered = sorted(stored, key=lambda item: item.payout.id)
    await _write(conn, _MOVE, now, [_moved_row(item) for item in ordered if _only_moved(item)])
    await _write(conn, _SAVE, now, [_row(item) for item in ordered if not _only_moved(item)])


async def _write(
    conn: Connection, statement: str, now: datetime, rows: Sequence[tuple[object, ...]]
) -> None:
    if not rows:
        return
    status = await conn.execute(statement, now, *zip(*rows, strict=True))
    if int(status.rpartition(" ")[2]) != len(rows):
        raise StaleVersion("payout", len(rows), status)


async def save_history(conn: Connection, steps: Sequence[Moved], now: datetime) -> None:
    """Append what the payouts went through; a sequence number that is taken is an error."""
    if not steps:
        return
    rows = [
        (
            step.payout.id,
            step.payout.sequence,
            step.payout.state,
            step.previous,
            step.payout.standing.reason_code,
            step.payout.standing.must_act,
        )
        for step in steps
    ]
    await conn.execute(_SAVE_HISTORY, *zip(*rows, strict=True), now)


async def save_returns(
    conn: Connection, returns: Sequence[tuple[str, str, str]], now: datetime
) -> None:
    """Keep (attempt id, return reference, payout id) of each return."""
    if returns:
        await conn.execute(_SAVE_RETURNS, *zip(*returns, strict=True), now)


async def save_cases(conn: Connection, cases: Sequence[Case], now: datetime) -> None:
    """Open cases; one that is open already stays as it is."""
    if not cases:
        return
    rows = [
        (case.id, case.payout_id, case.opened.code, case.opened.subject, case.opened.detail)
        for case in cases
    ]
    await conn.execute(_SAVE_CASES, *zip(*rows, strict=True), now)


def _only_moved(stored: StoredPayout) -> bool:
    """Whether its row has all but the moving columns already."""
    payout, read = stored.payout, stored.read
    return (
        read is not None
        and stored.version > 0
        and payout.route == read.route
        and payout.ending == read.ending
        and payout.returned == read.returned
        and payout.holds == read.holds
    )


def _row(stored: StoredPayout) -> tuple[object, ...]:
    payout = stored.payout
    order, route, ending, returned = payout.order, payout.route, payout.ending, payout.returned
    return (
        payout.id,
        order.ledger,
        order.owner,
        order.company,
        order.account,
        order.amount.currency.code,
        order.amount.minor,
        order.pay_in_id,
        order.external_id,
        payout.hold_id,
        payout.attempt_id,
        stored.circumstances,
        stored.cause,
        order.source,
        payout.policy_version,
        order.kind,
        *_moving_row(stored),
        *(_NO_ROUTE if route is None else _route_row(route)),
        *(
            (None, None, None)
            if ending is None
            else (ending.state, *_standing_row(ending.standing))
        ),
        *(_NO_RETURN if returned is None else _return_row(returned)),
        json.dumps([_hold_row(hold) for hold in payout.holds]),
    )


def _moved_row(stored: StoredPayout) -> tuple[object, ...]:
    return (stored.payout.id, *_moving_row(stored))


def _moving_row(stored: StoredPayout) -> tuple[object, ...]:
    payout = stored.payout
    return (
        stored.version + 1,
        payout.state,
        payout.sequence,
        payout.standing.reason_code,
        payout.standing.must_act,
        payout.hold,
        payout.attempt,
        payout.attempt_sequence,
        *(_NOT_ASKED if payout.asked is None else _asked_row(payout.asked)),
    )


_NO_ROUTE = (None, None, None, None, None)
_NO_RETURN = (None, None, None, None)
_NOT_ASKED = (None, None, None)


def _route_row(route: Route) -> tuple[object, ...]:
    return (
        route.method_version,
        route.rail,
        route.instrument,
        route.settlement_account,
        route.owner,
    )


def _standing_row(standing: Standing) -> tuple[object, ...]:
    return standing.reason_code, standing.must_act


def _return_row(returned: ReturnedMoney) -> tuple[object, ...]:
    return returned.reference, returned.step, *_standing_row(returned.standing)


def _hold_row(hold: ExitHold) -> Mapping[str, Any]:
    return {
        "source": hold.source,
        "code": hold.code,
        "remedy": hold.remedy,
        "must_act": hold.must_act,
        "table": hold.table,
        "version": hold.version,
    }


def _asked_row(asked: Asked) -> tuple[object, ...]:
    of = None
    if asked.level is not None:
        of = {
            "party_kind": asked.party_kind,
            "level": asked.level,
            "jurisdictions": list(asked.jurisdictions),
        }
    return asked.at, asked.endpoint_class, of


def _hold(row: Mapping[str, Any]) -> ExitHold:
    return ExitHold(**{**row, "must_act": MustAct(row["must_act"])})


def _asked(at: datetime | None, found: str | None, of: Mapping[str, Any] | None) -> Asked | None:
    if at is None or found is None:
        return None
    if of is None:
        return Asked(at, found)
    return Asked(at, found, of["party_kind"], of["level"], tuple(of["jurisdictions"]))


def _read(row: Record) -> StoredPayout:
    (
        payout_id, ledger, owner, company, account, code, minor, pay_in_id, external_id,
        hold_id, attempt_id, circumstances, cause, source, policy_version, kind,
        version, state, sequence, reason_code, must_act,
        hold, attempt, attempt_sequence, asked_at, asked_class, asked_of,
        method_version, rail, instrument, settlement_account, method_owner,
        ending_state, ending_reason, ending_must_act,
        return_reference, return_step, return_reason, return_must_act,
        holds, opened_at,
    ) = row  # fmt: skip
    amount = Money(minor, currency(code))
    payout = Payout(
        id=payout_id,
        order=Order(ledger, owner, company, account, amount, pay_in_id, external_id, source, kind),
        hold_id=hold_id,
        attempt_id=attempt_id,
        state=PayoutState(state),
        sequence=sequence,
        standing=_standing(reason_code, must_act),
        route=None
        if rail is None
        else Route(method_version, rail, instrument, settlement_account, method_owner),
        hold=HoldState(hold),
        attempt=None if attempt is None else AttemptState(attempt),
        attempt_sequence=attempt_sequence,
        ending=None
        if ending_state is None
        else Outcome(PayoutState(ending_state), _standing(ending_reason, ending_must_act)),
        returned=None
        if return_reference is None
        else ReturnedMoney(
            return_reference, ReturnStep(return_step), _standing(return_reason, return_must_act)
        ),
        policy_version=policy_version,
        holds=tuple(_hold(hold) for hold in holds),
        asked=_asked(asked_at, asked_class, asked_of),
    )
    return StoredPayout(payout, circumstances, cause, version, opened_at, payout)


def _standing(reason_code: str | None, must_act: str | None) -> Standing:
    return Standing(reason_code, None if must_act is None else MustAct(must_act))
