"""Reclaims at rest."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from tally_funding.claims.domain.filing import Line, LineState
from tally_funding.claims.domain.reclaim import Reclaim, ReclaimState
from tally_funding.claims.store.wallets import Circumstances
from tally_money import Money, currency
from tally_postgres import Connection

_INSERT = """
INSERT INTO reclaim (
    reclaim_id, tenant, line_id, claimant, reference, state, proposed_by, circumstances, cause,
    proposed_at, changed_at)
VALUES ($1, $2, $3, $4, $5, 'proposed', $6, $7, $8, $9, $9)
"""

_LOCK = """
SELECT r.reclaim_id, r.tenant, r.claimant, r.reference, r.state, r.code, r.proposed_by, r.note,
       r.circumstances, r.cause, f.filing_id, f.jurisdiction, l.line_id, l.account, l.owner,
       l.currency, l.amount, l.period, l.last_activity_at
FROM reclaim r JOIN unclaimed_line l USING (line_id) JOIN unclaimed_filing f USING (filing_id)
WHERE r.reclaim_id = ANY($1::text[]) OR r.reference = ANY($2::text[])
ORDER BY r.reclaim_id FOR UPDATE OF r
"""

_SAVE = """
UPDATE reclaim SET state = $2, code = $3, decided_by = coalesce(decided_by, $4), note = $5,
    changed_at = $6
WHERE reclaim_id = $1
"""


@dataclass(frozen=True, slots=True)
class KeptReclaim:
    """A reclaim with how it was asked for."""

    reclaim: Reclaim
    told: Circumstances


async def insert(conn: Connection, kept: KeptReclaim, now: datetime) -> None:
    """Enter a proposal."""
    reclaim = kept.reclaim
    await conn.execute(
        _INSERT,
        reclaim.reclaim_id,
        reclaim.holder,
        reclaim.line.line_id,
        reclaim.claimant,
        reclaim.reference,
        reclaim.proposed_by,
        kept.told.document(),
        kept.told.cause.to_text(),
        now,
    )


async def lock(
    conn: Connection, *, reclaim_ids: Collection[str] = (), references: Collection[str] = ()
) -> Mapping[str, KeptReclaim]:
    """Reclaims by id, found by it or by the reference of their journal, locked."""
    return {
        row["reclaim_id"]: KeptReclaim(
            Reclaim(
                reclaim_id=row["reclaim_id"],
                filing_id=row["filing_id"],
                holder=row["tenant"],
                jurisdiction=row["jurisdiction"],
                line=Line(
                    row["line_id"],
                    row["account"],
                    row["owner"],
                    Money(int(row["amount"]), currency(row["currency"])),
                    row["period"],
                    row["last_activity_at"],
                    LineState.REMITTED,
                ),
                claimant=row["claimant"],
                reference=row["reference"],
                state=ReclaimState(row["state"]),
                proposed_by=row["proposed_by"],
                note=row["note"],
                code=row["code"],
            ),
            Circumstances.of(row),
        )
        for row in await conn.fetch(_LOCK, sorted(reclaim_ids), sorted(references))
    }


async def save(conn: Connection, reclaim: Reclaim, decided_by: str | None, now: datetime) -> None:
    """Write where a reclaim stands; the caller holds its lock."""
    await conn.execute(
        _SAVE, reclaim.reclaim_id, reclaim.state.value, reclaim.code, decided_by, reclaim.note, now
    )
