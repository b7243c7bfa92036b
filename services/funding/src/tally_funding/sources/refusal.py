"""Why a command is not carried out."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused command changes nothing. `field` is a JSON pointer into it; None: as a whole."""

    code: str
    field: str | None
    detail: str
    remedy: str


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
