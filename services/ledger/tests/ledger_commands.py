"""Domain commands: one-line builders, and strategies over few accounts and ids, so that they collide."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from tally_ledger.domain import (
    Account,
    Books,
    Capture,
    ChangeAccount,
    Context,
    Expire,
    Leg,
    Malformed,
    Place,
    PostLegs,
    Release,
    Request,
    Reversal,
    Reverse,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SOON = NOW + timedelta(minutes=10)
CONTEXT = Context("funding", "acme", "cards", "DE", "creators", "order-17", "Sale of order 17")


def wallet(name: str, currency: str = "EUR", **flags: Any) -> Account:
    return Account(name, currency, f"owner-{name}", "wallet", f"wallet/{name}", True, **flags)


def clearing(name: str, currency: str = "EUR", **flags: Any) -> Account:
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


def back(name: str, target: str, amount: int, currency: str = "EUR") -> Reversal:
    return Reversal(name, target, currency, amount, "chargeback")


def reverse(name: str, target: str, *legs: Reversal, effective_at: datetime = NOW) -> Reverse:
    content = hashed("reverse", name, target, legs, effective_at)
    return Reverse(name, f"ref-{target}", target, legs, effective_at, CONTEXT, content)


def change(operation: str, name: str, account: str, direction: str = "both") -> ChangeAccount:
    """A freeze or unfreeze (in, out, both) or a closing."""
    content = hashed(operation, name, account, direction)
    flags: list[bool | None] = [None, None, True]
    if operation != "close":
        freezes = operation == "freeze"
        flags = [
            freezes if direction != "out" else None,
            freezes if direction != "in" else None,
            None,
        ]
    return ChangeAccount(operation, name, account, *flags, CONTEXT, content)


def malformed(name: str, code: str = "too_many_decimals") -> Malformed:
    content = hashed("malformed", name, code)
    return Malformed(
        "journal", name, f"ref-{name}", code, "legs.0.amount: …", NOW, CONTEXT, content
    )


ACCOUNTS = (
    clearing("cards"),
    clearing("cards-usd", "USD"),
    wallet("ann"),
    wallet("bob"),
    wallet("ann-usd", "USD"),
    wallet("pocket", max_balance=60),
    clearing("loan", no_credit_overdraft=True),
    clearing("fees", aggregated=True),
)
IMPOSTOR = clearing("ann")
NAMES = [*(account.id for account in ACCOUNTS), "nobody"]

OPENING = post(
    "opening",
    leg("opening-ann", "cards", "ann", 100),
    leg("opening-bob", "cards", "bob", 50),
    opens=ACCOUNTS,
)

_amounts = st.integers(-1, 60)
_accounts = st.sampled_from(NAMES)
_mostly_euro = st.sampled_from(
    ["cards", "ann", "ann", "bob", "ann-usd", "pocket", "loan", "fees", "fees"]
)
_currencies = st.sampled_from(["EUR", "EUR", "EUR", "EUR", "USD"])
_opens = st.lists(st.sampled_from([*ACCOUNTS, *ACCOUNTS, IMPOSTOR]), max_size=2).map(tuple)
_hold_ids = st.integers(0, 1).map(lambda n: f"h{n}")
_transfer_ids = st.integers(0, 40).map(lambda n: f"t{n}")

legs = st.builds(leg, _transfer_ids, _accounts, _accounts, _amounts, _currencies)
funding = st.builds(
    lambda name, to, amount: post(f"j{name}", leg(f"f{name}", "cards", to, amount), opens=ACCOUNTS),
    st.integers(0, 1000),
    st.sampled_from(["ann", "bob", "pocket", "fees", "loan"]),
    _amounts,
)
spending = st.builds(
    lambda name, debit, credit, amount: post(f"j{name}", leg(f"s{name}", debit, credit, amount)),
    st.integers(0, 1000),
    st.sampled_from(["ann", "bob", "fees", "loan", "pocket"]),
    st.sampled_from(["bob", "ann", "cards", "fees", "pocket", "loan"]),
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
_numbers = st.integers(0, 12)
_posted = st.sampled_from(["opening", *(f"q{n}" for n in range(13)), "t0", "t1", "t2", "t3", "h0"])
quick = st.builds(
    lambda name, debit, credit, amount: post(
        f"q{name}", leg(f"q{name}-leg", debit, credit, amount), opens=ACCOUNTS
    ),
    _numbers,
    _mostly_euro,
    _mostly_euro,
    _amounts,
)
reversals = st.builds(
    lambda name, target, amounts, other: reverse(
        f"r{name}",
        target,
        *(
            back(f"r{name}-{n}-leg", other or _first_leg(target), amount)
            for n, amount in enumerate(amounts)
        ),
    ),
    st.integers(0, 20),
    _posted,
    st.lists(st.integers(0, 40) | st.integers(50, 120), min_size=1, max_size=2),
    st.sampled_from([None, None, None, "opening-bob", "q1-leg"]),
)
changes = st.builds(
    change,
    st.sampled_from(["freeze", "unfreeze", "unfreeze", "close"]),
    st.integers(0, 40).map(lambda n: f"c{n}"),
    st.sampled_from(["bob", "fees", "pocket", "loan", "nobody"]),
    st.sampled_from(["in", "out", "both"]),
)
odd = st.builds(malformed, st.integers(0, 30).map(lambda n: f"j{n}"))


def _first_leg(journal: str) -> str:
    if journal == "opening":
        return "opening-ann"
    return f"{journal}-leg" if journal.startswith("q") else journal


commands: st.SearchStrategy[Request] = st.one_of(
    funding, spending, quick, quick, journals, holds, holds, captures, captures, releases, expiries,
    reversals, reversals, changes, odd,
)  # fmt: skip
