"""Where new money for an unknown payee goes: to the owner it was claimed by or designated to since."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tally_funding.answers.store import for_every_tenant
from tally_funding.claims.domain.estate import is_claimable
from tally_funding.claims.store import claims
from tally_funding.domain import Suspense
from tally_funding.rules.book import Decided
from tally_postgres import Connection


async def led_on(conn: Connection, decisions: Sequence[Decided]) -> Sequence[Decided]:
    """The decisions of a batch, with owners that were redirected replaced by who they led to.

    Money booked while a redirect is being made goes to the former wallet, and follows from there.
    """
    owners = {
        part.owner
        for decided in decisions
        if not isinstance(decided.outcome, Suspense)
        for part in decided.outcome
        if is_claimable(part.owner)
    }
    if not owners:
        return decisions
    await for_every_tenant(conn)
    to = await claims.redirects(conn, owners)
    return [_led(decided, to) for decided in decisions] if to else decisions


def _led(decided: Decided, to: Mapping[str, str]) -> Decided:
    if isinstance(decided.outcome, Suspense):
        return decided
    parts = tuple(replace(part, owner=to.get(part.owner, part.owner)) for part in decided.outcome)
    return replace(decided, outcome=parts)
