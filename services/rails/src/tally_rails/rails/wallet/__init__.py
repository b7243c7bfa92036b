"""Book transfer to a wallet of the ledger: no provider, final at once."""

from tally_rails.port import RailModule
from tally_rails.rails.wallet.adapter import WalletRail
from tally_rails.rails.wallet.capabilities import NAME

MODULE = RailModule(NAME, settings=None, build=lambda _: WalletRail())
