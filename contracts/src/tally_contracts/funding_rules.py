"""Allocation rules by API: how money that came in is divided, published as versioned documents.

Every command leads to a fact: what was asked for, or `RuleRefused`.
"""

from typing import Annotated, ClassVar, Self

from pydantic import Field, StrictBool, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from tally_contracts.base import (
    Amount,
    Count,
    Country,
    Event,
    MoneyEvent,
    PositiveAmount,
    Shape,
    Slug,
    Text,
    Token,
    TypeId,
    UtcTime,
    Who,
)
from tally_contracts.funding import Beneficiary

Document = Annotated[str, StringConstraints(min_length=2, max_length=262_144)]
"""A rule document: JSON text of at most 256 KiB, by the published schema `rule.v2.schema.json`."""

Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{43}=$")]
"""An Ed25519 public key (RFC 8032): 32 bytes in base64."""

Signed = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{86}==$")]
"""An Ed25519 signature (RFC 8032): 64 bytes in base64."""

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 of a document's canonical form (RFC 8785), in hexadecimal."""

RuleTenant = Token
"""Whose rule it is: the party id of a tenant, or `*` for a rule of the installation."""

Version = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]


class RuleSignature(Shape):
    """An owner's consent to a rule that debits a wallet of theirs.

    The signature is over the text `tally-rule-consent:1`, the document's digest, the owner, the
    nonce and the expiry, each on a line of its own, without a last line break. The expiry is in
    UTC with `Z`, with six digits of a second's fraction or, where that is zero, none. A nonce
    serves one version of one rule.
    """

    owner: Token
    nonce: Token
    expires_at: UtcTime
    signature: Signed


class PublishRule(Event):
    """Command: make this document the next version of the rule.

    Its versions only go up. The same version with the same content again is answered as before.
    A party below the tenant publishes rules of its own, which divide what a line of the tenant's
    rules delegates; `company` names it, and only the operator needs to. `signatures`: one for each owner whose wallet the rule debits.
    """

    TYPE: ClassVar[str] = "funding.rule.publish.v1"

    rule_id: TypeId
    tenant: RuleTenant
    document: Document
    signatures: Annotated[tuple[RuleSignature, ...], Field(max_length=8)] = ()
    company: Token | None = None
    who: Who


class RetireRule(Event):
    """Command: the rule matches no money that occurs from now on; old money keeps its version."""

    TYPE: ClassVar[str] = "funding.rule.retire.v1"

    rule_id: TypeId
    tenant: RuleTenant
    reason: Text
    who: Who


class LintRule(Event):
    """Command: check a document as publishing would, and change nothing."""

    TYPE: ClassVar[str] = "funding.rule.lint.v1"

    lint_id: TypeId
    tenant: RuleTenant
    document: Document
    who: Who


class SamplePayIn(Shape):
    """Money that did not come in, to see how a rule would divide it."""

    source: Slug
    amount: PositiveAmount
    company: Token
    program: Slug
    event: Token
    kind: Slug = "payables"
    originator_country: Country | None = None
    beneficiary: Beneficiary | None = None
    references: dict[Slug, Text] = Field(
        default_factory=dict, max_length=16, json_schema_extra={"additionalProperties": False}
    )
    occurred_at: UtcTime


class DryRunRule(Event):
    """Command: divide past or sample pay-ins, book nothing, show every line.

    By `document`, else by `rule_id` in `version`, else by the rules in force when each occurred.
    At most 100 `pay_ins` and `samples` together, at least one.
    """

    TYPE: ClassVar[str] = "funding.rule.dry_run.v1"

    run_id: TypeId
    tenant: RuleTenant
    document: Document | None = None
    rule_id: TypeId | None = None
    version: Version | None = None
    pay_ins: Annotated[tuple[TypeId, ...], Field(max_length=100)] = ()
    samples: Annotated[tuple[SamplePayIn, ...], Field(max_length=100)] = ()
    who: Who

    @model_validator(mode="after")
    def _asks_for_one_thing(self) -> Self:
        if (self.rule_id is None) != (self.version is None):
            raise PydanticCustomError("rule_ambiguous", "give rule_id and version together")
        if self.document is not None and self.rule_id is not None:
            raise PydanticCustomError("rule_ambiguous", "give a document or a rule, not both")
        if not 1 <= len(self.pay_ins) + len(self.samples) <= 100:  # noqa: PLR2004 - as documented
            raise PydanticCustomError("sample_count", "give 1 to 100 pay-ins and samples together")
        return self


class RegisterOwnerKey(Event):
    """Command: from now on this key signs for the owner, and no earlier one does.

    The operator's word is enough. The owner's is a proposal until a second person of it sends the
    same command. Nobody else's counts.
    """

    TYPE: ClassVar[str] = "funding.owner_key.register.v1"

    owner: Token
    tenant: Token
    public_key: Key
    who: Who


class RuleFault(Shape):
    """What is wrong: where in the document (JSON pointer, RFC 6901), a code, and what to do."""

    pointer: Annotated[str, StringConstraints(max_length=500)]
    code: Slug
    remedy: Text


Faults = Annotated[tuple[RuleFault, ...], Field(max_length=100)]
"""The first hundred."""


class RulePublished(Event):
    """The version is kept for ever and divides what occurs from `effective_from` on.

    `effective_until` None: until a later version takes over, or the rule is retired. `company`: whose
    rule it is below the tenant, if it is not the tenant's own.
    """

    TYPE: ClassVar[str] = "funding.rule.published.v1"

    rule_id: TypeId
    tenant: RuleTenant
    name: Slug
    version: Version
    priority: Count
    effective_from: UtcTime
    effective_until: UtcTime | None
    digest: Digest
    who: Who
    occurred_at: UtcTime
    company: Token | None = None


class RuleRetired(Event):
    """No version of the rule divides what occurs from `effective_until` on."""

    TYPE: ClassVar[str] = "funding.rule.retired.v1"

    rule_id: TypeId
    tenant: RuleTenant
    effective_until: UtcTime
    reason: Text
    who: Who
    occurred_at: UtcTime


class RuleRefused(Event):
    """A command about rules, dry runs or owners' keys changed nothing: why, and what to do.

    `field`: JSON pointer into the command; `faults` are places in its document.
    """

    TYPE: ClassVar[str] = "funding.rule.refused.v1"

    command_type: Token
    subject: Token
    tenant: RuleTenant
    code: Slug
    field: Text | None
    detail: Text
    remedy: Text
    faults: Faults
    who: Who
    occurred_at: UtcTime


class RuleLinted(Event):
    """The document's faults; with none it could be published. `digest` is what owners sign."""

    TYPE: ClassVar[str] = "funding.rule.linted.v1"

    lint_id: TypeId
    tenant: RuleTenant
    digest: Digest | None
    faults: Faults
    who: Who
    occurred_at: UtcTime


class DryRunLine(Shape):
    """One line's share of a pay-in. `line` is its place in the document; a group has several.

    `basis`: the money the share was taken of. `share`: as the document says it. With a `payer` it is
    a charge: taken from the payer's wallet beside the pay-in, and placed among the charges. `rule`:
    the company's, in whose document the line is; the result's where there is none.
    """

    line: Count
    role: Slug
    share: Text
    basis: Amount
    amount: Amount
    owner: Token
    account: TypeId
    pay_out: StrictBool
    payer: Token | None = None
    rule: Token | None = None


class RulePassedOver(Shape):
    """A rule that came earlier in order and did not match: its first condition that failed."""

    rule: Token
    pointer: Text
    code: Slug


class DryRunResult(Shape):
    """What would become of one pay-in.

    `sample`: a pay-in's id, or `/samples/<n>`. `outcome`: allocated, suspense, no_rule or
    unknown_pay_in, not_shown (more may come); all but the first come with a code and a remedy. `residue`: what
    rounding left to the lines that take the rest, in minor units, exact: an integer or a fraction.
    """

    sample: Token
    outcome: Slug
    rule: Token | None
    lines: Annotated[tuple[DryRunLine, ...], Field(max_length=2000)]
    residue: Text | None
    code: Slug | None
    remedy: Text | None
    passed_over: Annotated[tuple[RulePassedOver, ...], Field(max_length=20)]


class RuleDryRun(Event):
    """How the pay-ins would be divided, in the order asked; nothing was booked."""

    TYPE: ClassVar[str] = "funding.rule.dry_ran.v1"

    run_id: TypeId
    tenant: RuleTenant
    results: Annotated[tuple[DryRunResult, ...], Field(min_length=1, max_length=100)]
    who: Who
    occurred_at: UtcTime


class OwnerKeyChanged(Event):
    """A key of an owner: `state` proposed (by one person) or registered (it signs from now on)."""

    TYPE: ClassVar[str] = "funding.owner_key.changed.v1"

    owner: Token
    tenant: Token
    public_key: Key
    state: Slug
    who: Who
    occurred_at: UtcTime


class _Charge(MoneyEvent):
    """A rule's charge on a pay-in: from the payer's wallet to another, beside the pay-in itself.

    `returns`: the charge that this one gives back, since its pay-in went back.
    """

    charge_id: TypeId
    pay_in_id: TypeId
    rule: Token
    tenant: RuleTenant
    payer: Token
    owner: Token
    amount: Amount
    returns: TypeId | None = None


class ChargeTaken(_Charge):
    """The ledger has moved the charge."""

    TYPE: ClassVar[str] = "funding.charge.taken.v1"

    journal_id: TypeId
    debit: TypeId
    credit: TypeId


class ChargeRefused(_Charge):
    """The charge was not taken, the pay-in stands: `code` is the ledger's, e.g. insufficient_funds."""

    TYPE: ClassVar[str] = "funding.charge.refused.v1"

    code: Slug
    detail: Text
    remedy: Text


COMMANDS: tuple[type[Event], ...] = (
    PublishRule,
    RetireRule,
    LintRule,
    DryRunRule,
    RegisterOwnerKey,
)
FACTS: tuple[type[Event], ...] = (
    RulePublished,
    RuleRetired,
    RuleRefused,
    RuleLinted,
    RuleDryRun,
    OwnerKeyChanged,
    ChargeTaken,
    ChargeRefused,
)
