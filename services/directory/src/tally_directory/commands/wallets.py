"""Wallets, what is shared of them, who looked, and the virtual accounts they are paid by."""

from typing import Any

from tally_contracts import directory as asked
from tally_contracts import directory_facts as facts
from tally_contracts.ledger import OpenAccount
from tally_directory.desk import LEDGER, PARTIES, WALLETS, Desk
from tally_directory.domain import wallets
from tally_directory.domain.rows import Grant, Wallet
from tally_directory.domain.wallets import Look
from tally_runtime import derived_uuid


def open_wallet(desk: Desk, command: asked.OpenWallet) -> None:
    # By the id that is named: money for an id stands in its account, whoever the owner is today.
    account = desk.books.account(
        command.wallet_id, command.owner, command.currency, command.purpose
    )
    wallet = wallets.open_wallet(
        desk.world,
        desk.act,
        Wallet(
            wallet_id=command.wallet_id,
            tenant=desk.act.tenant,
            owner=command.owner,
            account=account.id,
            ledger=desk.books.ledger,
            currency=command.currency,
            purpose=command.purpose,
            reference=command.reference,
            company=command.company,
            value_kind=command.value_kind,
        ),
    )
    tell_opened(desk, wallet)
    command_to_ledger = OpenAccount(
        account=account, ledger=wallet.ledger, who=desk.who, occurred_at=desk.act.now
    )
    desk.tell(LEDGER, wallet.ledger, command_to_ledger)


def tell_opened(desk: Desk, wallet: Wallet) -> None:
    """Say whose wallet it is, and in which account its money stands."""
    fact = facts.WalletOpened(
        **desk.said(wallet.tenant),
        wallet_id=wallet.wallet_id,
        owner=wallet.owner,
        account=wallet.account,
        ledger=wallet.ledger,
        currency=wallet.currency,
        purpose=wallet.purpose,
        reference=wallet.reference,
        company=wallet.company,
        value_kind=wallet.value_kind,
    )
    desk.tell(WALLETS, wallet.wallet_id, fact)


def grant(desk: Desk, command: asked.SetGrant) -> None:
    given = wallets.grant(
        desk.world,
        desk.act,
        Grant(
            grant_id=command.grant_id,
            tenant=desk.act.tenant,
            other_tenant=desk.act.tenant,
            wallet=command.wallet,
            to_party=command.to_party,
            fields=command.fields,
        ),
    )
    _tell_given(desk, given)


def replace_fields(desk: Desk, command: asked.ReplaceGrantFields) -> None:
    _tell_given(
        desk, wallets.replace_fields(desk.world, desk.act, command.grant_id, command.fields)
    )


def revoke_grant(desk: Desk, command: asked.RevokeGrant) -> None:
    revoked = wallets.revoke_grant(desk.world, desk.act, command.grant_id)
    fact = facts.GrantRevoked(**desk.said(revoked.tenant), **_shared(revoked))
    desk.tell(WALLETS, revoked.wallet, fact)


def _tell_given(desk: Desk, given: Grant) -> None:
    fact = facts.GrantSet(**desk.said(given.tenant), **_shared(given))
    desk.tell(WALLETS, given.wallet, fact)


def _shared(grant: Grant) -> dict[str, Any]:
    return {
        "grant_id": grant.grant_id,
        "wallet": grant.wallet,
        "to_party": grant.to_party,
        "fields": grant.fields,
    }


def log_views(desk: Desk, command: asked.LogViews) -> None:
    looks = [
        Look(view.grant_id, view.wallet, view.viewer, view.actor, view.fields, view.viewed_at)
        for view in command.views
    ]
    wallets.log_views(desk.world, desk.act, command.command_id, looks)
    fact = facts.ViewsLogged(
        **desk.said(command.tenant), command_id=command.command_id, views=command.views
    )
    desk.tell(WALLETS, command.command_id, fact)


def issue_funding_details(desk: Desk, command: asked.IssueFundingDetails) -> None:
    party_id = desk.world.party(command.party_id, "/party_id").party_id
    seed = derived_uuid("virtual account", desk.books.installation, party_id, command.currency)
    party, issued = wallets.issue_funding_details(
        desk.world, desk.act, party_id, command.currency, seed.int
    )
    fact = facts.FundingDetailsIssued(
        **desk.said(party.tenant),
        party_id=party.party_id,
        currency=command.currency,
        virtual_account=issued.virtual_account,
    )
    desk.tell(PARTIES, party.party_id, fact)
