"""The demo's data, made on the spot from a seed: good events, copies, poison, and what to expect.

Parties are numbers, not people; no name or address occurs.
"""

import json
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from operator import itemgetter
from typing import Any

from tally_cli.publishing import Publication
from tally_contracts.funding import FundingReceived
from tally_messaging.envelope import CE_ID, CORRELATION_ID
from tally_money import Money, currency

SOURCES = ("cards", "invoices", "marketplace")
CURRENCIES: Mapping[str, tuple[int, int]] = {
    # Bounds in minor units, of the size people are paid in each currency.
    "USD": (5_00, 900_00),
    "EUR": (5_00, 900_00),
    "JPY": (1_000, 90_000),
    "KWD": (2_000, 250_000),
}
PARTIES = 60
LATE_CHOOSERS = 6
"""Payees who have chosen no method when their money comes; they choose while the demo runs."""
PROGRAM = "partner-rewards"
DUPLICATES_PERCENT, POISON_PERCENT, UNMATCHED_PERCENT = 5, 2, 3
ACH_REJECTED, ACH_RETURNED = ("0003", "0901"), ("0002", "0016", "0902")
"""Endings of account numbers by which the bank simulator refuses or returns."""


@dataclass(frozen=True, slots=True)
class Payee:
    """A payee and the way they are paid, by currency."""

    party: str
    ach_account: str | None
    chooses_late: bool


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must have become of the feed, known before it is published."""

    records: int
    unique_events: int
    duplicates: int
    poison: Mapping[str, int]
    unmatched: int
    money: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Dataset:
    """The feed in the order it is published, and what to expect of it."""

    payees: tuple[Payee, ...]
    feed: tuple[Publication, ...]
    expected: Expectation
    correlation_ids: tuple[str, ...] = field(repr=False)


def make_dataset(run: str, events: int, seed: int, start: datetime) -> Dataset:
    """Make `events` distinct funding events and the trouble around them.

    `run` makes the ids of one run its own, so that a second run against the same installation is
    new money. `start` is UTC.
    """
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose, never a secret
    payees = tuple(_payee(number) for number in range(PARTIES))
    unmatched = events * UNMATCHED_PERCENT // 100
    good: list[Publication] = []
    money: Counter[str] = Counter()
    for number in range(events):
        source = SOURCES[number % len(SOURCES)]
        data = _event(run, number, chance, payees, start, unmatched=number < unmatched)
        money[data["amount"]["currency"]] += _minor(data["amount"])
        good.append(_record(source, data, f"{run}-{source}-{number}"))
    copies = chance.sample(good, events * DUPLICATES_PERCENT // 100)
    poison = _poison(run, events * POISON_PERCENT // 100, good, chance)
    # Another body under a used id is poison only if it comes after the first.
    conflicts = [record for kind, record in poison if kind == "id_conflict"]
    broken = [record for kind, record in poison if kind != "id_conflict"]
    feed = [*_disordered(good, [*copies, *broken], chance), *conflicts]
    expected = Expectation(
        records=len(feed),
        unique_events=events,
        duplicates=len(copies),
        poison=Counter(kind for kind, _ in poison),
        unmatched=unmatched,
        money=money,
    )
    ids = tuple(_header(record, CORRELATION_ID) for record in good)
    return Dataset(payees, tuple(feed), expected, ids)


def _payee(number: int) -> Payee:
    ending = "5678"
    if number % 20 == 1:
        ending = ACH_REJECTED[number // 20 % len(ACH_REJECTED)]
    elif number % 20 == 2:  # noqa: PLR2004 - one in twenty
        ending = ACH_RETURNED[number // 20 % len(ACH_RETURNED)]
    uses_ach = number % 3 != 0
    return Payee(
        party=f"pty_demo_{number:03d}",
        ach_account=f"{7_000_000 + number}{ending}" if uses_ach else None,
        chooses_late=number >= PARTIES - LATE_CHOOSERS,
    )


def _event(
    run: str,
    number: int,
    chance: random.Random,
    payees: tuple[Payee, ...],
    start: datetime,
    *,
    unmatched: bool,
) -> dict[str, Any]:
    code = chance.choice(list(CURRENCIES))
    low, high = CURRENCIES[code]
    amount = Money(chance.randint(low, high), currency(code))
    beneficiary: dict[str, str] | None = {"party": chance.choice(payees).party}
    if unmatched and number % 2:
        # Less than the company's fixed share: the rule cannot divide it.
        code, amount = "USD", Money(20, currency("USD"))
    elif unmatched:
        beneficiary = None
    elif number % 50 == 7:  # noqa: PLR2004 - now and then money for a payee nobody knows yet
        beneficiary = {"event_reference": f"{run}-raffle-{number}"}
    occurred = start + timedelta(milliseconds=number)
    return {
        "external_id": f"{run}-{number:06d}",
        "amount": {"currency": code, "amount": amount.wire_amount},
        "originator": {"reference": f"payer-{chance.randint(1, 40)}", "country": "US"},
        "company": f"co_demo_{number % 2 + 1}",
        "beneficiary": beneficiary,
        "kind": chance.choice(("payables", "incentives", "profit_share")),
        "value_date": occurred.date().isoformat(),
        "references": {"order": f"order-{number}"},
        "who": {"actor": "upstream", "principal": f"co_demo_{number % 2 + 1}"},
        "where": {"channel": SOURCES[number % len(SOURCES)], "country": "US"},
        "why": {"program": PROGRAM, "event": f"order-{number}", "reason": "Commission on an order"},
        "occurred_at": occurred.astimezone(UTC).isoformat().replace("+00:00", "Z"),
    }


def _record(source: str, data: dict[str, Any], event_id: str) -> Publication:
    headers = [
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        (CE_ID, event_id.encode()),
        ("ce_source", f"/upstream/{source}".encode()),
        ("ce_type", FundingReceived.TYPE.encode()),
        ("ce_time", data["occurred_at"].encode()),
        (CORRELATION_ID, event_id.encode()),
    ]
    return Publication(
        f"funding.inbound.{source}.v1", data["external_id"].encode(), _body(data), headers
    )


def _poison(
    run: str, count: int, good: list[Publication], chance: random.Random
) -> list[tuple[str, Publication]]:
    """Broken records of every kind in turn, each made from a good one under an id of its own."""
    makers = list(_POISON.items())
    made: list[tuple[str, Publication]] = []
    for number in range(count):
        kind, spoil = makers[number % len(makers)]
        victim = chance.choice(good)
        if kind == "id_conflict":
            made.append((kind, _with_amount(victim, "1")))
            continue
        own = _with_id(victim, f"{run}-poison-{number}")
        made.append((kind, spoil(own)))
    return made


def _disordered(
    good: list[Publication], extra: list[Publication], chance: random.Random
) -> list[Publication]:
    """Out of order, as networks deliver: copies and poison anywhere, the rest near its place."""
    placed = [(place + chance.uniform(-200, 200), record) for place, record in enumerate(good)]
    placed += [(chance.uniform(0, len(good)), record) for record in extra]
    return [record for _, record in sorted(placed, key=itemgetter(0))]


def _body(data: Any) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()


def _changed(record: Publication, **changes: Any) -> Publication:
    assert record.value is not None, "poison is made from good records"
    data = json.loads(record.value)
    for path, value in changes.items():
        data[path] = value
    return Publication(record.topic, record.key, _body(data), record.headers)


def _with_amount(record: Publication, amount: Any, code: str | None = None) -> Publication:
    assert record.value is not None, "poison is made from good records"
    before = json.loads(record.value)["amount"]
    return _changed(record, amount={"currency": code or before["currency"], "amount": amount})


def _with_header(record: Publication, name: str, value: bytes | None) -> Publication:
    headers = [(n, value if n == name else v) for n, v in record.headers]
    return Publication(record.topic, record.key, record.value, headers)


def _with_value(record: Publication, value: bytes | None) -> Publication:
    return Publication(record.topic, record.key, value, record.headers)


def _with_id(record: Publication, event_id: str) -> Publication:
    changed = _changed(record, external_id=event_id)
    return _with_header(
        _with_header(changed, CE_ID, event_id.encode()), CORRELATION_ID, event_id.encode()
    )


def _without(record: Publication, path: str) -> Publication:
    assert record.value is not None, "poison is made from good records"
    data = json.loads(record.value)
    del data[path]
    return _with_value(record, _body(data))


_POISON: Mapping[str, Any] = {
    "not_json": lambda r: _with_value(r, b'{"amount": '),
    "tombstone": lambda r: _with_value(r, None),
    "header_null": lambda r: _with_header(r, CE_ID, None),
    "header_not_utf8": lambda r: _with_header(r, "ce_source", b"\xff\xfe\xfd"),
    "wrong_type": lambda r: _with_amount(r, True),  # noqa: FBT003 - the wrong type is the point
    "not_finite": lambda r: _with_amount(r, float("nan")),
    "too_many_decimals": lambda r: _with_amount(r, "1.5", "JPY"),
    "unknown_currency": lambda r: _with_amount(r, "1.00", "XXX"),
    "missing_field": lambda r: _without(r, "why"),
    "id_conflict": None,
    "amount_format": lambda r: _with_amount(r, "-1.00", "USD"),
    "amount_not_positive": lambda r: _with_amount(r, "0.00", "USD"),
    "unsupported_version": lambda r: _with_header(r, "ce_type", b"funding.inbound.received.v9"),
    "time_not_utc": lambda r: _changed(r, occurred_at="2026-01-31T08:00:00"),
    "too_deep": lambda r: _with_value(r, b"[" * 5000),
}


def _header(record: Publication, name: str) -> str:
    value = dict(record.headers)[name]
    assert value is not None, f"good records have {name}"
    return value.decode()


def _minor(amount: Mapping[str, str]) -> int:
    exponent = currency(amount["currency"]).exponent
    return int(Decimal(amount["amount"]).scaleb(exponent))
