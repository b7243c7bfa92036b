"""Payouts, methods, instruments and policies over rows in memory: the functions of `tally_payouts.store`."""

from dataclasses import replace
from types import SimpleNamespace

from tally_payouts.domain.families import Families
from tally_payouts.domain.methods import Instrument, InstrumentState, Methods
from tally_payouts.domain.states import PayoutState
from tally_payouts.errors import StaleVersion


async def lock_instruments(conn, ids):
    if not ids:
        return {}
    await conn.statement("instruments.lock")
    for instrument_id in sorted(ids):
        expected = Instrument(instrument_id, InstrumentState("expected"), None, None, None, None)
        await conn.insert("instrument", instrument_id, expected)
    return {i: conn.get("instrument", i) for i in sorted(ids)}


async def chosen_by(conn, instruments):
    if not instruments:
        return set()
    await conn.statement("methods.chosen_by")
    return {
        (method.owner, method.currency)
        for method in conn.table("method").values()
        if method.instrument in instruments and not method.superseded
    }


async def lock_methods(conn, keys):
    if not keys:
        return {}
    await conn.statement("payees.lock")
    for key in sorted(keys):
        await conn.insert("payee", key, 0)
    await conn.statement("methods.read")
    table = conn.table("method")
    found = {}
    for key in sorted(keys):
        choices = sorted(
            (m for k, m in table.items() if k[:2] == key and not m.superseded),
            key=lambda method: method.version,
        )
        found[key] = Methods(*key, conn.get("payee", key), tuple(choices))
    return found


async def save_methods(conn, methods, now):
    if not methods:
        return
    await conn.statement("methods.save")
    for method in methods:
        key = (method.owner, method.currency)
        await conn.lock("method", [(*key, method.version)])
        conn.put("method", (*key, method.version), method)
        conn.put("payee", key, max(conn.get("payee", key), method.version))


async def save_instruments(conn, instruments):
    if not instruments:
        return
    await conn.statement("instruments.save")
    for instrument in instruments:
        conn.put("instrument", instrument.id, instrument)


async def load_wallets(conn, accounts):
    if not accounts:
        return {}
    await conn.statement("wallets.load")
    found = {account: conn.get("wallet", account) for account in sorted(accounts)}
    return {account: key for account, key in found.items() if key is not None}


async def save_wallets(conn, wallets):
    if wallets:
        await conn.statement("wallets.save")
        for account in sorted(wallets):
            await conn.insert("wallet", account, wallets[account])


async def load_payouts(conn, ids, claimable_of):
    await conn.statement("payouts.load")
    wanted = {payout_id for payout_id in ids if conn.get("payout", payout_id) is not None}
    keys = set(claimable_of)
    if keys:
        wanted |= {
            payout_id
            for payout_id, row in conn.table("payout").items()
            if row.payout.state is PayoutState.CLAIMABLE and row.payout.order.wallet_key in keys
        }
    await conn.lock("payout", sorted(wanted))
    return [conn.get("payout", payout_id) for payout_id in sorted(wanted)]


async def save_payouts(conn, stored, now):
    if not stored:
        return
    await conn.statement("payouts.save")
    saved = 0
    for item in sorted(stored, key=lambda row: row.payout.id):
        await conn.lock("payout", [item.payout.id])
        known = conn.get("payout", item.payout.id)
        if known is None or known.version == item.version:
            conn.put("payout", item.payout.id, replace(item, version=item.version + 1))
            saved += 1
    if saved != len(stored):
        raise StaleVersion("payout", len(stored), f"INSERT 0 {saved}")


async def save_history(conn, steps, now):
    if not steps:
        return
    await conn.statement("history.save")
    for step in steps:
        key = (step.payout.id, step.payout.sequence)
        await conn.insert_new("history", key, (step.previous, step.payout.state))


async def save_returns(conn, returns, now):
    if returns:
        await conn.statement("returns.save")
        for attempt_id, reference, payout_id in returns:
            await conn.insert("return_seen", (attempt_id, reference), payout_id)


async def save_cases(conn, cases, now):
    if not cases:
        return
    await conn.statement("cases.save")
    for case in cases:
        await conn.insert("payout_case", case.id, case)


async def load_policies(conn, programs, now, versions):
    if not programs and not versions:
        return []
    await conn.statement("policies.load")
    stored = conn.table("program_policy")
    begun = [row for row in stored.values() if row.program in programs and row.begins <= now]
    latest = {row.program: row for row in sorted(begun, key=lambda row: row.version)}
    return [*latest.values(), *(stored[key] for key in sorted(versions))]


async def save_policies(conn, policies):
    if policies:
        await conn.statement("policies.save")
        for policy in policies:
            await conn.insert("program_policy", (policy.program, policy.version), policy)


async def load_tables(conn, exits, needs):
    """No gate table is published here: everything leaves, after it was asked about."""
    if needs.placed:
        await conn.statement("gates.lock")
    if needs.placed or needs.choosers:
        await conn.statement("gates.load")


async def load_families(conn, exits, needs, keys):
    """Nobody is merged here: each waits for merges, and is itself."""
    assert not needs.merges
    if keys:
        await conn.statement("merges.lock")
        await conn.statement("merges.read")
    return Families()


async def load_parties(conn, exits, needs):
    assert not exits.tables


async def save_exits(conn, exits):
    if exits.due:
        await conn.statement("exits.ask_again")


async def save_owners(conn, parties):
    named = sorted((owner, party) for owner, party in parties.items() if owner != party)
    if named:
        await conn.statement("owners.save")
        for owner, party in named:
            await conn.insert("party_owner", owner, party)


methods = SimpleNamespace(
    lock_instruments=lock_instruments,
    chosen_by=chosen_by,
    lock_methods=lock_methods,
    save_methods=save_methods,
    save_instruments=save_instruments,
    load_wallets=load_wallets,
    save_wallets=save_wallets,
)
payouts = SimpleNamespace(
    load_payouts=load_payouts,
    save_payouts=save_payouts,
    save_history=save_history,
    save_returns=save_returns,
    save_cases=save_cases,
)
exits = SimpleNamespace(save_owners=save_owners)
policies = SimpleNamespace(load_policies=load_policies, save_policies=save_policies)
