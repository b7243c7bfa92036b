"""Rules that debit a wallet: the owner signs, each nonce once; the charge follows the pay-in."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tally_contracts.base import Who
from tally_contracts.funding import PayInAllocated
from tally_contracts.funding_rules import (
    ChargeRefused,
    ChargeTaken,
    OwnerKeyChanged,
    PublishRule,
    RegisterOwnerKey,
    RulePublished,
    RuleRefused,
    RuleSignature,
)
from tally_contracts.funding_sources import ReturnPayIn
from tally_contracts.ledger import (
    JournalPosted,
    JournalRejected,
    JournalReversed,
    PostJournal,
    ReverseJournal,
)
from tally_funding.rules.consents import consent_text
from tally_funding.rules.lint import read_document
from tally_postgres import Schema
from tally_testkit import ServiceDatabase

from .rules_bench import (
    COMPANY,
    OTHER_TENANT,
    OWNER,
    PAYEE,
    START,
    TENANT,
    Desk,
    document,
    fee,
    open_desk,
    party,
    rule_id,
    sample,
)

OPERATOR = Who(actor="user:root", principal="operator")
MATCHING: dict[str, Any] = {
    "role": "matching-gift",
    "from": COMPANY,
    "to": {"role": "beneficiary"},
    "percent": "10",
    "cap": {"USD": "50.00"},
}


@dataclass(frozen=True)
class Signer:
    """An owner with a key, made from a seed."""

    owner: str
    key: Ed25519PrivateKey

    @classmethod
    def of(cls, owner: str, seed: int = 1) -> "Signer":
        return cls(owner, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))

    @property
    def public_key(self) -> str:
        return b64encode(self.key.public_key().public_bytes_raw()).decode()

    def sign(self, given: dict[str, Any], nonce: str = "n-1", **changes: Any) -> RuleSignature:
        digest = read_document(json.dumps(given).encode(), scope=TENANT).digest
        fields: dict[str, Any] = {"owner": self.owner, "nonce": nonce}
        fields["expires_at"] = START + timedelta(hours=2)
        blank = RuleSignature(**{**fields, **changes}, signature="A" * 86 + "==")
        signature = b64encode(self.key.sign(consent_text(blank, digest).encode())).decode()
        return blank.model_copy(update={"signature": signature})

    def register(self, who: Who = OPERATOR, tenant: str = TENANT) -> RegisterOwnerKey:
        return RegisterOwnerKey(
            owner=self.owner, tenant=tenant, public_key=self.public_key, who=who
        )


SIGNER = Signer.of(COMPANY)
CHARGING = document(fee(), match={"currencies": ["USD"]}, charges=[MATCHING])


@pytest.fixture
async def desk(
    fresh_database: Callable[[Schema], ServiceDatabase], bench_of: Callable[..., Any]
) -> AsyncIterator[Desk]:
    async with open_desk(fresh_database, bench_of) as desk:
        (fact,) = await desk.send(SIGNER.register())
        assert fact.state == "registered"
        yield desk


@pytest.fixture
def money(announce: Any) -> dict[str, Any]:
    return dict(
        announce(company=COMPANY, beneficiary={"party": PAYEE}, occurred_at="2026-09-21T08:00:00Z")
    )


async def test_f22_a_rule_that_debits_a_wallet_needs_its_owners_signature(desk: Desk) -> None:
    assert (await desk.publish(CHARGING)).code == "signature_missing"
    fact = await desk.publish(CHARGING, signatures=(SIGNER.sign(CHARGING),))
    assert isinstance(fact, RulePublished)
    again = await desk.publish(CHARGING, signatures=(SIGNER.sign(CHARGING),))
    assert again == fact, "a repeated command is answered as before: its nonce has not served twice"


@pytest.mark.parametrize(
    ("signature", "code", "field"),
    [
        (SIGNER.sign(CHARGING, expires_at=START), "signature_expired", "/signatures/0/expires_at"),
        (SIGNER.sign(document(fee("9"))), "signature_wrong", "/signatures/0/signature"),
        (Signer.of(COMPANY, 2).sign(CHARGING), "signature_wrong", "/signatures/0/signature"),
        (Signer.of(PAYEE).sign(CHARGING), "signature_not_asked", "/signatures/0/owner"),
        (
            SIGNER.sign(CHARGING).model_copy(update={"nonce": "n-2"}),
            "signature_wrong",
            "/signatures/0/signature",
        ),
    ],
)
async def test_a_signature_that_is_no_good_is_refused(
    desk: Desk, signature: RuleSignature, code: str, field: str
) -> None:
    refused = await desk.publish(CHARGING, signatures=(signature,))
    assert isinstance(refused, RuleRefused)
    assert (refused.code, refused.field) == (code, field)
    assert refused.remedy


async def test_a_nonce_replayed_for_another_version_is_refused(desk: Desk) -> None:
    await desk.publish(CHARGING, signatures=(SIGNER.sign(CHARGING),))
    desk.bench.clock.advance(timedelta(minutes=1))
    second = CHARGING | {"version": 2}
    refused = await desk.publish(second, signatures=(SIGNER.sign(second),))
    assert (refused.code, refused.field) == ("nonce_used", "/signatures/0/nonce")
    fact = await desk.publish(second, signatures=(SIGNER.sign(second, "n-2"),))
    assert isinstance(fact, RulePublished)


async def test_a_later_key_replaces_the_earlier_one(desk: Desk) -> None:
    later = Signer.of(COMPANY, 2)
    (fact,) = await desk.send(later.register())
    assert isinstance(fact, OwnerKeyChanged)
    refused = await desk.publish(CHARGING, signatures=(SIGNER.sign(CHARGING),))
    assert refused.code == "signature_wrong"
    assert isinstance(
        await desk.publish(CHARGING, signatures=(later.sign(CHARGING),)), RulePublished
    )
    (back,) = await desk.send(SIGNER.register())
    assert (back.code, back.field) == ("key_replaced", "/public_key")


async def test_without_the_operator_a_key_takes_two_people_of_the_owner(desk: Desk) -> None:
    signer = Signer.of(PAYEE, 3)
    asked = [
        signer.register(Who(actor=actor, principal=PAYEE)) for actor in ("ann", "ann", "bob", "ann")
    ]
    states = [fact.state for fact in await desk.send(*asked)]
    assert states == ["proposed", "proposed", "registered", "registered"]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (Signer.of(party(40)).register(), "unknown_owner"),
        (Signer.of(PAYEE).register(tenant=OTHER_TENANT), "unknown_owner"),
        (Signer.of(PAYEE).register(Who(actor="a", principal=COMPANY)), "not_your_key"),
        (Signer.of(PAYEE).register(Who(actor="a", principal=TENANT)), "not_your_key"),
    ],
)
async def test_f07_a_key_of_another_is_refused(
    desk: Desk, command: RegisterOwnerKey, code: str
) -> None:
    (refused,) = await desk.send(command)
    assert refused.code == code


@pytest.mark.parametrize(
    ("charge", "fault"),
    [
        (MATCHING | {"percent": "101"}, ("/charges/0/percent", "bad_percent")),
        (MATCHING | {"fixed": {"USD": "1.00"}}, ("/charges/0", "share_ambiguous")),
        (MATCHING | {"to": {"party": COMPANY}}, ("/charges/0/to/party", "pays_itself")),
        (MATCHING | {"weight": 1}, ("/charges/0/weight", "unknown_field")),
        (MATCHING | {"cap": {"USD": "0.001"}}, ("/charges/0/cap/USD", "too_many_decimals")),
    ],
)
async def test_a_charge_with_a_fault_is_refused(
    desk: Desk, charge: dict[str, Any], fault: tuple[str, str]
) -> None:
    refused = await desk.publish(CHARGING | {"charges": [charge]})
    assert fault in {(one.pointer, one.code) for one in refused.faults}


async def allocated(desk: Desk, money: dict[str, Any]) -> Any:
    """The fact that the ledger holds the money."""
    (journal,) = await desk.book(money)
    await desk.bench.process(desk.bench.posted(journal))
    (fact,) = await desk.bench.told()
    assert isinstance(fact, PayInAllocated)
    return fact


async def feed(desk: Desk, topic: str, *facts: Any) -> list[Any]:
    records = [
        replace(desk.bench.record(fact.TYPE, fact, topic=topic), key=_key(fact)) for fact in facts
    ]
    await desk.processors["funding.rules"].process(records)
    return list(await desk.bench.told())


def _key(fact: Any) -> bytes:
    return str(getattr(fact, "reference", "any")).encode()


def answer(model: Any, journal: PostJournal | ReverseJournal, **more: Any) -> Any:
    shared = ("who", "where", "why", "occurred_at", "journal_id", "ledger", "reference")
    return model(**{name: getattr(journal, name) for name in shared}, **more)


async def test_f13_a_charge_is_asked_once_the_pay_in_is_allocated_and_once_only(
    desk: Desk, money: dict[str, Any]
) -> None:
    await desk.publish(CHARGING, signatures=(SIGNER.sign(CHARGING),))
    fact = await allocated(desk, money)
    assert sum(share.amount.money().minor for share in fact.allocations) == 10_000
    (journal,) = await feed(desk, "funding.pay_in.v1", fact, fact)
    assert isinstance(journal, PostJournal)
    assert [(leg.amount.amount, leg.code) for leg in journal.legs] == [("10.00", "charge")]
    assert [account.owner for account in journal.open_accounts] == [COMPANY, PAYEE]
    assert await feed(desk, "funding.pay_in.v1", fact) == []
    yes = answer(
        JournalPosted, journal, log_seq=1, legs=journal.legs, effective_at=journal.effective_at
    )
    (taken,) = await feed(desk, "ledger.journals.v1", yes, yes)
    assert isinstance(taken, ChargeTaken)
    assert (taken.payer, taken.owner, taken.amount.amount) == (COMPANY, PAYEE, "10.00")
    assert taken.pay_in_id == fact.pay_in_id


async def test_what_the_payer_does_not_have_is_not_taken_and_the_pay_in_stands(
    desk: Desk, money: dict[str, Any]
) -> None:
    await desk.publish(CHARGING, signatures=(SIGNER.sign(CHARGING),))
    (journal,) = await feed(desk, "funding.pay_in.v1", await allocated(desk, money))
    no = answer(JournalRejected, journal, code="insufficient_funds", detail="holds 0.00 USD")
    (refused,) = await feed(desk, "ledger.journals.v1", no)
    assert isinstance(refused, ChargeRefused)
    assert (refused.code, bool(refused.remedy)) == ("insufficient_funds", True)
    assert await desk.bench.states() == {"m-1": "allocated"}
    assert await feed(desk, "ledger.journals.v1", no) == []


async def test_a_charge_nobody_can_be_paid_by_is_refused_with_the_reason(
    desk: Desk, money: dict[str, Any]
) -> None:
    given = CHARGING | {"charges": [MATCHING | {"to": {"relation": "agent"}}]}
    await desk.publish(given, signatures=(SIGNER.sign(given),))
    (refused,) = await feed(desk, "funding.pay_in.v1", await allocated(desk, money))
    assert isinstance(refused, ChargeRefused)
    assert refused.code == "relation_unclear"


async def test_f22_a_dry_run_shows_charges_apart_from_the_lines_that_sum_to_the_pay_in(
    desk: Desk,
) -> None:
    run = await desk.dry_run(document=json.dumps(CHARGING), samples=(sample(),))
    lines = run.results[0].lines
    assert [(line.payer, line.amount.amount) for line in lines] == [
        (None, "10.00"),
        (None, "90.00"),
        (COMPANY, "10.00"),
    ]


def test_the_consent_is_the_text_that_the_contract_says() -> None:
    text = consent_text(SIGNER.sign(CHARGING), "ab" * 32)
    assert text.split("\n") == [
        "tally-rule-consent:1",
        "ab" * 32,
        COMPANY,
        "n-1",
        "2026-09-21T10:00:00Z",
    ]


async def test_publishing_under_another_id_does_not_reuse_a_consent(desk: Desk) -> None:
    signature = SIGNER.sign(CHARGING)
    await desk.publish(CHARGING, signatures=(signature,))
    other = CHARGING | {"rule": "other", "priority": 7}
    command = PublishRule(
        rule_id=rule_id(2),
        tenant=TENANT,
        document=json.dumps(other),
        signatures=(SIGNER.sign(other),),
        who=OWNER,
    )
    (refused,) = await desk.send(command)
    assert refused.code == "nonce_used"


RETURNING: dict[str, Any] = CHARGING | {"charges": [MATCHING | {"on_refund": "return"}]}


async def take_back(desk: Desk, pay_in_id: str, number: int, amount: str) -> list[Any]:
    """Return so much of the pay-in; what that leads to once the ledger has moved every share."""
    command = ReturnPayIn(
        who=Who(actor="user:ann", principal=COMPANY),
        where={"channel": "api"},
        why={"program": "p", "event": "invoice:7", "reason": "Goods came back"},
        occurred_at=START,
        return_id=f"ret_{number:026}",
        pay_in_id=pay_in_id,
        kind="refund",
        amount={"currency": "USD", "amount": amount},
    )
    sources = desk.processors["funding.sources"]
    record = desk.bench.record(ReturnPayIn.TYPE, command, topic="funding.sources.commands.v1")
    await sources.process([record])
    asked = [e for e in await desk.bench.told() if isinstance(e, ReverseJournal)]
    moved = [
        answer(
            JournalReversed,
            journal,
            reverses=journal.reverses,
            log_seq=1,
            legs=(),
            effective_at=journal.effective_at,
        )
        for journal in asked
    ]
    records = [desk.bench.record(one.TYPE, one, topic="ledger.journals.v1") for one in moved]
    await sources.process(
        [replace(raw, key=_key(one)) for raw, one in zip(records, moved, strict=True)]
    )
    return [event for event in await desk.bench.told() if isinstance(event, PostJournal)]


def posted(journal: PostJournal) -> Any:
    legs, at = journal.legs, journal.effective_at
    return answer(JournalPosted, journal, log_seq=1, legs=legs, effective_at=at)


async def test_f15_a_charge_goes_back_with_its_pay_in_in_parts_that_come_to_it(
    desk: Desk, money: dict[str, Any]
) -> None:
    await desk.publish(RETURNING, signatures=(SIGNER.sign(RETURNING),))
    fact = await allocated(desk, money)
    (journal,) = await feed(desk, "funding.pay_in.v1", fact)
    (taken,) = await feed(desk, "ledger.journals.v1", posted(journal))
    assert (taken.amount.amount, taken.returns) == ("10.00", None)
    back = []
    for number, amount in enumerate(("33.33", "0.10", "66.57"), start=1):
        (journal,) = await take_back(desk, fact.pay_in_id, number, amount)
        assert [account.owner for account in journal.open_accounts] == [PAYEE, COMPANY]
        (returned,) = await feed(desk, "ledger.journals.v1", posted(journal))
        assert isinstance(returned, ChargeTaken)
        assert returned.returns == taken.charge_id
        back.append(returned.amount.amount)
    assert back == ["3.33", "0.01", "6.66"]


async def test_f15_a_charge_taken_after_its_pay_in_went_back_goes_back_too(
    desk: Desk, money: dict[str, Any]
) -> None:
    await desk.publish(RETURNING, signatures=(SIGNER.sign(RETURNING),))
    fact = await allocated(desk, money)
    (journal,) = await feed(desk, "funding.pay_in.v1", fact)
    assert await take_back(desk, fact.pay_in_id, 1, "100.00") == []
    taken, back = await feed(desk, "ledger.journals.v1", posted(journal))
    assert isinstance(taken, ChargeTaken)
    assert [leg.amount.amount for leg in back.legs] == ["10.00"]
    no = answer(JournalRejected, back, code="insufficient_funds", detail="holds 0.00 USD")
    (refused,) = await feed(desk, "ledger.journals.v1", no)
    assert isinstance(refused, ChargeRefused)
    assert (refused.payer, refused.returns) == (PAYEE, taken.charge_id)


async def test_f15_a_charge_is_kept_where_the_rule_does_not_say_otherwise(
    desk: Desk, money: dict[str, Any]
) -> None:
    await desk.publish(CHARGING, signatures=(SIGNER.sign(CHARGING),))
    fact = await allocated(desk, money)
    (journal,) = await feed(desk, "funding.pay_in.v1", fact)
    await feed(desk, "ledger.journals.v1", posted(journal))
    assert await take_back(desk, fact.pay_in_id, 1, "100.00") == []


async def test_a_charge_is_answered_beside_a_return_of_its_pay_in_and_neither_waits_for_ever(
    desk: Desk, money: dict[str, Any]
) -> None:
    """Both lock all charges of the pay-in by id: who waits for the first holds none of the others."""
    twice = RETURNING | {"charges": [one | {"on_refund": "return"} for one in (MATCHING, MATCHING)]}
    await desk.publish(twice, signatures=(SIGNER.sign(twice),))
    fact = await allocated(desk, money)
    journals = await feed(desk, "funding.pay_in.v1", fact)
    first, last = sorted(journals, key=lambda journal: str(journal.reference))
    lock = "SELECT FROM rule_charge WHERE charge_id = $1 FOR UPDATE"
    async with desk.bench.pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT set_config('tally.tenant', '*', true)")
        await conn.execute(lock, first.reference)
        answering = asyncio.create_task(feed(desk, "ledger.journals.v1", posted(last)))
        await waiting_for_a_lock(desk)
        await conn.execute(f"{lock} NOWAIT", last.reference)
    (taken,) = await answering
    assert taken.charge_id == last.reference


async def waiting_for_a_lock(desk: Desk) -> None:
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND query LIKE '%rule_charge%' AND datname = current_database()"
    )
    while await desk.bench.pool.fetchval(query) != 1:  # noqa: ASYNC110 - another session has no event
        await asyncio.sleep(0.01)
