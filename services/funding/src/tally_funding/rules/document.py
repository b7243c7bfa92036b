"""The rule document, schema 2: JSON that says which pay-ins a rule matches and how it divides them."""

from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from tally_contracts.base import Country, Slug, Token

LINES_MAX: Final = 64
CHARGES_MAX: Final = 8
_NAMES_MAX: Final = 1000
OTHERS: Final = "*"
"""In the weights of a group: members that are not named."""

CurrencyCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
DecimalText = Annotated[
    str, StringConstraints(pattern=r"^(0|[1-9][0-9]*)(\.[0-9]{1,18})?$", max_length=40)
]
PercentText = Annotated[
    str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,2})(\.[0-9]{1,6})?$", max_length=10)
]
"""A percentage, 0 to 100, with at most six decimals."""
Amounts = Annotated[dict[CurrencyCode, DecimalText], Field(min_length=1, max_length=200)]
Reference = Annotated[
    str, StringConstraints(pattern=r"^[!-#%-~][!-~]*$", min_length=1, max_length=128)
]
"""An owner's reference; a leading $ is kept for words of the rule."""
EventReference = Annotated[
    str, StringConstraints(pattern=r"^(\$event|[!-#%-~][!-~]*)$", min_length=1, max_length=122)
]


def _utc_text(value: object) -> object:
    """A time is text that ends in Z: another zone would be another way to write the same rule."""
    if not isinstance(value, str) or not value.endswith("Z"):
        raise ValueError("give a time in UTC, e.g. 2026-01-31T08:00:00Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_utc_text), Field(strict=False)]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SpanDocument(_Document):
    """Amounts from `from` on, and below `below`; at least one of the two."""

    least: DecimalText | None = Field(default=None, alias="from")
    below: DecimalText | None = None


class MatchDocument(_Document):
    """Conditions that all must hold; one left out is none."""

    sources: tuple[Slug, ...] | None = Field(default=None, min_length=1, max_length=64)
    programs: tuple[Slug, ...] | None = Field(default=None, min_length=1, max_length=10_000)
    kinds: tuple[Slug, ...] | None = Field(
        default=None, min_length=1, max_length=64, description="kinds of value (F24)"
    )
    currencies: tuple[CurrencyCode, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="if absent: those that every amount of the document has, or all",
    )
    countries: tuple[Country, ...] | None = Field(
        default=None, min_length=1, max_length=250, description="of the payer"
    )
    companies: tuple[Token, ...] | None = Field(
        default=None, min_length=1, max_length=_NAMES_MAX, description="responsible companies"
    )
    amounts: dict[CurrencyCode, SpanDocument] | None = Field(
        default=None, min_length=1, max_length=200
    )
    tags: dict[Slug, Annotated[tuple[str, ...], Field(min_length=1, max_length=_NAMES_MAX)]] = (
        Field(default_factory=dict, max_length=16, description="references of the pay-in")
    )
    groups: tuple[Token, ...] | None = Field(
        default=None, min_length=1, max_length=64, description="the beneficiary is in one of them"
    )


GroupWeight = Annotated[int, Field(ge=0, le=1_000_000_000)]


class DestinationDocument(_Document):
    """Who gets a line's money; exactly one field.

    `role`: whom the pay-in names, and `aggregator` the root of the company's tree. `relation`: the
    one party that stands in this relation to the company. `group`: its members in equal shares,
    or by `weights`: of each party, and under `*` of every member that is not named.
    `unknown`: nobody yet, by an event's reference; `$event` is the event the pay-in is about.
    """

    party: Reference | None = None
    role: Literal["beneficiary", "company", "aggregator"] | None = None
    relation: Slug | None = None
    group: Token | None = None
    unknown: EventReference | None = None
    weights: dict[Reference, GroupWeight] | None = Field(
        default=None, min_length=1, max_length=_NAMES_MAX, description="of a group's members"
    )


class TierDocument(_Document):
    """A slice of the basis up to `up_to`, from where the one before it ended."""

    up_to: DecimalText | None = None
    percent: PercentText


Tiers = Annotated[tuple[TierDocument, ...], Field(min_length=1, max_length=32)]


class ShareDocument(_Document):
    """A share of a pay-in for somebody."""

    role: Slug
    to: DestinationDocument
    percent: PercentText | None = None
    fixed: Amounts | None = None
    tiers: Annotated[dict[CurrencyCode, Tiers], Field(min_length=1, max_length=200)] | None = None
    cap: Amounts | None = None
    floor: Amounts | None = None


class LineDocument(ShareDocument):
    """One line: exactly one of `percent`, `fixed`, `tiers`, `weight` and `remainder`."""

    weight: int | None = Field(default=None, ge=1, le=1_000_000_000)
    remainder: Literal[True] | None = None
    basis: Literal["whole", "left"] = Field(
        default="whole", description="left: what the lines before this one leave"
    )
    pay_out: bool = Field(default=False, description="open a payout as soon as it is allocated")
    delegate: Literal[True] | None = Field(
        default=None,
        description="of a remainder: a rule of the company divides it, if one matches",
    )


class ChargeDocument(ShareDocument):
    """Taken from the wallet of `from` beside the pay-in: one of `percent`, `fixed` and `tiers`.

    The share is of the whole pay-in. It is asked of the ledger once the pay-in is allocated, which
    it never holds up: what the wallet does not have is not taken.
    """

    payer: Reference = Field(alias="from")
    on_refund: Literal["keep", "return"] = Field(
        default="keep",
        description="return: what goes back of the pay-in takes the same part of the charge along",
    )


class RuleDocument(_Document):
    """An allocation rule. A changed rule is a new version; old money keeps its version (F22).

    `rounding`: percentages of the whole without cap or floor are rounded together, their sum once,
    shared out by largest remainder; every other line on its own; weights by largest remainder;
    a remainder takes what is left. `shortfall`: what happens where lines ask for more than the
    pay-in: `refuse` the document if that could be, serve lines `in_order`, or `suspend` the pay-in.
    `priority`: rules with less are asked first; then those with more conditions; then by name.
    Effective for what occurs from `effective_from` (else: from its publication) and before
    `effective_until` (else: until a later version takes over).
    """

    schema_version: Literal[2] = Field(alias="schema")
    rule: Slug
    version: int = Field(ge=1, le=1_000_000)
    priority: int = Field(default=500, ge=0, le=1000)
    effective_from: Moment | None = None
    effective_until: Moment | None = None
    match: MatchDocument = MatchDocument()
    lines: tuple[LineDocument, ...] = Field(min_length=1, max_length=LINES_MAX)
    charges: tuple[ChargeDocument, ...] = Field(
        default=(),
        max_length=CHARGES_MAX,
        description="each payer signs for it",
    )
    rounding: Literal["half_even", "half_up", "down"]
    shortfall: Literal["refuse", "in_order", "suspend"] = "refuse"


def published_schema() -> dict[str, Any]:
    """The JSON Schema of the document, as it is published beside the rules."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **RuleDocument.model_json_schema(by_alias=True),
    }
