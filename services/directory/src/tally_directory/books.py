"""Accounts of wallets in the ledger: the same names give the same account as in `funding`."""

from dataclasses import dataclass

from tally_contracts.ledger import AccountSpec
from tally_directory.domain.wallets import DEFAULT
from tally_runtime import derived_id

_PATH_CHARS_MAX = 128


@dataclass(frozen=True, slots=True)
class Books:
    """The installation whose accounts they are, and the ledger that keeps them."""

    installation: str
    ledger: str

    def account(self, wallet_id: str, owner: str, currency: str, purpose: str) -> AccountSpec:
        """The account of a wallet. The default one is known to whoever knows owner and currency."""
        # Two stems, so that no owner reference can name the account of somebody's other wallet.
        path = (
            f"wallet/{owner}/{currency}"
            if purpose == DEFAULT
            else f"wallet-of-purpose/{wallet_id}/{currency}"
        )
        account_id = derived_id("acc", self.installation, path)
        return AccountSpec(
            id=account_id,
            owner=owner,
            purpose="wallet",
            path=path if len(path) <= _PATH_CHARS_MAX else f"wallet/{account_id}",
            currency=currency,
            guarded=True,
        )

    def default_wallet_id(self, account_id: str) -> str:
        """The id of a default wallet that money opened."""
        return derived_id("wal", self.installation, account_id)
