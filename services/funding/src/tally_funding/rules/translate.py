"""A document whose fields are in order, as a rule in integers."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final

from tally_funding.rules.document import (
    OTHERS,
    ChargeDocument,
    DestinationDocument,
    LineDocument,
    MatchDocument,
    RuleDocument,
    ShareDocument,
    SpanDocument,
)
from tally_funding.rules.model import (
    Charge,
    Destination,
    Fixed,
    Line,
    Match,
    Minor,
    OnRefund,
    Percent,
    Rule,
    Shortfall,
    Span,
    Tier,
    Tiered,
    To,
    Weight,
)
from tally_money import Money, Rounding

_RATE: Final = 10**6
"""Of one percent."""


def rate_of(percent: str) -> int:
    """A percentage with at most six decimals, out of WHOLE."""
    numerator, denominator = (Decimal(percent) * _RATE).as_integer_ratio()
    assert denominator == 1, f"{percent} has more than six decimals"
    return numerator


def tables(document: RuleDocument) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Every table of amounts by currency, with its place."""
    if document.match.amounts is not None:
        yield "/match/amounts", document.match.amounts
    shares: dict[str, Sequence[ShareDocument]] = {
        "lines": document.lines,
        "charges": document.charges,
    }
    for kind, given in shares.items():
        for position, share in enumerate(given):
            for name in ("fixed", "tiers", "cap", "floor"):
                table = getattr(share, name)
                if table is not None:
                    yield f"/{kind}/{position}/{name}", table


def covered(document: RuleDocument) -> frozenset[str] | None:
    """Currencies the rule can divide; None for all."""
    if document.match.currencies is not None:
        return frozenset(document.match.currencies)
    codes = [frozenset(table) for _, table in tables(document)]
    return frozenset.intersection(*codes) if codes else None


def rule(document: RuleDocument, *, label: str, scope: str, company: str | None = None) -> Rule:
    """The rule of a document that lint has found without faults."""
    return Rule(
        label=label,
        name=document.rule,
        version=document.version,
        scope=scope,
        priority=document.priority,
        match=_match(document.match),
        currencies=covered(document),
        lines=tuple(_line(line) for line in document.lines),
        charges=tuple(_charge(charge) for charge in document.charges),
        rounding=Rounding(document.rounding),
        shortfall=Shortfall(document.shortfall),
        effective_from=document.effective_from,
        effective_until=document.effective_until,
        company=company,
    )


def _match(match: MatchDocument) -> Match:
    return Match(
        sources=_names(match.sources),
        programs=_names(match.programs),
        kinds=_names(match.kinds),
        currencies=_names(match.currencies),
        countries=_names(match.countries),
        companies=_names(match.companies),
        amounts=None
        if match.amounts is None
        else {code: _span(code, span) for code, span in match.amounts.items()},
        tags={key: frozenset(values) for key, values in match.tags.items()},
        groups=_names(match.groups),
    )


def _names(names: tuple[str, ...] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)


def _span(code: str, span: SpanDocument) -> Span:
    return Span(
        0 if span.least is None else _minor(span.least, code),
        None if span.below is None else _minor(span.below, code),
    )


def _line(line: LineDocument) -> Line:
    return Line(
        role=line.role,
        to=_destination(line.to),
        share=_asked(line) or Weight(1 if line.weight is None else line.weight),
        pay_out=line.pay_out,
        delegates=line.delegate is True,
        of_left=line.basis == "left",
        cap=_amounts(line.cap),
        floor=_amounts(line.floor),
    )


def _destination(to: DestinationDocument) -> Destination:
    for kind in To:
        name: str | None = getattr(to, kind.value)
        if name is not None:
            return Destination(kind, name, *_weights(to))
    raise AssertionError("lint lets no line pass without a destination")


def _weights(
    to: DestinationDocument,
) -> tuple[tuple[tuple[str, int], ...] | None, int | None]:
    """The weights of members by party, and of members that are not named."""
    if to.weights is None:
        return None, None
    named = {party: weight for party, weight in to.weights.items() if party != OTHERS}
    return tuple(sorted(named.items())), to.weights.get(OTHERS)


def _charge(charge: ChargeDocument) -> Charge:
    share = _asked(charge)
    assert share is not None, "lint lets no charge pass without a share"
    line = Line(
        role=charge.role,
        to=_destination(charge.to),
        share=share,
        cap=_amounts(charge.cap),
        floor=_amounts(charge.floor),
    )
    return Charge(charge.payer, line, OnRefund(charge.on_refund))


def _asked(line: ShareDocument) -> Percent | Fixed | Tiered | None:
    """The share of a line that asks for some; None for one that takes of the rest."""
    if line.percent is not None:
        return Percent(rate_of(line.percent))
    if line.fixed is not None:
        return Fixed(_amounts(line.fixed) or {})
    if line.tiers is not None:
        return Tiered(
            {
                code: tuple(
                    Tier(
                        None if tier.up_to is None else _minor(tier.up_to, code),
                        rate_of(tier.percent),
                    )
                    for tier in tiers
                )
                for code, tiers in line.tiers.items()
            }
        )
    return None


def _amounts(table: Mapping[str, str] | None) -> Minor | None:
    return None if table is None else {code: _minor(text, code) for code, text in table.items()}


def _minor(text: str, code: str) -> int:
    return Money.parse(text, code).minor
