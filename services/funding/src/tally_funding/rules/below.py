"""What a company's own rule may say: it divides what the rules above leave to the company, no more."""

from collections.abc import Iterator

from tally_funding.errors import RuleFault
from tally_funding.rules.document import RuleDocument


def company_faults(document: RuleDocument, company: str) -> Iterator[RuleFault]:
    """Of other companies' money, of other wallets, and what would go down a second time."""
    for position, name in enumerate(document.match.companies or ()):
        if name != company:
            yield RuleFault(
                f"/match/companies/{position}",
                "foreign_money",
                f"the rule is for money of {company} alone: remove it",
            )
    for position, line in enumerate(document.lines):
        if line.delegate:
            yield RuleFault(
                f"/lines/{position}/delegate",
                "delegates_again",
                "a company's rule has no rule below it: remove it",
            )
    if document.charges:
        yield RuleFault(
            "/charges",
            "charges_below",
            "a company's rule divides what is left to it: remove them, or let the tenant charge",
        )
