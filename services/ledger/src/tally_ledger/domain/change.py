"""Accounts that are frozen, unfrozen and closed."""

from tally_ledger.domain.books import Books, Changed, Rejected
from tally_ledger.domain.commands import ChangeAccount
from tally_ledger.domain.model import EMPTY


def decide_change(books: Books, command: ChangeAccount) -> Changed | Rejected:
    """Set an account's flags. A closed account stays closed and is not frozen or unfrozen any more.

    It closes only when settled: at zero, and with nothing reserved on either side.
    """
    account = books.accounts.get(command.account)
    if account is None:
        return Rejected(
            "account_unknown", f"account: {command.account} is not in ledger {books.ledger}"
        )
    if account.closed:
        return Rejected(
            "account_closed", f"account: {account.id} is closed for ever; open another one"
        )
    balance = books.balances.get(account.id, EMPTY)
    if command.closed and (
        balance.debits_posted != balance.credits_posted
        or balance.debits_pending
        or balance.credits_pending
    ):
        return Rejected(
            "account_not_settled",
            f"account: {account.id} is at {balance.credits_posted - balance.debits_posted} minor "
            f"units with {balance.debits_pending} and {balance.credits_pending} pending; "
            "bring them to zero first",
        )
    return Changed(
        account.id,
        account.frozen_in if command.frozen_in is None else command.frozen_in,
        account.frozen_out if command.frozen_out is None else command.frozen_out,
        bool(command.closed),
    )
