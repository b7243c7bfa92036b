"""Domain commands: one-line builders, and strategies over few accounts and ids, so that they collide."""

import hashlib
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from tally_ledger.domain import (
    Account,
    Books,
    Capture,
    Context,
    Expire,
    Leg,
    Movement,
    Place,
    PostLegs,
    Release,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SOON = NOW + timedelta(minutes=10)
CONTEXT = Context("funding", "acme", "cards", "DE", "creators", "order-17", "Sale of order 17")


def wallet(name: str, currency: str = "EUR", **flags: bool) -> Account:
    return Account(name, currency, f"owner-{name}", "wallet", f"wallet/{name}", True, **flags)


def clearing(name: str, currency: str = "EUR", **flags: bool) -> Account:
    return Account(name, currency, "ops", "clearing", f"clearing/{name}", False, **flags)


def books(*accounts: Account) -> Books:
    """Books in which these accounts are open and empty."""
    return Books("main", accounts={account.id: account for account in accounts})


def hashed(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()


def leg(name: str, debit: str, credit: str, amount: int, currency: str = "EUR") -> Leg:
    return Leg(name, debit, credit, currency, amount, "allocation")


def post(name: str, *legs: Leg, opens: tuple[Account, ...] = ()) -> PostLegs:
    return PostLegs(
        name, f"ref-{name}", opens, legs, NOW, CONTEXT, hashed("journal", name, opens, legs)
    )


def place(
    name: str,
    debit: str,
    credit: str,
    amount: int,
    *,
    expires_at: datetime | None = None,
    opens: tuple[Account, ...] = (),
) -> Place:
    asked = leg(name, debit, credit, amount)
    content = hashed("place", asked, expires_at, opens)
    return Place(name, f"ref-{name}", opens, asked, expires_at, NOW, CONTEXT, content)


def capture(name: str, hold: str, amount: int, currency: str = "EUR") -> Capture:
    content = hashed("capture", name, hold, amount, currency)
    return Capture(name, f"ref-{hold}", hold, currency, amount, "payout", NOW, CONTEXT, content)


def release(name: str, hold: str) -> Release:
    content = hashed("release", name, hold)
    return Release(name, f"ref-{hold}", hold, "payout", NOW, CONTEXT, content)


def expire(name: str, hold: str) -> Expire:
    content = hashed("expire", name, hold)
    return Expire(name, f"ref-{hold}", hold, "payout", NOW, CONTEXT, content)


ACCOUNTS = (
    clearing("cards"),
    clearing("cards-usd", "USD"),
    wallet("ann"),
    wallet("bob"),
    wallet("ann-usd", "USD"),
)
IMPOSTOR = clearing("ann")
NAMES = [*(account.id for account in ACCOUNTS), "nobody"]

OPENING = post(
    "opening",
    leg("opening-ann", "cards", "ann", 100),
    leg("opening-bob", "cards", "bob", 50),
    opens=ACCOUNTS,
)

_amounts = st.integers(1, 60)
_accounts = st.sampled_from(NAMES)
_mostly_euro = st.sampled_from(["cards", "ann", "ann", "bob", "ann-usd"])
_currencies = st.sampled_from(["EUR", "EUR", "EUR", "EUR", "USD"])
_opens = st.lists(st.sampled_from([*ACCOUNTS, *ACCOUNTS, IMPOSTOR]), max_size=2).map(tuple)
_hold_ids = st.integers(0, 1).map(lambda n: f"h{n}")
_transfer_ids = st.integers(0, 40).map(lambda n: f"t{n}")

legs = st.builds(leg, _transfer_ids, _accounts, _accounts, _amounts, _currencies)
funding = st.builds(
    lambda name, to, amount: post(f"j{name}", leg(f"f{name}", "cards", to, amount), opens=ACCOUNTS),
    st.integers(0, 1000),
    st.sampled_from(["ann", "bob"]),
    _amounts,
)
spending = st.builds(
    lambda name, debit, credit, amount: post(f"j{name}", leg(f"s{name}", debit, credit, amount)),
    st.integers(0, 1000),
    st.sampled_from(["ann", "bob"]),
    st.sampled_from(["bob", "ann", "cards"]),
    st.integers(20, 90),
)
journals = st.builds(
    lambda name, opens, some: post(f"j{name}", *some, opens=opens),
    st.integers(0, 30),
    _opens,
    st.lists(legs, min_size=1, max_size=4),
)
holds = st.builds(
    lambda name, debit, credit, amount, expires_at, opens: place(
        name, debit, credit, amount, expires_at=expires_at, opens=opens
    ),
    _hold_ids | _hold_ids | _transfer_ids,
    _mostly_euro,
    _mostly_euro,
    st.integers(1, 25),
    st.sampled_from([None, None, NOW, SOON, SOON]),
    st.just(()) | _opens,
)
captures = st.builds(capture, _transfer_ids, _hold_ids, st.integers(1, 40), _currencies)
releases = st.builds(release, _transfer_ids, _hold_ids)
expiries = st.builds(expire, _transfer_ids, _hold_ids)
commands: st.SearchStrategy[Movement] = st.one_of(
    funding, spending, journals, holds, holds, captures, captures, releases, expiries
)
