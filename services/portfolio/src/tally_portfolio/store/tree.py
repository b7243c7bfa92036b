"""The tree of parties at rest, and who sees what because of it."""

from collections.abc import Sequence

from tally_portfolio.domain.books import Sums
from tally_portfolio.domain.tree import Connection as Connected
from tally_portfolio.domain.tree import Consent, Grant, Involvement, PartyNews, Wallet
from tally_portfolio.store.looking import columns, given
from tally_portfolio.store.noticing import NOTICED_OF_SUBJECT
from tally_postgres import Connection

_PARTY_COLUMNS = """
party_id, tenant, described, kind, external_id, country, alias, state, placed, parent, merged_into,
registered_at
"""
_NEWER = "COALESCE(excluded.{0}, '') > COALESCE(p.{0}, '')"
_DESCRIBED = ("described", "kind", "external_id", "country", "alias", "state")
_SAVE_PARTIES = f"""
WITH before AS (
    SELECT party_id, above FROM party WHERE party_id = ANY($1::text[])
),
saved AS (
    INSERT INTO party AS p ({_PARTY_COLUMNS})
    SELECT * FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
        $8::text[], $9::text[], $10::text[], $11::text[], $12::timestamptz[]
    )
    ON CONFLICT (party_id) DO UPDATE SET
        {
    ", ".join(
        f"{name} = CASE WHEN {_NEWER.format('described')} THEN excluded.{name} ELSE p.{name} END"
        for name in _DESCRIBED
    )
},
        {
    ", ".join(
        f"{name} = CASE WHEN {_NEWER.format('placed')} THEN excluded.{name} ELSE p.{name} END"
        for name in ("placed", "parent")
    )
},
        merged_into = COALESCE(p.merged_into, excluded.merged_into),
        registered_at = LEAST(p.registered_at, excluded.registered_at)
    RETURNING party_id, above
)
SELECT s.party_id FROM saved s LEFT JOIN before b USING (party_id)
WHERE b.party_id IS NULL OR b.above IS DISTINCT FROM s.above
"""

# A party at a time here and below: where few are new, a join as it pleases Postgres reads all there are.
_BELOW = """
WITH RECURSIVE below AS (
    SELECT given COLLATE "C" AS party_id FROM unnest($1::text[]) given
    UNION
    SELECT p.party_id FROM below b
    CROSS JOIN LATERAL (SELECT party_id FROM party WHERE above = b.party_id OFFSET 0) p
)
SELECT party_id FROM below
"""

_SUMS = Sums._fields
_OF_SUBTREES = f"""
SELECT d.ancestor, o.currency, max(d.tenant) AS tenant,
       {", ".join(f"sum(o.{name}) AS {name}" for name in _SUMS)}
FROM descent d JOIN owned o ON o.owner = d.party
WHERE d.party = ANY($1::text[]) GROUP BY 1, 2 ORDER BY 1, 2
"""
_TAKE_AWAY = f"""
UPDATE total t SET {", ".join(f"{name} = t.{name} - s.{name}" for name in _SUMS)}
FROM ({_OF_SUBTREES}) s WHERE t.party = s.ancestor AND t.currency = s.currency
"""
_FORGET_DESCENT = "DELETE FROM descent WHERE party = ANY($1::text[])"
# Sixty-four levels end a circle that no directory would allow.
_DESCEND = """
WITH RECURSIVE up AS (
    SELECT p.party_id AS party, p.party_id AS ancestor, 0 AS depth, p.tenant
    FROM party p WHERE p.party_id = ANY($1::text[])
    UNION ALL
    SELECT up.party, q.above, up.depth + 1, up.tenant FROM up
    CROSS JOIN LATERAL (
        SELECT above FROM party WHERE party_id = up.ancestor AND above IS NOT NULL OFFSET 0
    ) q
    WHERE up.depth < 64
)
INSERT INTO descent (party, ancestor, tenant, depth)
SELECT up.party, up.ancestor, COALESCE(a.tenant, up.tenant), min(up.depth)
FROM up
LEFT JOIN LATERAL (SELECT tenant FROM party WHERE party_id = up.ancestor OFFSET 0) a ON true
GROUP BY 1, 2, 3
"""
_GIVE = f"""
INSERT INTO total AS t (party, currency, tenant, {", ".join(_SUMS)})
{_OF_SUBTREES}
ON CONFLICT (party, currency) DO UPDATE SET tenant = excluded.tenant,
    {", ".join(f"{name} = t.{name} + excluded.{name}" for name in _SUMS)}
"""
_SUBJECTS_OF = "SELECT DISTINCT subject FROM involvement WHERE party = ANY($1::text[])"
_FORGET_SIGHT = "DELETE FROM sight WHERE subject = ANY($1::text[])"

_SAVE_INVOLVEMENTS = f"""
INSERT INTO involvement AS i (subject, party, kind, at)
{given("text", "text", "text", "timestamptz")}
ON CONFLICT (subject, party) DO UPDATE SET at = excluded.at WHERE excluded.at < i.at
RETURNING subject
"""


# Everything about one thing is looked up by the thing: a plan kept from when tables were small may
# read all of none of them.
_SPREAD_SIGHT = f"""
INSERT INTO sight AS s (subject, viewer, tenant, kind, at, attention)
SELECT n.subject, o.viewer, max(o.tenant), max(i.kind), min(i.at), n.attention
FROM (
    SELECT n.subject, {NOTICED_OF_SUBJECT} AS attention FROM unnest($1::text[]) n (subject) OFFSET 0
) n
CROSS JOIN LATERAL (SELECT party, kind, at FROM involvement WHERE subject = n.subject OFFSET 0) i
CROSS JOIN LATERAL (
    SELECT ancestor AS viewer, tenant FROM descent WHERE party = i.party
    UNION ALL
    SELECT '*', '*'
    OFFSET 0
) o
GROUP BY n.subject, o.viewer, n.attention ORDER BY n.subject, o.viewer
ON CONFLICT (subject, viewer) DO UPDATE
SET at = LEAST(s.at, excluded.at), attention = excluded.attention
WHERE excluded.at < s.at OR excluded.attention <> s.attention
"""

_SAVE_WALLETS = """
INSERT INTO wallet SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::text[], $10::text[], $11::timestamptz[]
)
ON CONFLICT DO NOTHING
"""
_SAVE_GRANTS = """
INSERT INTO wallet_grant AS g (grant_id, tenant, wallet, to_party, fields, version)
SELECT grant_id, tenant, wallet, to_party, string_to_array(fields, ','), version FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]
) n (grant_id, tenant, wallet, to_party, fields, version)
ON CONFLICT (grant_id) DO UPDATE SET fields = excluded.fields, version = excluded.version
WHERE g.version < excluded.version
"""
_SAVE_CONNECTIONS = """
INSERT INTO connection AS c (
    connection_id, tenant, from_party, to_party, access, state, version
)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[]
)
ON CONFLICT (connection_id) DO UPDATE
SET access = excluded.access, state = excluded.state, version = excluded.version
WHERE c.version < excluded.version
"""
_SAVE_CONSENTS = """
INSERT INTO consent AS c (party_id, company, tenant, given, version)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::text[])
ON CONFLICT (party_id, company) DO UPDATE SET given = excluded.given, version = excluded.version
WHERE c.version < excluded.version
"""


async def save_parties(conn: Connection, parties: Sequence[PartyNews]) -> list[str]:
    """Take in news of parties; returns those that are new or hang elsewhere now."""
    rows = [
        (
            p.party_id,
            p.tenant,
            p.described,
            p.kind,
            p.external_id,
            p.country,
            p.alias,
            p.state,
            p.placed,
            p.parent,
            p.merged_into,
            p.registered_at,
        )
        for p in sorted(parties, key=lambda party: party.party_id)
    ]
    return [row[0] for row in await conn.fetch(_SAVE_PARTIES, *columns(rows))]


async def replant(conn: Connection, moved: Sequence[str]) -> list[str]:
    """Let all that is at or below these parties count where they hang now; returns what is theirs.

    What is returned is still seen by nobody but those who saw it before: `spread_sight` it anew.
    """
    below = [row[0] for row in await conn.fetch(_BELOW, moved)]
    await conn.execute(_TAKE_AWAY, below)
    await conn.execute(_FORGET_DESCENT, below)
    await conn.execute(_DESCEND, below)
    await conn.execute(_GIVE, below)
    subjects = [row[0] for row in await conn.fetch(_SUBJECTS_OF, below)]
    await conn.execute(_FORGET_SIGHT, subjects)
    return subjects


async def save_involvements(conn: Connection, involvements: Sequence[Involvement]) -> set[str]:
    """Keep whose things are; returns those of which that is news."""
    rows = [tuple(row) for row in sorted(involvements)]
    return {row[0] for row in await conn.fetch(_SAVE_INVOLVEMENTS, *columns(rows))}


async def spread_sight(conn: Connection, subjects: Sequence[str]) -> None:
    """Let everybody see these things who is to: whom they are about, those above, the operator."""
    await conn.execute(_SPREAD_SIGHT, subjects)


async def save_wallets(conn: Connection, wallets: Sequence[Wallet]) -> None:
    """Keep wallets not kept yet."""
    await conn.execute(_SAVE_WALLETS, *columns([tuple(row) for row in sorted(wallets)]))


async def save_grants(conn: Connection, grants: Sequence[Grant]) -> None:
    """Keep what grants say by their last change."""
    rows = [(*g[:4], ",".join(g.fields), g.version) for g in sorted(grants)]
    await conn.execute(_SAVE_GRANTS, *columns(rows))


async def save_connections(conn: Connection, connections: Sequence[Connected]) -> None:
    """Keep what connections say by their last change."""
    await conn.execute(_SAVE_CONNECTIONS, *columns([tuple(row) for row in sorted(connections)]))


async def save_consents(conn: Connection, consents: Sequence[Consent]) -> None:
    """Keep what payees last said of companies."""
    await conn.execute(_SAVE_CONSENTS, *columns([tuple(row) for row in sorted(consents)]))
