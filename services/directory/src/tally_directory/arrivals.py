"""Money that reached a payee first: the payee and its wallet come to be known by it (F9)."""

import re

from tally_contracts.directory_facts import ReferenceClaimed
from tally_contracts.funding import Allocation, PayInAllocated
from tally_directory.commands.parties import tell_registered
from tally_directory.commands.wallets import tell_opened
from tally_directory.desk import PARTIES, Desk
from tally_directory.domain import tree
from tally_directory.domain.rows import Party, Wallet
from tally_directory.domain.wallets import DEFAULT
from tally_directory.store.reading import Asked
from tally_runtime import derived_id

BENEFICIARY = "beneficiary"
_EVENT = "event:"
_match_party_id = re.compile(r"party_[0-7][0-9a-hjkmnp-tv-z]{25}").fullmatch


def ask_for(asked: Asked, event: PayInAllocated, installation: str) -> None:
    """Note what must be read to know whose the money is."""
    asked.ids.add(event.company)
    for share in event.allocations:
        asked.references.add(share.owner)
        asked.accounts.add(share.account)
        asked.ids |= {share.owner, party_id_of(share.owner, installation)}


def party_id_of(owner: str, installation: str) -> str:
    """The id of the payee that money for this owner reference makes."""
    return owner if _match_party_id(owner) else derived_id("party", installation, owner)


def arrive(desk: Desk, event: PayInAllocated) -> None:
    """Make parties and wallets known that shares of a pay-in went to, each once."""
    for share in event.allocations:
        # Money for an event has no payee yet: whoever claims it later gets it then.
        if share.owner.startswith(_EVENT):
            continue
        owner = desk.world.owner_of(share.owner)
        if owner is None and share.role == BENEFICIARY:
            owner = _make_payee(desk, event, share)
        if owner is not None and desk.world.wallet_at(share.account) is None:
            _open_default(desk, event, share, owner)


def _make_payee(desk: Desk, event: PayInAllocated, share: Allocation) -> Party:
    party = tree.arrive(
        desk.world,
        party_id=party_id_of(share.owner, desk.books.installation),
        reference=share.owner,
        company=desk.world.find_party(event.company),
    )
    tell_registered(desk, party)
    claimed = ReferenceClaimed(
        **desk.said(party.tenant), party_id=party.party_id, reference=share.owner
    )
    desk.tell(PARTIES, party.party_id, claimed)
    return party


def _open_default(desk: Desk, event: PayInAllocated, share: Allocation, owner: Party) -> None:
    wallet = Wallet(
        wallet_id=desk.books.default_wallet_id(share.account),
        tenant=owner.tenant,
        owner=owner.party_id,
        account=share.account,
        ledger=desk.books.ledger,
        currency=share.amount.currency,
        purpose=DEFAULT,
        reference=None if share.owner == owner.party_id else share.owner,
        company=event.company,
        value_kind="cash",
    )
    desk.world.put_wallet(wallet)
    tell_opened(desk, wallet)
