"""Money that reached a payee first: the payee and its wallet come to be known by it (F9)."""

from tally_contracts.directory_facts import ReferenceClaimed
from tally_contracts.funding import Allocation, PayInAllocated
from tally_contracts.ledger import AccountSpec, OpenAccount
from tally_contracts.owners import OF_EVENT, RESTRICTED
from tally_directory.books import Books
from tally_directory.commands.parties import tell_registered
from tally_directory.commands.wallets import tell_opened
from tally_directory.desk import LEDGER, PARTIES, Desk
from tally_directory.domain import tree
from tally_directory.domain.rows import Party, Wallet
from tally_directory.domain.wallets import DEFAULT
from tally_directory.store.reading import Asked
from tally_runtime import party_id_of

BENEFICIARY = "beneficiary"


def ask_for(asked: Asked, event: PayInAllocated, books: Books) -> None:
    """Note what must be read to know whose the money is."""
    asked.ids.add(event.company)
    for share in event.allocations:
        reference = share.owner.removeprefix(RESTRICTED)
        asked.references.add(reference)
        awaiting = _awaiting(books, share)
        asked.accounts.add(share.account if awaiting is None else awaiting.id)
        asked.ids |= {reference, party_id_of(reference, books.installation)}


def _awaiting(books: Books, share: Allocation) -> AccountSpec | None:
    """Of a restricted share, the account of its payee's wallet, where it is once it is released."""
    reference = share.owner.removeprefix(RESTRICTED)
    if reference == share.owner:
        return None
    return books.account("", reference, share.amount.currency, DEFAULT)


def arrive(desk: Desk, event: PayInAllocated) -> None:
    """Make parties and wallets known that shares of a pay-in went to, each once."""
    for share in event.allocations:
        # Money for an event has no payee yet: whoever claims it later gets it then.
        if share.owner.startswith(OF_EVENT):
            continue
        reference = share.owner.removeprefix(RESTRICTED)
        owner = desk.world.owner_of(reference)
        if owner is None and share.role == BENEFICIARY:
            owner = _make_payee(desk, event, reference)
        awaiting = _awaiting(desk.books, share)
        account = share.account if awaiting is None else awaiting.id
        if owner is None or desk.world.wallet_at(account) is not None:
            continue
        _open_default(desk, event, account, reference, share.amount.currency, owner)
        if awaiting is not None:
            opened = OpenAccount(
                account=awaiting, ledger=desk.books.ledger, who=desk.who, occurred_at=desk.act.now
            )
            desk.tell(LEDGER, desk.books.ledger, opened)


def _make_payee(desk: Desk, event: PayInAllocated, reference: str) -> Party:
    party = tree.arrive(
        desk.world,
        party_id=party_id_of(reference, desk.books.installation),
        reference=reference,
        company=desk.world.find_party(event.company),
    )
    tell_registered(desk, party)
    claimed = ReferenceClaimed(
        **desk.said(party.tenant), party_id=party.party_id, reference=reference
    )
    desk.tell(PARTIES, party.party_id, claimed)
    return party


def _open_default(  # noqa: PLR0917 - a wallet, field by field
    desk: Desk, event: PayInAllocated, account: str, reference: str, currency: str, owner: Party
) -> None:
    wallet = Wallet(
        wallet_id=desk.books.default_wallet_id(account),
        tenant=owner.tenant,
        owner=owner.party_id,
        account=account,
        ledger=desk.books.ledger,
        currency=currency,
        purpose=DEFAULT,
        reference=None if reference == owner.party_id else reference,
        company=event.company,
        value_kind="cash",
    )
    desk.world.put_wallet(wallet)
    tell_opened(desk, wallet)
