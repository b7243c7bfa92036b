"""Keys that owners sign with: proposed by one person, registered by the operator or a second one."""

from base64 import b64decode

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tally_contracts.base import Event
from tally_contracts.directory import OPERATOR
from tally_contracts.funding_rules import OwnerKeyChanged, RegisterOwnerKey
from tally_funding.answers.store import for_every_tenant
from tally_funding.rules import directory_store, key_store
from tally_funding.rules.key_store import OwnerKey
from tally_funding.rules.refusals import Refused
from tally_messaging import UnitOfWork


async def register(uow: UnitOfWork, command: RegisterOwnerKey) -> Event:
    """Register the key, or propose it until a second person of the same principal asks the same."""
    await for_every_tenant(uow.conn)
    await _require_right(uow, command)
    if not _is_key(command.public_key):
        raise Refused(
            "bad_key",
            "/public_key",
            "this is no Ed25519 public key",
            "give the 32 bytes of RFC 8032 in base64",
        )
    known = await key_store.keys_of(uow.conn, command.owner)
    same = next((key for key in known if key.public_key == command.public_key), None)
    if same is not None and same.state == "replaced":
        raise Refused(
            "key_replaced", "/public_key", "a later key has replaced this one", "make a new key"
        )
    state = _state(command, same)
    if same is None or same.state != state:
        proposal = same or OwnerKey(
            command.owner,
            command.public_key,
            command.tenant,
            state,
            command.who.actor,
            command.who.principal,
        )
        key = OwnerKey(
            proposal.owner,
            proposal.public_key,
            proposal.tenant,
            state,
            proposal.proposed_by,
            proposal.proposed_for,
        )
        await key_store.put_key(uow.conn, key, uow.now)
    return OwnerKeyChanged(
        owner=command.owner,
        tenant=command.tenant,
        public_key=command.public_key,
        state=state,
        who=command.who,
        occurred_at=uow.now,
    )


async def _require_right(uow: UnitOfWork, command: RegisterOwnerKey) -> None:
    """The owner or the operator: whoever stands above would sign debits in its name (F7)."""
    tenant = (await directory_store.tenants(uow.conn, [command.owner])).get(command.owner)
    if tenant != command.tenant:
        raise Refused(
            "unknown_owner",
            "/owner",
            f"{command.owner} is no party of {command.tenant}",
            "register the party with the directory first, or name its tenant",
        )
    if command.who.principal not in {OPERATOR, command.owner}:
        raise Refused(
            "not_your_key",
            "/who/principal",
            f"{command.who.principal} does not own this wallet",
            "have the owner ask for it, or the operator",
        )


def _state(command: RegisterOwnerKey, same: OwnerKey | None) -> str:
    if command.who.principal == OPERATOR or (same is not None and same.state == "registered"):
        return "registered"
    seconded = (
        same is not None
        and same.proposed_for == command.who.principal
        and same.proposed_by != command.who.actor
    )
    return "registered" if seconded else "proposed"


def _is_key(public_key: str) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(b64decode(public_key, validate=True))
    except ValueError:
        return False
    return True


def signed(public_key: str, signature: str, message: str) -> bool:
    """Whether this key made this signature (both in base64) over the message."""
    try:
        key = Ed25519PublicKey.from_public_bytes(b64decode(public_key, validate=True))
        key.verify(b64decode(signature, validate=True), message.encode())
    except (InvalidSignature, ValueError):
        return False
    return True
