"""The installation's rule: a file of schema 2, or of schema 1 as described here.

Schema 1 knows percentages, fixed amounts and one remainder, and suspends what its fixed amounts
exceed. It stays readable, since pay-ins keep the version they were divided by.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from tally_contracts.base import Slug
from tally_funding.errors import RuleFault, RuleInvalid
from tally_funding.rules.lint import read_document
from tally_funding.rules.model import (
    INSTALLATION,
    Destination,
    Fixed,
    Line,
    Match,
    Percent,
    Role,
    Rule,
    Share,
    Shortfall,
    To,
    Weight,
)
from tally_funding.rules.reading import (
    DOCUMENT_BYTES_MAX,
    canonical,
    read_json,
    too_large,
    validation_faults,
)
from tally_funding.rules.translate import rate_of
from tally_money import Money, MoneyError, Rounding, UnknownCurrency, currency
from tally_money import Percent as PercentOfTotal

COMPANY = "$company"
SHARES_MAX = 64
_WHOLE = Decimal(100)

CurrencyCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
DecimalText = Annotated[
    str, StringConstraints(pattern=r"^(0|[1-9][0-9]*)(\.[0-9]{1,18})?$", max_length=40)
]
Owner = Annotated[
    str, StringConstraints(pattern=r"^(\$company|[!-#%-~][!-~]*)$", min_length=1, max_length=128)
]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ShareDocument(_Document):
    """One share: exactly one of `percent`, `fixed` and `remainder`.

    `owner` is `$company` (the pay-in's company) or a literal owner reference; the share of role
    `beneficiary` names none: its owner is the pay-in's beneficiary.
    """

    role: Slug
    owner: Owner | None = None
    percent: DecimalText | None = Field(default=None, description="of the whole, 0 to 100")
    fixed: dict[CurrencyCode, DecimalText] | None = Field(
        default=None, min_length=1, description="an amount per currency"
    )
    remainder: Literal[True] | None = Field(default=None, description="all that others leave")
    pay_out: bool = Field(default=False, description="open a payout as soon as it is allocated")


class RuleDocument(_Document):
    """An allocation rule. A changed rule is a new version; old money keeps its version (F22)."""

    rule: Slug
    version: int = Field(ge=1, le=1_000_000)
    programs: tuple[Slug | Literal["*"], ...] = Field(
        min_length=1, max_length=10_000, description='programs by name, or "*" for all'
    )
    currencies: tuple[CurrencyCode, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="if absent: the currencies of the fixed amounts, or all where there are none",
    )
    shares: tuple[ShareDocument, ...] = Field(min_length=1, max_length=SHARES_MAX)
    rounding: Literal["half_even", "half_up", "down"] = "half_even"


@dataclass(frozen=True, slots=True)
class LoadedRule:
    """A rule ready for use, and its document as it is kept. `digest` is of the document's content."""

    rule: Rule
    document: Mapping[str, object]
    digest: bytes


def bundled_rule() -> bytes:
    """The rule in force where TALLY_FUNDING_RULE names none."""
    return (files("tally_funding") / "rules" / "standard.json").read_bytes()


def read_rule(path: Path | None) -> LoadedRule:
    """Load the document at `path`, or the bundled one; raises `RuleInvalid` naming every fault."""
    if path is None:
        return parse_rule(bundled_rule())
    try:
        size = path.stat().st_size
        if size > DOCUMENT_BYTES_MAX:
            raise RuleInvalid([too_large(size)])
        return parse_rule(path.read_bytes())
    except OSError as error:
        remedy = f"the file cannot be read ({error.strerror}): give the path of a readable file"
        raise RuleInvalid([RuleFault("", "unreadable", remedy)]) from error


def parse_rule(data: bytes) -> LoadedRule:
    """Read a document of either schema; raises `RuleInvalid` naming every fault with its place."""
    given = read_json(data)
    if "schema" in given:
        read = read_document(data, scope=INSTALLATION)
        if read.rule.charges:
            remedy = "no owner has signed a file: publish the rule by command, with signatures"
            raise RuleInvalid([RuleFault("/charges", "charges_unsigned", remedy)])
        return LoadedRule(read.rule, given, bytes.fromhex(read.digest))
    return _parse_schema_1(data)


def _parse_schema_1(data: bytes) -> LoadedRule:
    try:
        document = RuleDocument.model_validate_json(data)
    except ValidationError as error:
        raise RuleInvalid(validation_faults(error)) from None
    faults = list(
        chain(_program_faults(document), _currency_faults(document), _share_faults(document))
    )
    if faults:
        raise RuleInvalid(faults)
    kept: dict[str, Any] = document.model_dump(mode="json", exclude_none=True)
    digest = hashlib.blake2b(
        canonical(kept).encode(), digest_size=16, person=b"tally-rule"
    ).digest()
    return LoadedRule(_rule(document), kept, digest)


def _program_faults(document: RuleDocument) -> Iterator[RuleFault]:
    for position, program in enumerate(document.programs):
        if program in document.programs[:position]:
            yield RuleFault(f"/programs/{position}", "repeated_program", "name a program once")
    if "*" in document.programs and len(document.programs) > 1:
        yield RuleFault("/programs", "all_and_some", 'name programs, or "*" alone')


def _currency_faults(document: RuleDocument) -> Iterator[RuleFault]:
    for position, code in enumerate(document.currencies or ()):
        try:
            currency(code)
        except UnknownCurrency as error:
            yield RuleFault(f"/currencies/{position}", error.code, str(error))


def _share_faults(document: RuleDocument) -> Iterator[RuleFault]:
    shares = document.shares
    covered = _covered(document)
    percents = Decimal(0)
    for position, share in enumerate(shares):
        place = f"/shares/{position}"
        yield from _owner_faults(place, share)
        named = [n for n in ("percent", "fixed", "remainder") if getattr(share, n) is not None]
        if len(named) != 1:
            yield RuleFault(
                place, "share_ambiguous", "give exactly one of percent, fixed and remainder"
            )
        if share.percent is not None:
            yield from _percent_faults(f"{place}/percent", Decimal(share.percent))
            percents += Decimal(share.percent)
        if share.fixed is not None:
            yield from _fixed_faults(f"{place}/fixed", share.fixed, covered)
    remainders = sum(share.remainder is True for share in shares)
    if remainders == 0:
        yield RuleFault("/shares", "no_remainder", "give one share the remainder")
    if remainders > 1:
        yield RuleFault("/shares", "two_remainders", "give the remainder to one share only")
    fixed = any(Decimal(amount) for share in shares for amount in (share.fixed or {}).values())
    if percents > _WHOLE or (percents == _WHOLE and fixed):
        beside = " beside fixed amounts" if percents == _WHOLE else ""
        yield RuleFault(
            "/shares",
            "shares_exceed_whole",
            f"percentages come to {percents}{beside}: no pay-in could bear it, lower them",
        )


def _owner_faults(place: str, share: ShareDocument) -> Iterator[RuleFault]:
    if share.role == "beneficiary" and share.owner is not None:
        yield RuleFault(
            f"{place}/owner", "owner_given", "remove it: a beneficiary is named by the pay-in"
        )
    if share.role != "beneficiary" and share.owner is None:
        yield RuleFault(
            f"{place}/owner", "missing_field", f'add the owner: "{COMPANY}" or a reference'
        )


def _percent_faults(place: str, percent: Decimal) -> Iterator[RuleFault]:
    try:
        PercentOfTotal(percent)
    except MoneyError as error:
        yield RuleFault(place, "bad_percent", str(error))


def _fixed_faults(
    place: str, fixed: Mapping[str, str], covered: frozenset[str] | None
) -> Iterator[RuleFault]:
    for code, amount in fixed.items():
        try:
            Money.parse(amount, code)
        except MoneyError as error:
            yield RuleFault(f"{place}/{code}", error.code, str(error))
    for code in sorted((covered or frozenset()) - fixed.keys()):
        yield RuleFault(
            f"{place}/{code}", "missing_amount", f"add the amount in {code}, which the rule covers"
        )


def _covered(document: RuleDocument) -> frozenset[str] | None:
    """Currencies the rule can divide; None for all."""
    if document.currencies is not None:
        return frozenset(document.currencies)
    amounts = [share.fixed for share in document.shares if share.fixed is not None]
    return frozenset(code for fixed in amounts for code in fixed) if amounts else None


def _rule(document: RuleDocument) -> Rule:
    return Rule(
        label=f"{document.rule}:{document.version}",
        name=document.rule,
        version=document.version,
        scope=INSTALLATION,
        priority=0,
        match=Match(
            programs=None if "*" in document.programs else frozenset(document.programs),
        ),
        currencies=_covered(document),
        lines=tuple(
            Line(share.role, _destination(share), _part(share), pay_out=share.pay_out)
            for share in document.shares
        ),
        rounding=Rounding(document.rounding),
        shortfall=Shortfall.SUSPEND,
    )


def _destination(share: ShareDocument) -> Destination:
    if share.owner is None:
        return Destination(To.ROLE, Role.BENEFICIARY)
    if share.owner == COMPANY:
        return Destination(To.ROLE, Role.COMPANY)
    return Destination(To.PARTY, share.owner)


def _part(share: ShareDocument) -> Share:
    if share.percent is not None:
        return Percent(rate_of(share.percent))
    if share.fixed is not None:
        return Fixed({code: Money.parse(text, code).minor for code, text in share.fixed.items()})
    return Weight(1)
