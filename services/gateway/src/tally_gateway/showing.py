"""Facts as a caller may see them: fields by persona, lines by whose they are."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tally_gateway.credentials import Caller
from tally_gateway.domain.access import OPERATOR
from tally_gateway.domain.redaction import named_in_lines, redacted
from tally_gateway.store import tree
from tally_postgres import Connection


def decoded(payload: bytes) -> dict[str, Any]:
    """A payload as it was published."""
    found: dict[str, Any] = json.loads(payload)
    return found


async def is_mine(
    conn: Connection, party: str, payloads: Iterable[Mapping[str, Any]]
) -> Callable[[str], bool]:
    """Tells of what these payloads name whether it is the party's own or below it.

    Named are parties, owner references and accounts; the transaction's tenant bounds what is known.
    """
    named = set().union(*(named_in_lines(payload) for payload in payloads))
    if party == OPERATOR or not named:
        return lambda _: party == OPERATOR
    things = await tree.things(conn, named)
    owners = {owner for thing in things.values() for owner in thing.parties}
    nodes = await tree.nodes(conn, named | owners)
    within = {each for each, node in nodes.items() if party in node.line}
    mine = within | {thing.id for thing in things.values() if not within.isdisjoint(thing.parties)}
    return mine.__contains__


def shown(
    caller: Caller, event_type: str, payload: Mapping[str, Any], mine: Callable[[str], bool]
) -> dict[str, Any]:
    """What a caller sees of a fact."""
    return redacted(event_type, payload, caller.persona.value, mine)
