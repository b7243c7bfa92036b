"""Refusals that several kinds of sources share."""

from tally_funding.answers.refusal import Refusal


def id_conflict(field: str) -> Refusal:
    """The refusal of an id that named another command before."""
    return Refusal(
        "id_conflict",
        field,
        "this id came before with other content, and the first stands",
        "give the new command an id of its own",
    )


def not_the_company(company: str) -> Refusal:
    """The refusal of whoever acts on the money of a company that is not its principal."""
    return Refusal(
        "not_the_company",
        "/who/principal",
        f"this is {company}'s",
        "have the company whose money it is do this",
    )
