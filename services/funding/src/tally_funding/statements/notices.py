"""Which credits of a statement a notification told of before, and the other way round; pure.

Banks repeat in the statement what they notified during the day, with more or fewer references, or as
one entry where the notification lists its payments. Each is booked once.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tally_funding.statements.credits import PLACEHOLDERS, Credit
from tally_money import Money


@dataclass(frozen=True, slots=True)
class Booked:
    """A credit that the other kind of message brought, and the pay-in it is.

    `repeated_as`: the bank references under which messages of this kind repeated it already.
    """

    external_id: str
    pay_in_id: str
    amount: Money
    bank_reference: str | None
    entry_reference: str | None
    uetr: str | None
    end_to_end_id: str | None
    repeated_as: tuple[str | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Same:
    """The credit is this pay-in, whatever its own references would make of it."""

    external_id: str


@dataclass(frozen=True, slots=True)
class InOther:
    """The credit is the whole of what was booked in payments, or a payment of what was booked whole.

    `differs`: the payments do not come to the whole.
    """

    pay_in_id: str
    differs: bool


Pairing = Same | InOther


def pair(money: Sequence[Credit], booked: Sequence[Booked]) -> Mapping[Credit, Pairing]:
    """Pair credits of one account with what the other kind of message brought to it.

    By the bank's reference, else the UETR, else the end-to-end id, each with the amount; one credit
    takes one pay-in. What is left is compared by the reference of the whole entry.
    """
    pairs: dict[Credit, Pairing] = {}
    free = list(booked)
    for agree in (_same_reference, _same_uetr, _same_end_to_end):
        for credit in money:
            if credit not in pairs:
                _take(pairs, free, credit, agree)
    for credit in money:
        if credit not in pairs:
            found = _whole(credit, free) or _part(credit, money, booked)
            if found is not None:
                pairs[credit] = found
    return pairs


def _take(
    pairs: dict[Credit, Pairing],
    free: list[Booked],
    credit: Credit,
    agree: Callable[[Credit, Booked], bool],
) -> None:
    for one in free:
        if one.amount == credit.line.amount and agree(credit, one):
            pairs[credit] = Same(one.external_id)
            free.remove(one)
            return


def _same_reference(credit: Credit, one: Booked) -> bool:
    return _named(credit.line.bank_reference, one.bank_reference)


def _same_uetr(credit: Credit, one: Booked) -> bool:
    return _named(credit.line.uetr, one.uetr)


def _same_end_to_end(credit: Credit, one: Booked) -> bool:
    """A payer may give one id to several payments: what was repeated under another reference is taken."""
    taken = one.repeated_as and credit.line.bank_reference not in one.repeated_as
    return not taken and _named(credit.line.end_to_end_id, one.end_to_end_id)


def _named(said: str | None, known: str | None) -> bool:
    return said is not None and said == known and said.upper() not in PLACEHOLDERS


def _whole(credit: Credit, booked: Iterable[Booked]) -> InOther | None:
    parts = [one for one in booked if _named(credit.line.bank_reference, one.entry_reference)]
    if not parts:
        return None
    total = sum(part.amount.minor for part in parts)
    return InOther(parts[0].pay_in_id, differs=total != credit.line.amount.minor)


def _part(credit: Credit, money: Sequence[Credit], booked: Iterable[Booked]) -> InOther | None:
    whole = next(
        (one for one in booked if _named(credit.line.entry_reference, one.bank_reference)), None
    )
    if whole is None:
        return None
    total = sum(
        other.line.amount.minor
        for other in money
        if other.line.entry_reference == credit.line.entry_reference
    )
    return InOther(whole.pay_in_id, differs=total != whole.amount.minor)
