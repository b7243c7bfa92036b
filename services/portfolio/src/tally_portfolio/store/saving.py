"""What a batch of facts says, written with a constant number of statements."""

from collections.abc import Iterable, Sequence

from tally_portfolio.domain.books import AccountChange
from tally_portfolio.domain.budgets import BudgetStep
from tally_portfolio.domain.projection import WALLET, Account, PayoutStep, Projection
from tally_portfolio.domain.time_line import ENDED
from tally_portfolio.domain.tree import Wallet
from tally_portfolio.store import books, budgets, payments, records, tree
from tally_portfolio.store.looking import begin_fold
from tally_postgres import Connection


async def save(conn: Connection, projection: Projection) -> None:
    """Write what a batch says: a statement or two per kind of row, whatever the batch's size.

    Rows go in by key order, table by table, so that two batches never wait for each other in a
    circle. A batch that changes the tree of parties is alone while it does.
    """
    await begin_fold(conn, restructures=bool(projection.parties))
    if projection.hops:
        await payments.save_hops(conn, projection.hops.values())
    if projection.keys:
        await payments.save_keys(conn, projection.keys.values())
    turned: set[str] = set()
    if projection.pay_ins:
        turned |= set(await payments.save_pay_ins(conn, projection.pay_ins))
    steps: list[PayoutStep] = []
    if projection.payouts:
        steps = await payments.save_payouts(conn, projection.payouts)
        turned |= {step.payout_id for step in steps if step.turned}
    if projection.records:
        await records.save(conn, projection.records.values())
    if projection.accounts:
        await books.save_accounts(
            conn, [projection.accounts[key] for key in sorted(projection.accounts)]
        )
    if projection.set_aside:
        await payments.save_set_aside(conn, projection.set_aside)
    budget_steps: list[BudgetStep] = []
    if projection.budgets:
        budget_steps = await budgets.save_budgets(conn, projection.budgets)
    await _save_books(conn, projection, steps, budget_steps)
    await _save_tree(conn, projection, turned)


async def _save_books(
    conn: Connection,
    projection: Projection,
    steps: Sequence[PayoutStep],
    budget_steps: Sequence[BudgetStep],
) -> None:
    movements = sorted(projection.movements.values(), key=lambda m: (m.account, m.transfer_id))
    changes = [
        *_owners(projection.accounts.values(), projection.wallets.values()),
        *_commitments(steps),
    ]
    if movements or changes or budget_steps:
        await books.save_books(conn, movements, changes, budget_steps)


def _owners(accounts: Iterable[Account], wallets: Iterable[Wallet]) -> list[AccountChange]:
    owned = {a.account_id: (a.currency, a.owner) for a in accounts if a.purpose == WALLET}
    owned |= {wallet.account: (wallet.currency, wallet.owner) for wallet in wallets}
    return [AccountChange(account, *of, 0) for account, of in owned.items()]


def _commitments(steps: Sequence[PayoutStep]) -> list[AccountChange]:
    """What payouts begin to hold claim to, and what they let go of by coming to an end."""
    changes = []
    for step in steps:
        was_open = step.before is not None and step.before not in ENDED
        is_open = step.after not in ENDED
        if was_open != is_open:
            committed = step.amount if is_open else -step.amount
            changes.append(AccountChange(step.account, step.currency, None, committed))
    return changes


async def _save_tree(conn: Connection, projection: Projection, turned: set[str]) -> None:
    if projection.wallets:
        await tree.save_wallets(conn, list(projection.wallets.values()))
    if projection.grants:
        await tree.save_grants(conn, list(projection.grants.values()))
    if projection.connections:
        await tree.save_connections(conn, list(projection.connections.values()))
    if projection.consents:
        await tree.save_consents(conn, list(projection.consents.values()))
    # Who sees a thing is worked out anew where it is news whose it is, or where it calls for attention
    # now and did not before; most facts of a payment tell neither.
    subjects = turned | {record.subject for record in projection.records.values()}
    if projection.involvements:
        subjects |= await tree.save_involvements(conn, list(projection.involvements.values()))
    if projection.belongings or projection.keepers:
        belongings = list(projection.belongings.values())
        subjects |= set(await budgets.involve_keepers(conn, belongings, projection.keepers))
    if projection.parties:
        moved = await tree.save_parties(conn, list(projection.parties.values()))
        if moved:
            subjects |= set(await tree.replant(conn, moved))
    if subjects:
        await tree.spread_sight(conn, sorted(subjects))
