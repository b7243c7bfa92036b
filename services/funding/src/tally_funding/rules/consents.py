"""Owners' consent to rules that debit their wallets: signed, not expired, for one version only."""

from collections.abc import Sequence

from tally_contracts.funding_rules import PublishRule, RuleSignature
from tally_funding.rules import key_store
from tally_funding.rules.owner_keys import signed
from tally_funding.rules.refusals import Refused
from tally_messaging import UnitOfWork


async def require_consents(
    uow: UnitOfWork, command: PublishRule, payers: frozenset[str], digest: str
) -> Sequence[tuple[str, str]]:
    """The (owner, nonce) of every payer's signature; `Refused` where one is missing or no good."""
    signatures = command.signatures
    owners = [signature.owner for signature in signatures]
    for position, owner in enumerate(owners):
        if owner not in payers or owner in owners[:position]:
            raise _refused(
                "signature_not_asked",
                position,
                f"{owner} is no payer of the rule, or signed twice",
                "give one signature for each payer",
            )
    missing = sorted(payers.difference(owners))
    if missing:
        raise Refused(
            "signature_missing",
            "/signatures",
            f"the rule debits wallets of {', '.join(missing)}",
            "give the signature of each payer",
        )
    if not signatures:
        return ()
    keys = await key_store.keys_in_force(uow.conn, owners)
    given = [(signature.owner, signature.nonce) for signature in signatures]
    used = await key_store.used_nonces(uow.conn, given)
    for position, signature in enumerate(signatures):
        public_key, tenant = keys.get(signature.owner, ("", ""))
        if tenant != command.tenant:
            raise _refused(
                "key_missing",
                position,
                f"{signature.owner} has no key registered in {command.tenant}",
                "register the owner's key first",
            )
        if signature.expires_at <= uow.now:
            raise _refused(
                "signature_expired",
                position,
                f"it held until {signature.expires_at.isoformat()}",
                "let the owner sign again",
                name="expires_at",
            )
        if (signature.owner, signature.nonce) in used:
            raise _refused(
                "nonce_used",
                position,
                "the nonce has served another version or rule",
                "let the owner sign again with a new nonce",
                name="nonce",
            )
        if not signed(public_key, signature.signature, consent_text(signature, digest)):
            raise _refused(
                "signature_wrong",
                position,
                f"the key of {signature.owner} did not sign this document",
                "sign the digest that linting the document tells",
                name="signature",
            )
    return given


def consent_text(signature: RuleSignature, digest: str) -> str:
    """What an owner signs."""
    expires_at = signature.expires_at.isoformat().replace("+00:00", "Z")
    lines = ("tally-rule-consent:1", digest, signature.owner, signature.nonce, expires_at)
    return "\n".join(lines)


def _refused(code: str, position: int, detail: str, remedy: str, *, name: str = "owner") -> Refused:
    return Refused(code, f"/signatures/{position}/{name}", detail, remedy)
