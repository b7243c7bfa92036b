"""Routes of the directory: parties, connections, contacts, wallets, grants, approvals."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field, StringConstraints

from tally_contracts import directory
from tally_contracts.base import Text
from tally_gateway.domain.access import Access
from tally_gateway.routes.model import About, Asked, CommandRoute

ContactValue = Annotated[
    str, StringConstraints(min_length=3, max_length=320, pattern=r"^[^\x00-\x1f\x7f]+$")
]
"""An e-mail address, or a phone number with its country code."""

Code = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z]{4,32}$")]

WHY: Final[Mapping[str, Any]] = {"reason": (Text, Field(description="why this is done"))}
WRITE: Final = "parties:write"
_PARTY: Final = "party_01h455vb4pex5vsknk084sn02q"
_OTHER: Final = "party_01h455vb4pex5vsknk084sn02r"


def _sealed_contact(asked: Asked) -> Mapping[str, Any]:
    return {
        "sealed": asked.sealers.for_directory(
            asked.value("value"),
            directory.CONTACT_VALUE,
            tenant=asked.tenant,
            row=asked.made["contact_id"],
        )
    }


def _sealed_code(asked: Asked) -> Mapping[str, Any]:
    return {
        "sealed_code": asked.sealers.for_directory(
            asked.value("code"),
            directory.VERIFICATION_CODE,
            tenant=asked.tenant,
            row=asked.path["verification_id"],
        )
    }


PARTIES: Final = (
    CommandRoute(
        "/v1/parties",
        directory.RegisterParty,
        tag="parties",
        summary="Register a party; without a parent it is the root of a new tree",
        scope=WRITE,
        subject="party_id",
        makes={"party_id": "party"},
        about=(About("parent"),),
        extra=WHY,
        example={"kind": "payee", "parent": _PARTY, "country": "DE", "reason": "New supplier"},
    ),
    CommandRoute(
        "/v1/parties/{party_id}/external-ids",
        directory.SetExternalId,
        tag="parties",
        summary="Say how a party is called in a company's or partner's own systems",
        scope=WRITE,
        subject="party_id",
        about=(About("party_id"), About("known_to")),
        extra=WHY,
        example={"known_to": _OTHER, "external_id": "crm-4711", "reason": "Our new customer"},
    ),
    CommandRoute(
        "/v1/parties/{party_id}/move",
        directory.MoveParty,
        tag="parties",
        summary="Hang a party, with all below it, under another parent",
        scope=WRITE,
        subject="party_id",
        about=(About("party_id"), About("parent")),
        extra=WHY,
        example={"parent": _OTHER, "reason": "Reorganised"},
    ),
    CommandRoute(
        "/v1/parties/{kept}/merge",
        directory.MergeParties,
        tag="parties",
        summary="Offer to go on as another payee; its side decides",
        scope=WRITE,
        subject="kept",
        makes={"approval_id": "appr"},
        # The other side is asked, as by an invitation.
        step_up=True,
        about=(About("merged", Access.OWN_WORD, by_operator=True),),
        owners=("kept",),
        extra=WHY,
        example={"merged": _OTHER, "reason": "The same supplier twice"},
    ),
    CommandRoute(
        "/v1/relation-types",
        directory.DefineRelationType,
        tag="parties",
        summary="Name a kind of relation between parties",
        scope=WRITE,
        subject="relation",
        extra=WHY,
        example={"relation": "carrier", "label": "Carrier", "reason": "We ship"},
    ),
    CommandRoute(
        "/v1/parties/{other}/relations",
        directory.SetRelation,
        tag="parties",
        summary="Say what a party is to another, or is no longer",
        scope=WRITE,
        subject="party",
        about=(About("other"),),
        extra=WHY,
        example={"party": _PARTY, "relation": "supplier", "reason": "Contract 7"},
    ),
    CommandRoute(
        "/v1/parties/{party_id}/roles",
        directory.AssignRole,
        tag="parties",
        summary="Give a person a role at a party",
        scope=WRITE,
        subject="party_id",
        about=(About("party_id"),),
        extra=WHY,
        example={
            "person": "person_01h455vb4pex5vsknk084sn02q",
            "role": "approver",
            "reason": "New colleague",
        },
    ),
    CommandRoute(
        "/v1/parties/{party_id}/roles/remove",
        directory.RemoveRole,
        tag="parties",
        summary="Take a role away; an owner's goes when a second person approves",
        scope=WRITE,
        subject="party_id",
        makes={"approval_id": "appr"},
        about=(About("party_id"),),
        owners=("party_id",),
        extra=WHY,
        example={
            "person": "person_01h455vb4pex5vsknk084sn02q",
            "role": "approver",
            "reason": "Left the company",
        },
    ),
    CommandRoute(
        "/v1/parties/{party_id}/funding-details",
        directory.IssueFundingDetails,
        tag="parties",
        summary="Get a virtual account to be paid on by bank transfer",
        scope=WRITE,
        subject="party_id",
        about=(About("party_id"),),
        extra=WHY,
        example={"currency": "EUR", "reason": "Customers pay by transfer"},
    ),
    CommandRoute(
        "/v1/parties/{party_id}/consents",
        directory.GiveConsent,
        tag="parties",
        summary="Let a company pay and know a payee",
        scope=WRITE,
        subject="party_id",
        about=(About("party_id"),),
        extra=WHY,
        example={"company": _OTHER, "reason": "I work for them"},
    ),
    CommandRoute(
        "/v1/parties/{party_id}/consents/withdraw",
        directory.WithdrawConsent,
        tag="parties",
        summary="Show a company the alias alone from now on",
        scope=WRITE,
        subject="party_id",
        about=(About("party_id"),),
        extra=WHY,
        example={"company": _OTHER, "reason": "I left"},
    ),
    CommandRoute(
        "/v1/groups/{group}/members",
        directory.SetGroupMember,
        tag="parties",
        summary="Take a party into a group, or out of it",
        scope=WRITE,
        subject="group",
        about=(About("group"), About("party")),
        extra=WHY,
        example={"party": _PARTY, "member": True, "reason": "Joined the team"},
    ),
)

CONTACTS: Final = (
    CommandRoute(
        "/v1/parties/{party_id}/contacts",
        directory.AddContact,
        tag="contacts",
        summary="Add an e-mail address or phone number; it is sealed at once",
        scope=WRITE,
        step_up=True,
        once_reached=True,
        subject="contact_id",
        makes={"contact_id": "ctc"},
        about=(About("party_id"),),
        owners=("party_id",),
        works_out=frozenset({"sealed"}),
        drops=frozenset({"value"}),
        extra={**WHY, "value": (ContactValue, Field(description="the address or number"))},
        prepare=_sealed_contact,
        example={"channel": "email", "value": "ap@supplier.example", "reason": "To be reached"},
    ),
    CommandRoute(
        "/v1/contacts/{contact_id}/remove",
        directory.RemoveContact,
        tag="contacts",
        summary="Forget a contact",
        scope=WRITE,
        step_up=True,
        once_reached=True,
        subject="contact_id",
        about=(About("contact_id", is_thing=True),),
        extra=WHY,
        example={"reason": "No longer in use"},
    ),
    CommandRoute(
        "/v1/contacts/{contact_id}/verifications",
        directory.StartVerification,
        tag="contacts",
        summary="Send a code to the contact",
        scope=WRITE,
        subject="verification_id",
        makes={"verification_id": "vrf"},
        about=(About("contact_id", is_thing=True),),
        owners=("contact_id",),
        extra=WHY,
        example={"reason": "To be paid"},
    ),
    CommandRoute(
        "/v1/verifications/{verification_id}/confirm",
        directory.ConfirmVerification,
        tag="contacts",
        summary="Give the code that came",
        scope=WRITE,
        step_up=True,
        once_reached=True,
        subject="verification_id",
        about=(About("verification_id", is_thing=True),),
        works_out=frozenset({"sealed_code"}),
        drops=frozenset({"code"}),
        extra={**WHY, "code": (Code, Field(description="as it was received"))},
        prepare=_sealed_code,
        example={"code": "493021", "reason": "To be paid"},
    ),
)

CONNECTIONS: Final = (
    CommandRoute(
        "/v1/connections",
        directory.InviteConnection,
        tag="connections",
        summary="Ask another party for access to its account",
        scope=WRITE,
        subject="connection_id",
        makes={"connection_id": "conn"},
        about=(About("from_party"),),
        owners=("from_party", "to_party"),
        extra=WHY,
        example={"from_party": _PARTY, "to_party": _OTHER, "access": "pay", "reason": "Supplier"},
    ),
    CommandRoute(
        "/v1/connections/{connection_id}/accept",
        directory.AcceptConnection,
        tag="connections",
        summary="Agree to a connection",
        scope=WRITE,
        subject="connection_id",
        step_up=True,
        about=(About("connection_id", Access.OWN_WORD, is_thing=True),),
        extra=WHY,
        example={"reason": "We know them"},
    ),
    CommandRoute(
        "/v1/connections/{connection_id}/revoke",
        directory.RevokeConnection,
        tag="connections",
        summary="End a connection for good",
        scope=WRITE,
        subject="connection_id",
        about=(About("connection_id", is_thing=True),),
        extra=WHY,
        example={"reason": "Contract ended"},
    ),
    CommandRoute(
        "/v1/parties/{party_id}/approvals",
        directory.ProposeAct,
        tag="approvals",
        summary="Ask for a second person's word",
        scope=WRITE,
        subject="approval_id",
        makes={"approval_id": "appr"},
        about=(About("party_id"),),
        owners=("party_id",),
        extra=WHY,
        example={
            "act": "manual_entry",
            "subject": "ent-7",
            "content_digest": "sha256:5891b5b522d5df08",
            "reason": "Cheque came by post",
        },
    ),
    CommandRoute(
        "/v1/approvals/{approval_id}/decide",
        directory.DecideApproval,
        tag="approvals",
        summary="Approve or decline what another person proposed",
        scope=WRITE,
        subject="approval_id",
        about=(About("approval_id", is_thing=True),),
        extra=WHY,
        example={"approve": True, "reason": "Checked"},
    ),
)

WALLETS: Final = (
    CommandRoute(
        "/v1/wallets",
        directory.OpenWallet,
        tag="wallets",
        summary="Open a wallet",
        scope="wallets:write",
        subject="wallet_id",
        makes={"wallet_id": "wal"},
        about=(About("owner"),),
        extra=WHY,
        example={"owner": _PARTY, "currency": "EUR", "purpose": "travel", "reason": "Trip 12"},
    ),
    CommandRoute(
        "/v1/wallets/{wallet}/grants",
        directory.SetGrant,
        tag="wallets",
        summary="Let a party see exactly these fields of a wallet",
        scope="wallets:write",
        subject="grant_id",
        makes={"grant_id": "grant"},
        about=(About("wallet", is_thing=True),),
        owners=("wallet",),
        extra=WHY,
        example={"to_party": _OTHER, "fields": ["balance", "status"], "reason": "Auditor"},
    ),
    CommandRoute(
        "/v1/grants/{grant_id}/fields",
        directory.ReplaceGrantFields,
        tag="wallets",
        summary="Share exactly these fields by a grant from now on, more or fewer",
        scope="wallets:write",
        subject="grant_id",
        about=(About("grant_id", is_thing=True),),
        extra=WHY,
        example={"fields": ["balance", "history"], "reason": "The auditor needs more"},
    ),
    CommandRoute(
        "/v1/grants/{grant_id}/revoke",
        directory.RevokeGrant,
        tag="wallets",
        summary="Take a grant back",
        scope="wallets:write",
        subject="grant_id",
        about=(About("grant_id", is_thing=True),),
        extra=WHY,
        example={"reason": "Audit done"},
    ),
)

ROUTES: Final = (*PARTIES, *CONTACTS, *CONNECTIONS, *WALLETS)
