"""Assets by registration: decided on what the books hold, remembered like any request."""

from datetime import datetime

from tally_contracts.ledger import RegisterAsset
from tally_ledger import store
from tally_ledger.content import context_of, registration_hash
from tally_ledger.domain import Answer, Register, Registered, Rejected, decide_asset
from tally_postgres import Connection


async def register(conn: Connection, event: RegisterAsset, now: datetime) -> Answer:
    """Enter an asset, or say why not.

    The transaction fails with a unique violation when somebody else entered it meanwhile.
    """
    content = registration_hash(event)
    known = await store.known_registration(conn, event.registration_id)
    if known is not None:
        if known.request_hash == content:
            return known.answer
        return Answer(
            Rejected(
                "id_conflict",
                f"register: id {event.registration_id} was used for another request, which "
                "stands; a new request needs a new id",
            ),
            now,
        )
    decision: Registered | Rejected
    if await store.is_open(conn, event.ledger):
        command = Register(event.asset, event.scale, event.kind)
        decision = decide_asset(await store.asset(conn, event.asset), command, now)
    else:
        decision = Rejected("ledger_unknown", f"ledger: there is no ledger {event.ledger}")
    ids = (event.registration_id, event.ledger, event.asset)
    if isinstance(decision, Rejected):
        await store.reject_registration(conn, ids, content, decision, now)
        return Answer(decision, now)
    if decision.is_new:
        context = context_of(event.who, event.why)
        await store.add_asset(conn, decision.asset, ids, content, context)
    return Answer(decision, decision.asset.registered_at or now)
