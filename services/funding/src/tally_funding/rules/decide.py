"""What a rule makes of a pay-in: parts that sum to it exactly, or the reason for suspense."""

from typing import TypeAlias

from tally_funding.domain import Beneficiary, PartOfPayIn, Reason, Suspense
from tally_funding.rules.choose import Below, Chosen, Compiled
from tally_funding.rules.match import Condition, Facts, first_failing
from tally_funding.rules.model import Rule
from tally_funding.rules.owners import PARTS_MAX, shared
from tally_money import Money, currency

Designation: TypeAlias = tuple[int, str, int]
"""A line's position, an owner, and the minor units above zero that the owner gets by it."""


def decide_allocation(
    chosen: Chosen, facts: Facts, beneficiary: Beneficiary | None
) -> tuple[PartOfPayIn, ...] | Suspense:
    """Divide a pay-in by its rule; the parts sum to it exactly (F13, F23).

    Parts of zero are left out: the ledger moves amounts above zero only. What cannot be divided
    goes to suspense whole, never in part (F14).
    """
    rule = chosen.compiled.rule
    if rule.needs_beneficiary and beneficiary is None:
        return Suspense(
            Reason.NO_BENEFICIARY, "name the party, contact or event the money is for, or return it"
        )
    failing = first_failing(chosen.compiled.conditions, facts) if chosen.is_last else None
    if failing is not None:
        return _unmatched(rule, failing, facts)
    return _apply(chosen.compiled, facts, beneficiary, chosen.below)


def _apply(
    compiled: Compiled, facts: Facts, beneficiary: Beneficiary | None, below: Below | None
) -> tuple[PartOfPayIn, ...] | Suspense:
    """Divide by a rule whose conditions hold or do not matter (a past pay-in's).

    What `below` is about is divided once more, by the company's rule; if that cannot, the whole
    pay-in goes to suspense.
    """
    designated = evaluate(compiled, facts, beneficiary)
    if isinstance(designated, Suspense):
        return designated
    unit = currency(facts.code)
    lines = compiled.rule.lines
    parts: list[PartOfPayIn] = []
    for position, owner, minor in designated:
        if below is None or position != below.position:
            line = lines[position]
            parts.append(PartOfPayIn(line.role, owner, Money(minor, unit), line.pay_out))
            continue
        assert minor == below.facts.minor, "the company's rule divides its line's money, all of it"
        inner = decide_allocation(Chosen(below.compiled, is_last=False), below.facts, beneficiary)
        if isinstance(inner, Suspense):
            return inner
        parts.extend(inner)
    return tuple(parts) if len(parts) <= PARTS_MAX else _too_many(compiled.rule, len(parts))


def evaluate(
    compiled: Compiled, facts: Facts, beneficiary: Beneficiary | None
) -> list[Designation] | Suspense:
    """Who gets how much by which line, in integers; this is what the benchmark measures."""
    amounts = compiled.program(facts.code).divide(facts.minor)
    if amounts is None:
        return exceeds(compiled.rule, facts)
    designated: list[Designation] = []
    for position, (minor, owner) in enumerate(zip(amounts, compiled.owners, strict=True)):
        if minor == 0:
            continue
        if isinstance(owner, str):
            designated.append((position, owner, minor))
            continue
        owners = owner(facts, beneficiary)
        if isinstance(owners, Suspense):
            return owners
        if isinstance(owners, tuple) and len(owners) == 1:
            designated.append((position, owners[0], minor))
        else:
            shares = shared(owners, Money(minor, currency(facts.code)))
            designated.extend((position, one, part.minor) for one, part in shares if part)
    if len(designated) > PARTS_MAX:
        return _too_many(compiled.rule, len(designated))
    return designated


def _too_many(rule: Rule, wallets: int) -> Suspense:
    return Suspense(
        Reason.TOO_MANY_PARTS,
        f"rule {rule.label} divides this among {wallets} wallets, at most "
        f"{PARTS_MAX} are possible: pay smaller groups",
    )


def exceeds(rule: Rule, facts: Facts) -> Suspense:
    """The lines ask for more than the pay-in."""
    amount = Money(facts.minor, currency(facts.code))
    return Suspense(
        Reason.RULE_EXCEEDS_AMOUNT,
        f"rule {rule.label} takes more than {amount}: "
        "lower its fixed shares in a new version, or return the money",
    )


def _unmatched(rule: Rule, failing: Condition, facts: Facts) -> Suspense:
    if failing.code == "program_differs":
        return Suspense(
            Reason.UNKNOWN_PROGRAM,
            f"rule {rule.label} has no program {facts.program}: add it in a new version, "
            "or name a program the rule has",
        )
    if failing.code == "currency_differs":
        return Suspense(
            Reason.CURRENCY_NOT_COVERED,
            f"rule {rule.label} has no amounts in {facts.code}: "
            "add the currency in a new version, or return the money",
        )
    return Suspense(
        Reason.NO_RULE,
        f"no rule matches, and {rule.label} fails at {failing.pointer}: publish a rule for it, "
        "or return the money",
    )
