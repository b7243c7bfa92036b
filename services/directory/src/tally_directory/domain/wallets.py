"""Wallets, who sees what of them, and by which virtual account they are paid."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from tally_directory.domain.access import Act, need_access, need_operator, need_own, need_self
from tally_directory.domain.refusal import refuse
from tally_directory.domain.rows import FundingDetails, Grant, Kind, Party, ViewEntry, Wallet
from tally_directory.domain.world import World

DEFAULT: Final = "default"
"""Purpose of the one wallet of owner and currency that money goes to unless told otherwise."""
CONTACTS: Final = "contacts"
"""The field that opens the owner's contacts, in clear: the owner alone may name it (F26)."""
FIELDS: Final = frozenset({"balance", "history", "status", "program", "purpose", CONTACTS})
VALUE_KINDS: Final = frozenset({"cash", "cash_like", "closed_loop"})
_RF_BODY_CHARS: Final = 21
_MOD_97: Final = 97


def open_wallet(world: World, act: Act, wallet: Wallet) -> Wallet:
    """Open a wallet; its account was derived by the caller."""
    owner = world.party(wallet.owner, "/owner")
    need_access(world, act, owner, "/owner")
    if owner.kind is Kind.GROUP:
        refuse("kind_not_allowed", "/owner", "a group owns nothing", "name one of its members")
    _check_currency(world, wallet.currency)
    if wallet.value_kind not in VALUE_KINDS:
        known = ", ".join(sorted(VALUE_KINDS))
        refuse(
            "unknown_value_kind",
            "/value_kind",
            f"{wallet.value_kind} is no kind of value",
            f"use one of {known}",
        )
    if world.wallets.get(wallet.wallet_id) is not None:
        refuse("id_taken", "/wallet_id", "this wallet exists", "make a new id")
    standing = world.wallet_at(wallet.account)
    if standing is not None:
        refuse(
            "wallet_exists",
            "/purpose",
            f"{standing} is the default wallet of this owner and currency",
            "use it, or give the new wallet a purpose of its own",
        )
    if wallet.company is not None:
        company = world.party(wallet.company, "/company")
        need_access(world, act, company, "/company")
        wallet = replace(wallet, company=company.party_id)
    opened = replace(wallet, owner=owner.party_id, tenant=owner.tenant)
    world.put_wallet(opened)
    return opened


def _check_currency(world: World, code: str) -> None:
    if code not in world.currencies:
        refuse(
            "unknown_currency",
            "/currency",
            f"{code} is neither an ISO 4217 currency nor a registered asset",
            "register the asset with the ledger first",
        )


def grant(world: World, act: Act, asked: Grant) -> Grant:
    """Share named fields of a wallet with a party: information, never money (F6)."""
    wallet = _wallet(world, asked.wallet, "/wallet")
    owner = world.party(wallet.owner, "/wallet")
    viewer = world.party(asked.to_party, "/to_party")
    need_own(world, act, owner, "/wallet")
    _check_fields(world, act, owner, asked.fields)
    before = world.grants.get(asked.grant_id)
    same_pair = before is not None and (before.wallet, before.to_party) == (
        wallet.wallet_id,
        viewer.party_id,
    )
    if before is not None and not same_pair:
        refuse("id_taken", "/grant_id", "this grant is of another wallet or party", "make a new id")
    standing = world.grant_to(wallet.wallet_id, viewer.party_id)
    if standing is not None and standing.grant_id != asked.grant_id and not standing.revoked:
        refuse(
            "grant_exists",
            "/grant_id",
            f"{standing.grant_id} shares this wallet with this party",
            "replace the fields of that grant, or revoke it first",
        )
    given = replace(
        asked,
        tenant=wallet.tenant,
        other_tenant=viewer.tenant,
        to_party=viewer.party_id,
        fields=tuple(sorted(set(asked.fields))),
        revoked=False,
    )
    world.put_grant(given)
    return given


def replace_fields(world: World, act: Act, grant_id: str, fields: Sequence[str]) -> Grant:
    """Share these fields by a grant instead of those it named; one taken back stays so."""
    standing, owner = _own_grant(world, act, grant_id)
    _check_fields(world, act, owner, fields)
    if standing.revoked:
        refuse(
            "grant_revoked",
            "/grant_id",
            "this grant was taken back",
            "let the party see the wallet by a new grant",
        )
    replaced = replace(standing, fields=tuple(sorted(set(fields))))
    world.put_grant(replaced)
    return replaced


def revoke_grant(world: World, act: Act, grant_id: str) -> Grant:
    """Share nothing by this grant any more."""
    standing, _ = _own_grant(world, act, grant_id)
    revoked = replace(standing, revoked=True)
    world.put_grant(revoked)
    return revoked


def _own_grant(world: World, act: Act, grant_id: str) -> tuple[Grant, Party]:
    """The grant, and the owner of its wallet, who the principal is or is above."""
    standing = world.grants.get(grant_id)
    if standing is None:
        refuse("unknown_grant", "/grant_id", "there is no such grant", "set it first")
    owner = world.party(_wallet(world, standing.wallet, "/grant_id").owner, "/grant_id")
    need_own(world, act, owner, "/grant_id")
    return standing, owner


def _check_fields(world: World, act: Act, owner: Party, fields: Sequence[str]) -> None:
    for position, name in enumerate(fields):
        if name == CONTACTS:
            need_self(world, act, owner, f"/fields/{position}")
        if name not in FIELDS:
            refuse(
                "unknown_field",
                f"/fields/{position}",
                f"{name} is no field of a wallet",
                f"use {', '.join(sorted(FIELDS))}",
            )


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a wallet by a grant."""

    grant_id: str
    wallet: str
    viewer: str
    actor: str
    fields: tuple[str, ...]
    viewed_at: datetime


def log_views(world: World, act: Act, command_id: str, looks: Sequence[Look]) -> None:
    """Keep who looked at what; one look that no grant covers refuses them all."""
    need_operator(act, "log views")
    entries: list[ViewEntry] = []
    for position, look in enumerate(looks):
        at = f"/views/{position}"
        standing = world.grants.get(look.grant_id)
        if standing is None:
            refuse("unknown_grant", f"{at}/grant_id", "there is no such grant", "name the grant")
        if (standing.wallet, standing.to_party) != (look.wallet, look.viewer):
            refuse(
                "view_not_granted",
                at,
                f"{look.grant_id} shares another wallet, or with another party",
                "name the wallet and the party of the grant",
            )
        entries.append(
            ViewEntry(
                command_id=command_id,
                position=position,
                tenant=standing.tenant,
                grant_id=look.grant_id,
                wallet=look.wallet,
                viewer=look.viewer,
                actor=look.actor,
                fields=look.fields,
                viewed_at=look.viewed_at,
            )
        )
    world.views.extend(entries)


def issue_funding_details(
    world: World, act: Act, party_id: str, currency: str, seed: int
) -> tuple[Party, FundingDetails]:
    """The virtual account of a party and currency; asked again, the same one (F10)."""
    party = world.party(party_id, "/party_id")
    need_access(world, act, party, "/party_id")
    _check_currency(world, currency)
    key = party.party_id, currency
    issued = world.funding_details.get(key)
    if issued is None:
        issued = FundingDetails(party.tenant, creditor_reference(seed))
        world.funding_details.put(key, issued)
    return party, issued


def creditor_reference(seed: int) -> str:
    """A creditor reference (ISO 11649): RF, two check digits (ISO 7064 mod 97-10), 21 characters."""
    letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    body = ""
    for _ in range(_RF_BODY_CHARS):
        seed, rest = divmod(seed, len(letters))
        body += letters[rest]
    check = _MOD_97 + 1 - _mod_97(f"{body}RF00")
    return f"RF{check:02d}{body}"


def is_creditor_reference(text: str) -> bool:
    """Whether the check digits are right."""
    return text[:2] == "RF" and _mod_97(text[4:] + text[:4]) == 1


def _mod_97(text: str) -> int:
    return int("".join(str(int(character, 36)) for character in text)) % _MOD_97


def _wallet(world: World, wallet_id: str, at: str) -> Wallet:
    wallet = world.wallets.get(wallet_id)
    if wallet is None:
        refuse("unknown_wallet", at, f"there is no wallet {wallet_id}", "open it first")
    return wallet
