"""Which credits of a statement a notification told of before, and the other way round; pure.

Banks repeat in the statement what they notified during the day, with more or fewer references, or as
one entry where the notification lists its payments. Each is booked once.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from tally_funding.statements.credits import Credit, StatementIdentity, booked_on, meant
from tally_money import Money

DAYS_APART_MAX: Final = 5
"""A payer gives one end-to-end id to many payments: booked further apart, they are never the same."""

_NEAREST_FIRST: Final = sorted(range(-DAYS_APART_MAX, DAYS_APART_MAX + 1), key=abs)


@dataclass(frozen=True, slots=True)
class Booked:
    """A credit that the other kind of message brought, and the pay-in it is.

    `repeated_as`: the bank references, or the days without one, under which messages of this kind
    repeated it already.
    """

    external_id: str
    pay_in_id: str
    amount: Money
    day: date
    bank_reference: str | None
    entry_reference: str | None
    uetr: str | None
    end_to_end_id: str | None
    repeated_as: tuple[str, ...] = ()


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


def pair(
    identity: StatementIdentity, money: Sequence[Credit], booked: Sequence[Booked]
) -> Mapping[Credit, Pairing]:
    """Pair credits of one account with what the other kind of message brought to it.

    By the bank's reference, else the UETR, else the end-to-end id within `DAYS_APART_MAX` days, each
    with the amount; one credit takes one pay-in. What is left is compared by the reference of the
    whole entry. The time taken grows with the number of credits, however alike they are.
    """
    pairing = _Pairing({}, set())
    pairing.take(
        money, _by(booked, _bank_references), lambda c: _amounted(c.line.bank_reference, c)
    )
    pairing.take(money, _by(booked, _uetrs), lambda c: _amounted(c.line.uetr, c))
    alike = _by(booked, _marks)
    pairing.take(money, alike, lambda c: _keys(c, _again(repeated_mark(identity, c))))
    for days in _NEAREST_FIRST:
        pairing.take(money, alike, _keys_at(identity, timedelta(days)))
    return pairing.pairs | _wholes(money, booked, pairing) | _parts(money, booked, pairing)


def repeated_mark(identity: StatementIdentity, credit: Credit) -> str:
    """What tells a credit from others under its end-to-end id: the bank's reference, else the day."""
    return meant(credit.line.bank_reference) or str(booked_on(identity, credit.line))


_Key = tuple[object, ...]
_Alike = Mapping[_Key, list[Booked]]


@dataclass(frozen=True, slots=True)
class _Pairing:
    """Pairs found so far. `taken`: pay-ins that a credit is; several lines may have told of one."""

    pairs: dict[Credit, Pairing]
    taken: set[str]

    def take(
        self, money: Iterable[Credit], alike: _Alike, keys: Callable[[Credit], Iterable[_Key]]
    ) -> None:
        for credit in money:
            if credit in self.pairs:
                continue
            one = next(filter(None, (self._free(alike.get(key)) for key in keys(credit))), None)
            if one is not None:
                self.pairs[credit] = Same(one.external_id)
                self.taken.add(one.pay_in_id)

    def _free(self, alike: list[Booked] | None) -> Booked | None:
        while alike and alike[-1].pay_in_id in self.taken:
            alike.pop()
        return alike[-1] if alike else None


def _by(booked: Sequence[Booked], keys: Callable[[Booked], Iterable[_Key]]) -> _Alike:
    """By key, the first that was booked last: from there it is taken."""
    found: defaultdict[_Key, list[Booked]] = defaultdict(list)
    for one in reversed(booked):
        for key in keys(one):
            found[key].append(one)
    return found


def _bank_references(one: Booked) -> Iterable[_Key]:
    return _named(one.bank_reference, one.amount)


def _uetrs(one: Booked) -> Iterable[_Key]:
    return _named(one.uetr, one.amount)


def _amounted(text: str | None, credit: Credit) -> Iterable[_Key]:
    return _named(text, credit.line.amount)


def _named(text: str | None, amount: Money) -> Iterable[_Key]:
    return () if meant(text) is None else ((text, amount.minor),)


def _marks(one: Booked) -> Iterable[_Key]:
    """Once repeated it is found as that alone, else by the day it was booked."""
    if meant(one.end_to_end_id) is None:
        return ()
    told = meant(one.bank_reference) is not None, meant(one.uetr) is not None
    whens = [_again(mark) for mark in one.repeated_as] or [str(one.day)]
    return [(one.end_to_end_id, one.amount.minor, *told, when) for when in whens]


def _keys(credit: Credit, when: str) -> Iterable[_Key]:
    """Where both sides name a bank reference or a UETR, and are not paired by it, they differ."""
    line = credit.line
    if meant(line.end_to_end_id) is None:
        return ()
    references = (False,) if meant(line.bank_reference) else (False, True)
    uetrs = (False,) if meant(line.uetr) else (False, True)
    return [
        (line.end_to_end_id, line.amount.minor, reference, uetr, when)
        for reference in references
        for uetr in uetrs
    ]


def _keys_at(identity: StatementIdentity, apart: timedelta) -> Callable[[Credit], Iterable[_Key]]:
    return lambda credit: _keys(credit, str(booked_on(identity, credit.line) + apart))


def _again(mark: str) -> str:
    return f"again {mark}"


def _wholes(
    money: Iterable[Credit], booked: Iterable[Booked], pairing: _Pairing
) -> dict[Credit, Pairing]:
    """Credits that are the whole of what was booked in payments."""
    parts: defaultdict[str, dict[str, Booked]] = defaultdict(dict)
    for one in booked:
        reference = meant(one.entry_reference)
        if reference is not None and one.pay_in_id not in pairing.taken:
            parts[reference].setdefault(one.pay_in_id, one)
    found: dict[Credit, Pairing] = {}
    for credit in money:
        of_whole = parts.get(credit.line.bank_reference or "")
        if credit not in pairing.pairs and of_whole:
            total = sum(part.amount.minor for part in of_whole.values())
            found[credit] = InOther(next(iter(of_whole)), total != credit.line.amount.minor)
    return found


def _parts(
    money: Sequence[Credit], booked: Iterable[Booked], pairing: _Pairing
) -> dict[Credit, Pairing]:
    """Credits that are payments of what was booked whole."""
    wholes: dict[str, Booked] = {}
    for one in booked:
        reference = meant(one.bank_reference)
        if reference is not None:
            wholes.setdefault(reference, one)
    totals: Counter[str] = Counter()
    for credit in money:
        totals[credit.line.entry_reference or ""] += credit.line.amount.minor
    found: dict[Credit, Pairing] = {}
    for credit in money:
        reference = credit.line.entry_reference or ""
        whole = wholes.get(reference)
        if credit not in pairing.pairs and whole is not None:
            found[credit] = InOther(whole.pay_in_id, totals[reference] != whole.amount.minor)
    return found
