"""What an installation has already that stands against an import: found before anything is asked."""

from typing import Final

from tally_cli.moving.archive import ArchiveFault
from tally_cli.moving.plan import Plan
from tally_postgres import Connection

_PARTY: Final = """
SELECT party_id FROM directory.party WHERE party_id = ANY($1::text[]) AND tenant <> $2
ORDER BY party_id LIMIT 1
"""
# Ids of an export are its own word: what another tenant has under one of them is not touched, nor what
# is of a company that has not been registered yet.
_THING: Final = """
SELECT told.id FROM unnest($1::text[]) AS told (id)
WHERE EXISTS (
    SELECT FROM portfolio.involvement i JOIN portfolio.party p ON p.party_id = i.party
    WHERE i.subject = told.id AND p.tenant <> $2
) OR EXISTS (
    SELECT FROM portfolio.involvement i
    WHERE i.subject = told.id AND i.party ^@ 'party_'
    AND NOT EXISTS (SELECT FROM portfolio.party p WHERE p.party_id = i.party)
    AND NOT EXISTS (SELECT FROM unnest($3::text[]) AS its (owner) WHERE its.owner = i.party)
) OR EXISTS (
    SELECT FROM portfolio.record r JOIN portfolio.involvement i ON i.subject = r.under
    JOIN portfolio.party p ON p.party_id = i.party
    WHERE r.subject = told.id AND p.tenant <> $2
) OR EXISTS (
    SELECT FROM gateway.thing t CROSS JOIN LATERAL unnest(t.parties) AS whose (id)
    LEFT JOIN gateway.party_reference r ON r.reference = whose.id
    JOIN gateway.party_node n ON n.party_id = coalesce(r.party_id, whose.id)
    WHERE t.thing_id = told.id AND n.tenant <> $2
)
ORDER BY told.id LIMIT 1
"""
_REFERENCE: Final = """
SELECT reference FROM directory.owner_reference WHERE reference = ANY($1::text[]) AND tenant <> $2
ORDER BY reference LIMIT 1
"""
_NOT_ITS_OWN: Final = """
SELECT a.id FROM ledger.account a
WHERE a.id = ANY($1::text[])
AND NOT EXISTS (SELECT FROM unnest($2::text[]) AS its (owner) WHERE its.owner = a.owner)
ORDER BY a.id LIMIT 1
"""
# What another import brought is no history of this one's, though it came by import, too.
_MOVED: Final = """
SELECT e.account FROM ledger.entry e JOIN ledger.transfer t ON t.id = e.transfer_id
WHERE e.account = ANY($1::text[])
AND NOT EXISTS (SELECT FROM unnest($2::text[]) AS its (journal) WHERE its.journal = t.journal_id)
ORDER BY e.account LIMIT 1
"""


async def refuse_what_is_here(conn: Connection, plan: Plan) -> None:
    """Raise `ArchiveFault` where an id is another tenant's, or the tenant goes on here already.

    The session has to see every tenant.
    """
    named, things = set(plan.owners), set[str]()
    if plan.past is not None:
        named |= plan.past.named
        things = plan.past.subjects | plan.past.named
    for query, ids, *more in (
        (_PARTY, named),
        (_REFERENCE, named),
        (_THING, things, list(plan.owners)),
    ):
        taken = await conn.fetchval(query, list(ids), plan.tenant, *more)
        if taken is not None:
            raise _id_taken(plan.owners.get(taken, "the export's history"), taken)
    account = await conn.fetchval(_NOT_ITS_OWN, list(plan.accounts), list(plan.owners))
    if account is not None:
        raise _id_taken(plan.accounts[account], account)
    account = await conn.fetchval(_MOVED, list(plan.accounts), list(plan.journals()))
    if account is not None:
        raise ArchiveFault(
            "moved_on",
            f"{plan.accounts[account]}: money moved on {account} here of which the export knows "
            "nothing: it can be brought no more; export from here instead",
        )


def _id_taken(place: str, id_: str) -> ArchiveFault:
    return ArchiveFault(
        "id_taken",
        f"{place}: {id_} is another tenant's here: import into another installation, or ask who wrote "
        "the export",
    )
