"""Money that nobody claims, as tests of it bring it about: asked for, filed, reclaimed, signed for."""

import hashlib
from datetime import timedelta
from typing import Any

from tally_contracts.base import Amount, Event, PositiveAmount, Who, Why
from tally_contracts.directory_facts import WalletOpened
from tally_contracts.funding import Beneficiary, FundingReceived, Originator
from tally_contracts.funding_claims import (
    ClaimIssued,
    ClaimRefused,
    DormancyChanged,
    IssueClaim,
    RedeemClaim,
)
from tally_contracts.funding_unclaimed import (
    ConfirmOwner,
    DecideFiling,
    DecideReclaim,
    ProposeFiling,
    ProposeReclaim,
)
from tally_contracts.ledger import (
    PostJournal,
)
from tally_contracts.payouts import PayoutChanged
from tally_funding.claims import postings
from tally_funding.claims.worker import ClaimsWorker
from tally_money import Money
from tally_runtime import derived_id
from tally_security.sealing import Keyring, Place, SealingKey, unseal

from .agreement_bench import BOOKS, START, WHERE, Platform, party, who

COMMANDS, CLAIM_COMMANDS = "funding.unclaimed.commands.v1", "funding.agreements.commands.v1"
EVENT = "event:expo-2026"
WHY = Why(program="supplier-payments", event="expo-2026", reason="Stand 12 of the expo")
FILING = derived_id("fil", "one")
RECLAIM = derived_id("rcl", "one")
KEYS = Keyring(SealingKey.parse("c2FtcGxlLWNsYWltLWNvZGVzLWtleS1kZXYtb25seSE="))
YEARS_3 = START.replace(year=2029) - START
NOTICE = timedelta(days=90)


def person(name: str) -> Who:
    """A person acts for the root of the tree, which holds the money."""
    return Who(actor=derived_id("person", name), principal=party("root"))


ASKS, DECIDES = person("asks"), person("decides")


async def pay_in(
    platform: Platform,
    number: int,
    to: Beneficiary | None = None,
    code: str = "USD",
    *,
    company: str = "co",
) -> None:
    event = FundingReceived(
        who=who(company),
        where=WHERE,
        why=WHY,
        occurred_at=START,
        external_id=f"m-{number}",
        amount=PositiveAmount(currency=code, amount="100.00"),
        originator=Originator(reference="debtor-1", country="US"),
        company=party(company),
        beneficiary=to or Beneficiary(event_reference="expo-2026"),
        value_date=START.date(),
    )
    await platform.send(event, topic="funding.inbound.cards.v1")


async def to_anna(platform: Platform, number: int) -> None:
    await pay_in(platform, number, Beneficiary(party=party("anna")))


def of(told: list[Any], kind: type[Any]) -> list[Any]:
    return [event for event in told if isinstance(event, kind)]


def states(told: list[Any], owner: str = EVENT) -> list[str]:
    return [event.state for event in of(told, DormancyChanged) if event.owner == owner]


async def work(platform: Platform, **later: Any) -> list[Any]:
    """Let time pass, and the worker see it until nothing is due."""
    platform.clock.advance(timedelta(**later))
    told = []
    for _ in range(3):
        await ClaimsWorker(BOOKS).turn(platform.funding.transactor)
        told += await platform.settle()
    return told


async def until_reportable(platform: Platform) -> list[Any]:
    told = await work(platform, days=YEARS_3.days)
    return told + await work(platform, days=NOTICE.days)


async def send(platform: Platform, *commands: Event, topic: str = COMMANDS) -> list[Any]:
    told = []
    for command in commands:
        told += await platform.send(command, topic=topic)
    return told


def proposal(**changes: Any) -> ProposeFiling:
    fields: dict[str, Any] = {
        "filing_id": FILING,
        "holder": party("root"),
        "jurisdiction": "us",
        "who": ASKS,
        "where": WHERE,
        "why": Why(program="unclaimed", event="report-2029", reason="Yearly report"),
        "occurred_at": START,
        **changes,
    }
    return ProposeFiling(**fields)


def decision(*, approve: bool = True, name: str = "", **changes: Any) -> DecideFiling:
    fields: dict[str, Any] = {
        "command_id": derived_id("cmd", "decide", name),
        "filing_id": FILING,
        "approve": approve,
        "note": "Checked against the books",
        "who": DECIDES,
        "occurred_at": START,
        **changes,
    }
    return DecideFiling(**fields)


def reclaim(account: str, **changes: Any) -> ProposeReclaim:
    fields: dict[str, Any] = {
        "reclaim_id": RECLAIM,
        "filing_id": FILING,
        "account": account,
        "claimant": party("anna"),
        "who": ASKS,
        "where": WHERE,
        "why": Why(program="unclaimed", event="reclaim-1", reason="The owner was found"),
        "occurred_at": START,
        **changes,
    }
    return ProposeReclaim(**fields)


def reclaim_decision(*, approve: bool = True, name: str = "", **changes: Any) -> DecideReclaim:
    fields: dict[str, Any] = {
        "command_id": derived_id("cmd", "reclaim", name),
        "reclaim_id": RECLAIM,
        "approve": approve,
        "note": "Identity checked",
        "who": DECIDES,
        "occurred_at": START,
        **changes,
    }
    return DecideReclaim(**fields)


def confirm(owner: str, by: str) -> ConfirmOwner:
    return ConfirmOwner(
        command_id=derived_id("cmd", "confirm", owner, by),
        owner=owner,
        sign="answer",
        who=who(by),
        occurred_at=START,
    )


async def claim(platform: Platform, by: str) -> list[Any]:
    """A code is made and redeemed."""
    common: dict[str, Any] = {"why": WHY, "occurred_at": START}
    issue = IssueClaim(
        claim_id=derived_id("clm", by),
        owner=EVENT,
        tenant=party("root"),
        expires_at=platform.clock.now() + timedelta(days=30),
        who=who("co"),
        **common,
    )
    (fact,) = of(await send(platform, issue, topic=CLAIM_COMMANDS), ClaimIssued)
    code = unseal(fact.sealed_code, KEYS, Place(fact.tenant, "claim", "code", fact.claim_id))
    redeem = RedeemClaim(
        command_id=derived_id("cmd", "redeem", by),
        claim_id=fact.claim_id,
        code_hash=hashlib.sha256(code.encode()).hexdigest(),
        who=who(by),
        **common,
    )
    return await send(platform, redeem, topic=CLAIM_COMMANDS)


async def held(platform: Platform, owner: str, code: str = "USD") -> int:
    return await platform.balance(BOOKS.wallet(owner, code))


async def owed(platform: Platform, code: str = "USD") -> int:
    account = postings.escheat(BOOKS, holder=party("root"), jurisdiction="us", code=code)
    return await platform.balance(account)


async def followed(platform: Platform, owner: str) -> int:
    """What funding thinks the owner's wallet holds, in minor units."""
    account = BOOKS.wallet(owner, "USD").id
    rows = await platform.rows(f"SELECT balance FROM claimable_wallet WHERE account = '{account}'")
    return int(rows[0][0])


async def dormancy(platform: Platform, owner: str) -> str:
    account = BOOKS.wallet(owner, "USD").id
    rows = await platform.rows(f"SELECT dormancy FROM claimable_wallet WHERE account = '{account}'")
    return str(rows[0][0])


def refused(told: list[Any]) -> ClaimRefused:
    first = told[0]
    assert isinstance(first, ClaimRefused), told
    assert first.remedy
    return first


def payout(state: str, *, by: str, pay_in_id: str | None = None, sequence: int = 1) -> Event:
    return PayoutChanged(
        who=who(by),
        where=WHERE,
        why=WHY,
        occurred_at=START,
        payout_id=derived_id("po", by),
        sequence=sequence,
        state=state,
        previous=None,
        owner=party("anna"),
        company=party("co"),
        account=BOOKS.wallet(party("anna"), "USD").id,
        amount=Amount(currency="USD", amount="10.00"),
        pay_in_id=pay_in_id,
        rail=None,
        hold_id=None,
        attempt_id=None,
        reason_code=None,
        must_act=None,
    )


async def transfer(platform: Platform, *, by: str, to: Any, number: int) -> PostJournal:
    """The owner moves 5.00 out of its wallet."""
    journal = PostJournal(
        who=who(by),
        where=WHERE,
        why=WHY,
        occurred_at=platform.clock.now(),
        journal_id=derived_id("jrn", "transfer", str(number)),
        ledger="main",
        reference=derived_id("wtr", "transfer", str(number)),
        open_accounts=(to,),
        legs=(
            {
                "id": derived_id("trf", "transfer", str(number)),
                "debit": BOOKS.wallet(party(by), "USD").id,
                "credit": to.id,
                "amount": PositiveAmount.of(Money.parse("5.00", "USD")),
                "code": "transfer",
            },
        ),
        effective_at=platform.clock.now(),
    )
    await platform.command_ledger(journal)
    return journal


def wallet_opened(owner: str, account: str, **changes: Any) -> WalletOpened:
    """The directory tells of a wallet."""
    fields: dict[str, Any] = {
        "tenant": party("root"),
        "who": who("root"),
        "reason": "new",
        "occurred_at": START,
        "wallet_id": derived_id("wal", account),
        "owner": owner,
        "account": account,
        "ledger": "main",
        "currency": "USD",
        "purpose": "default",
        "reference": None,
        "company": None,
        "value_kind": "cash",
        **changes,
    }
    return WalletOpened(**fields)
