"""From a rule document to a rule, or to every fault it has, each with its place and a remedy."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, pairwise
from typing import Any

from pydantic import ValidationError

from tally_funding.errors import RuleFault, RuleInvalid
from tally_funding.rules import translate
from tally_funding.rules.below import company_faults
from tally_funding.rules.document import (
    ChargeDocument,
    DestinationDocument,
    LineDocument,
    MatchDocument,
    RuleDocument,
    ShareDocument,
    SpanDocument,
)
from tally_funding.rules.model import Rule, Shortfall, Span, Weight
from tally_funding.rules.proof import exceeded_by
from tally_funding.rules.reading import canonical, digest_of, read_json, validation_faults
from tally_money import Money, MoneyError, UnknownCurrency, currency

_WHOLE = Decimal(100)
_LISTS = ("sources", "programs", "kinds", "currencies", "countries", "companies", "groups")
_SHARES = ("percent", "fixed", "tiers", "weight", "remainder")
_DELEGATED = ("company", "beneficiary")
_DESTINATIONS = ("party", "role", "relation", "group", "unknown")


@dataclass(frozen=True, slots=True)
class ReadRule:
    """A rule without faults, its document as it is kept, and the digest that owners sign."""

    rule: Rule
    document: str
    digest: str


def read_document(
    data: bytes, *, scope: str, company: str | None = None, rule_id: str | None = None
) -> ReadRule:
    """Read and check a document of schema 2; raises `RuleInvalid` naming every fault.

    `company`: the one below the scope whose rule it is, if it is not the scope's own.
    Pay-ins keep the rule as `<rule_id>:<version>`; the document's name stands in for a missing id.
    """
    given = read_json(data)
    try:
        document = RuleDocument.model_validate_json(data)
    except ValidationError as error:
        raise RuleInvalid(validation_faults(error)) from None
    faults = list(
        chain(
            _time_faults(document),
            _match_faults(document.match),
            chain.from_iterable(_line_faults(n, line) for n, line in enumerate(document.lines)),
            _sum_faults(document.lines),
            chain.from_iterable(_charge_faults(n, one) for n, one in enumerate(document.charges)),
            () if company is None else company_faults(document, company),
        )
    )
    if not faults:
        faults = list(_coverage_faults(document))
    if faults:
        raise RuleInvalid(faults)
    label = f"{document.rule if rule_id is None else rule_id}:{document.version}"
    rule = translate.rule(document, label=label, scope=scope, company=company)
    faults = list(_proof_faults(rule))
    if faults:
        raise RuleInvalid(faults)
    text = canonical(given)
    return ReadRule(rule, text, digest_of(text))


def _time_faults(document: RuleDocument) -> Iterator[RuleFault]:
    begin, end = document.effective_from, document.effective_until
    if begin is not None and end is not None and end <= begin:
        yield RuleFault("/effective_until", "ends_before_it_begins", "give a later time")


def _match_faults(match: MatchDocument) -> Iterator[RuleFault]:
    lists: list[tuple[str, Sequence[str]]] = [
        (f"/match/{name}", getattr(match, name) or ()) for name in _LISTS
    ]
    lists += [(f"/match/tags/{key}", values) for key, values in match.tags.items()]
    for place, names in lists:
        seen: set[str] = set()
        for position, name in enumerate(names):
            if name in seen:
                yield RuleFault(f"{place}/{position}", "repeated_name", "name each once")
            seen.add(name)
    for position, code in enumerate(match.currencies or ()):
        yield from _currency_faults(f"/match/currencies/{position}", code)
    for code, span in (match.amounts or {}).items():
        yield from _span_faults(f"/match/amounts/{code}", code, span)


def _span_faults(place: str, code: str, span: SpanDocument) -> Iterator[RuleFault]:
    bounds = {"from": span.least, "below": span.below}
    given = {name: text for name, text in bounds.items() if text is not None}
    faults = list(_money_faults(place, code, given))
    yield from faults
    if not given:
        yield RuleFault(place, "missing_field", "give from, below, or both")
    if not faults and span.below is not None and Decimal(span.below) <= Decimal(span.least or "0"):
        yield RuleFault(f"{place}/below", "empty_span", "give more than from")


def _currency_faults(place: str, code: str) -> Iterator[RuleFault]:
    try:
        currency(code)
    except UnknownCurrency as error:
        yield RuleFault(place, error.code, str(error))


def _money_faults(place: str, code: str, amounts: Mapping[str, str]) -> Iterator[RuleFault]:
    for name, text in amounts.items():
        try:
            Money.parse(text, code)
        except MoneyError as error:
            yield RuleFault(f"{place}/{name}", error.code, str(error))


def _table_faults(place: str, table: Mapping[str, str] | None) -> Iterator[RuleFault]:
    for code, text in (table or {}).items():
        yield from _money_faults(place, code, {code: text})


def _charge_faults(position: int, charge: ChargeDocument) -> Iterator[RuleFault]:
    place = f"/charges/{position}"
    if charge.to.party == charge.payer:
        yield RuleFault(f"{place}/to/party", "pays_itself", "charge one party for another")
    yield from _share_faults(place, charge, _SHARES[:3])


def _line_faults(position: int, line: LineDocument) -> Iterator[RuleFault]:
    place = f"/lines/{position}"
    if line.basis == "left" and line.percent is None and line.tiers is None:
        yield RuleFault(
            f"{place}/basis", "bound_without_share", "remove it, or give percent or tiers"
        )
    if line.delegate and not line.remainder:
        yield RuleFault(
            f"{place}/delegate", "delegate_without_remainder", "delegate the remainder only"
        )
    if line.delegate and line.to.role not in _DELEGATED:
        yield RuleFault(
            f"{place}/to", "delegate_to_other", "give it to the role company or beneficiary"
        )
    yield from _share_faults(place, line, _SHARES)


def _share_faults(place: str, line: ShareDocument, kinds: Sequence[str]) -> Iterator[RuleFault]:
    named = [name for name in kinds if getattr(line, name) is not None]
    if len(named) != 1:
        yield RuleFault(place, "share_ambiguous", f"give exactly one of {', '.join(kinds)}")
    if sum(getattr(line.to, name) is not None for name in _DESTINATIONS) != 1:
        yield RuleFault(
            f"{place}/to",
            "destination_ambiguous",
            f"give exactly one of {', '.join(_DESTINATIONS)}",
        )
    yield from _weight_faults(f"{place}/to/weights", line.to)
    if line.percent is None and line.tiers is None:
        bounds = {"cap": line.cap, "floor": line.floor}
        for name in [name for name, given in bounds.items() if given is not None]:
            yield RuleFault(
                f"{place}/{name}", "bound_without_share", "remove it, or give percent or tiers"
            )
    if line.percent is not None:
        yield from _percent_faults(f"{place}/percent", line.percent)
    yield from _amount_faults(place, line)
    for code, tiers in (line.tiers or {}).items():
        at = f"{place}/tiers/{code}"
        yield from _tier_faults(at, code, [tier.up_to for tier in tiers])
        for number, tier in enumerate(tiers):
            yield from _percent_faults(f"{at}/{number}/percent", tier.percent)


def _weight_faults(place: str, to: DestinationDocument) -> Iterator[RuleFault]:
    if to.weights is not None and to.group is None:
        yield RuleFault(place, "weights_without_group", "remove them, or name a group")
    if to.weights is not None and not any(to.weights.values()):
        yield RuleFault(place, "weights_zero", "give some member a weight above zero")


def _percent_faults(place: str, percent: str) -> Iterator[RuleFault]:
    if Decimal(percent) > _WHOLE:
        yield RuleFault(place, "bad_percent", "give a percentage from 0 to 100")


def _amount_faults(place: str, line: ShareDocument) -> Iterator[RuleFault]:
    tables = {"fixed": line.fixed, "cap": line.cap, "floor": line.floor}
    faults = [
        fault for name, table in tables.items() for fault in _table_faults(f"{place}/{name}", table)
    ]
    yield from faults
    caps, floors = line.cap or {}, line.floor or {}
    for code in () if faults else sorted(caps.keys() & floors.keys()):
        if Decimal(caps[code]) < Decimal(floors[code]):
            yield RuleFault(f"{place}/cap/{code}", "cap_below_floor", "give at least the floor")


def _tier_faults(place: str, code: str, bounds: Sequence[str | None]) -> Iterator[RuleFault]:
    faults = [
        fault
        for number, bound in enumerate(bounds)
        if bound is not None
        for fault in _money_faults(f"{place}/{number}", code, {"up_to": bound})
    ]
    yield from faults
    if bounds[-1] is not None:
        yield RuleFault(
            f"{place}/{len(bounds) - 1}/up_to", "last_tier_ends", "leave it out of the last tier"
        )
    for number, bound in enumerate(bounds[:-1]):
        if bound is None:
            yield RuleFault(f"{place}/{number}/up_to", "missing_field", "say where this tier ends")
    if not faults:
        ends = [Decimal(0), *(Decimal(bound) for bound in bounds if bound is not None)]
        for number, (before, end) in enumerate(pairwise(ends)):
            if end <= before:
                yield RuleFault(
                    f"{place}/{number}/up_to", "tier_empty", "end it above the tier before"
                )


def _sum_faults(lines: Sequence[LineDocument]) -> Iterator[RuleFault]:
    remainders = [n for n, line in enumerate(lines) if line.remainder]
    weights = [n for n, line in enumerate(lines) if line.weight is not None]
    for position in remainders[1:]:
        yield RuleFault(
            f"/lines/{position}/remainder", "two_remainders", "give the remainder to one line only"
        )
    if remainders and weights:
        yield RuleFault(
            f"/lines/{remainders[0]}/remainder",
            "remainder_beside_weights",
            "weights take all that is left: remove the remainder, or give it a weight",
        )
    plain = [
        Decimal(line.percent)
        for line in lines
        if line.percent is not None
        and line.basis == "whole"
        and line.cap is None
        and line.floor is None
    ]
    percents = sum(plain, Decimal(0))
    if percents > _WHOLE:
        yield RuleFault(
            "/lines",
            "shares_exceed_whole",
            f"percentages of the whole come to {percents}: no pay-in could bear it, lower them",
        )
    # A hundredth in percentages needs nobody for the rest; any other line might leave one.
    if not remainders and not weights and percents != _WHOLE:
        yield RuleFault("/lines", "no_remainder", "give one line the remainder, or weights")


def _coverage_faults(document: RuleDocument) -> Iterator[RuleFault]:
    """Every amount is there in every currency that the rule covers."""
    covered = translate.covered(document)
    if covered is None:
        return
    if not covered:
        yield RuleFault(
            "/match/currencies", "no_currency", "no currency has all amounts: add those missing"
        )
    for place, table in translate.tables(document):
        for code in sorted(covered - table.keys()):
            yield RuleFault(
                f"{place}/{code}",
                "missing_amount",
                f"add the amount in {code}, which the rule covers",
            )


def _proof_faults(rule: Rule) -> Iterator[RuleFault]:
    if rule.shortfall is not Shortfall.REFUSE:
        return
    after_left = False
    for position, line in enumerate(rule.lines):
        if line.of_left and line.floor is not None:
            yield RuleFault(
                f"/lines/{position}/floor",
                "floor_of_left",
                "it could take more than is left: take it of the whole, or state a shortfall",
            )
        if after_left and not line.of_left and not isinstance(line.share, Weight):
            yield RuleFault(
                f"/lines/{position}/basis",
                "whole_after_left",
                "move it before the lines of what is left, or state a shortfall",
            )
        after_left = after_left or line.of_left
    codes: Sequence[str] = ["EUR"] if rule.currencies is None else sorted(rule.currencies)
    for code in codes:
        span = (rule.match.amounts or {}).get(code, Span(1, None))
        amount = exceeded_by(rule.lines, code, span)
        if amount is not None:
            yield RuleFault(
                "/lines",
                "could_exceed_amount",
                f"of about {Money(max(amount, 1), currency(code))} the lines ask for more than "
                f"that: lower them, match amounts from a higher one on, or state a shortfall",
            )
            return


def canonical_digest(data: bytes) -> str | None:
    """The digest owners would sign; None for what is no JSON object."""
    try:
        document: Mapping[str, Any] = read_json(data)
    except RuleInvalid:
        return None
    return digest_of(canonical(document))
