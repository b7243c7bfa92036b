"""F5: a person's debit needs a code of one use, bound to one request, and nothing moves without it."""

import asyncio
import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tally_contracts.gateway import STEP_UP_CODE, StepUpAlarmRaised, StepUpIssued
from tally_gateway.api.app import build_api
from tally_gateway.domain.step_up import ATTEMPTS_MAX, ISSUED_MAX, LIFE
from tally_gateway.intake import Intake
from tally_gateway.routes import ROUTES
from tally_gateway.server import keep_house
from tally_gateway.settings import GatewaySettings
from tally_gateway.step_up import CODE_CHARS, HEADER, TOPIC
from tally_messaging import UnitOfWork
from tally_runtime import SettingsError, derived_id, load_settings
from tally_security.sealing import Keyring, Place, SealingKey, unseal

from .gateway_bench import Bench, party, statements
from .test_gateway_commands import WHY, payout, tree
from .test_gateway_imports import answers as rows_of
from .test_gateway_imports import send

STEP_UP = "required"
KEY = "once"


@dataclass
class Person:
    """A payee with a wallet and a key, and whoever brings them their codes."""

    bench: Bench
    name: str
    api_key: str
    wallet: str
    body: dict[str, Any] = field(init=False)
    path: str = field(init=False)

    def __post_init__(self) -> None:
        self.path = f"/v1/wallets/{self.wallet}/transfers"

    async def ask(self, code: str | None = None, *, key: str = KEY, **body: Any) -> Any:
        headers = {} if code is None else {HEADER: code}
        return await self.bench.post(
            self.path, self.api_key, {**self.body, **body}, idempotency=key, **headers
        )

    async def code(self, challenge: str) -> str:
        """The header with the code, as the person gets it."""
        (issued,) = [each for each in await told(self.bench) if each.challenge_id == challenge]
        keys = self.bench.gateway.settings.directory_sealing_key.get_secret_value()
        place = Place(issued.tenant, *STEP_UP_CODE, challenge)
        return f"{challenge}:{unseal(issued.sealed_code, Keyring(SealingKey.parse(keys)), place)}"

    async def challenged(self, **more: Any) -> str:
        """The header that a first request leads to."""
        answered = await self.ask(**more)
        assert answered.json()["code"] == "step_up_required", answered.text
        return await self.code(answered.json()["challenge"])


async def told(bench: Bench) -> list[StepUpIssued]:
    return [event for _, _, event in await bench.commands_told() if type(event) is StepUpIssued]


async def commands(bench: Bench) -> int:
    return sum(topic != TOPIC for topic, _, _ in await bench.commands_told())


async def refused(answered: Any, status: int = 403) -> str:
    problem = answered.json()
    assert answered.status_code == status, answered.text
    assert problem["field"] == HEADER
    assert problem["remedy"]
    return str(problem["code"])


@pytest.fixture
async def ann(bench: Bench) -> Person:
    await tree(bench)
    person = Person(bench, "ann", await bench.key("ann"), await bench.wallet("ann"))
    own = await bench.wallet("ann", purpose="savings")
    person.body = {"to_wallet": own, "amount": payout("")["amount"], "why": WHY}
    return person


def wrong(code: str) -> str:
    return code[:-1] + ("0" if code[-1] != "0" else "1")


async def test_a_debit_is_asked_a_code_for_and_with_it_goes_through_once(ann: Person) -> None:
    bench = ann.bench
    first = await ann.ask()
    assert await refused(first) == "step_up_required"
    problem = first.json()
    assert problem["expires_at"] == "2026-09-21T08:10:00Z"
    assert await commands(bench) == 0
    ((topic, key, issued),) = await bench.commands_told()
    assert (topic, key, issued.party) == (TOPIC, party("ann"), party("ann"))
    assert "25.00 USD" in issued.asked
    assert ann.body["to_wallet"] in issued.asked
    code = await ann.code(problem["challenge"])
    assert len(code.partition(":")[2]) == CODE_CHARS
    assert code.partition(":")[2] not in first.text

    passed = await ann.ask(code)
    assert passed.status_code == 202, passed.text
    for again in (await ann.ask(code), await ann.ask(), await ann.ask(wrong(code))):
        assert (again.status_code, again.json()) == (202, passed.json())
    assert await commands(bench) == 1


async def test_the_same_request_again_is_the_same_challenge_and_sends_no_other_code(
    ann: Person,
) -> None:
    answers = await asyncio.gather(*(ann.ask() for _ in range(3)))
    answers.append(await ann.ask())
    assert len({each.json()["challenge"] for each in answers}) == 1
    assert len(await told(ann.bench)) == 1


async def test_a_code_that_comes_to_two_replicas_at_once_debits_once_with_one_answer(
    ann: Person,
) -> None:
    code, asked = await ann.challenged(), []
    batching = ann.bench.gateway.batching
    held = asyncio.Event()

    async def in_a_unit_of_its_own(uow: UnitOfWork, requests: Any) -> Any:
        asked.append(requests)
        if len(asked) == 2:
            held.set()
        await held.wait()
        return await Intake.take_in(ann.bench.gateway.intake, uow, requests)

    other = replace(batching, _queue=asyncio.Queue())
    for each in (batching, other):
        each.intake = SimpleNamespace(take_in=in_a_unit_of_its_own)  # type: ignore[assignment]
    taking_in = asyncio.create_task(other.run())
    elsewhere = build_api(replace(ann.bench.gateway, batching=other))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=elsewhere), base_url="http://other.test"
    ) as client:
        twin = Person(replace(ann.bench, client=client), "ann", ann.api_key, ann.wallet)
        twin.body = ann.body
        answers = await asyncio.gather(ann.ask(code), twin.ask(code))
    taking_in.cancel()
    assert [each.status_code for each in answers] == [202, 202], [each.text for each in answers]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    assert await commands(ann.bench) == 1


async def test_five_wrong_codes_end_a_challenge_and_raise_an_alarm(ann: Person) -> None:
    code = await ann.challenged()
    codes = [await refused(await ann.ask(wrong(code))) for _ in range(ATTEMPTS_MAX)]
    assert codes == ["step_up_wrong"] * (ATTEMPTS_MAX - 1) + ["step_up_dead"]
    assert await refused(await ann.ask(code)) == "step_up_dead"
    events = [event for _, _, event in await ann.bench.commands_told()]
    (alarm,) = [event for event in events if isinstance(event, StepUpAlarmRaised)]
    assert (alarm.party, alarm.code) == (party("ann"), "attempts_used_up")
    assert await commands(ann.bench) == 0

    fact = ann.bench.fact(TOPIC, alarm.TYPE, alarm)
    await ann.bench.learn(fact)
    for name in ("ann", "acme"):
        answered = await ann.bench.get("/v1/events", await ann.bench.key(name), types=alarm.TYPE)
        (seen,) = answered.json()["data"]
        assert seen["data"]["code"] == "attempts_used_up"
    newer = await ann.challenged()
    assert newer.partition(":")[0] != code.partition(":")[0]
    assert (await ann.ask(newer)).status_code == 202


async def test_a_code_read_out_in_small_letters_is_the_same_code(ann: Person) -> None:
    challenge, _, code = (await ann.challenged()).partition(":")
    assert (await ann.ask(f"{challenge}:{code.lower()}")).status_code == 202


async def test_a_code_holds_for_ten_minutes(ann: Person) -> None:
    code = await ann.challenged()
    ann.bench.clock.advance(LIFE)
    assert await refused(await ann.ask(code)) == "step_up_expired"
    assert await commands(ann.bench) == 0
    newer = await ann.challenged()
    ann.bench.clock.advance(LIFE - timedelta(seconds=1))
    assert (await ann.ask(newer)).status_code == 202


async def test_a_code_is_good_for_the_request_it_was_asked_for_alone(ann: Person) -> None:
    code = await ann.challenged()
    more = {"currency": "USD", "amount": "2500.00"}
    assert await refused(await ann.ask(code, amount=more)) == "step_up_other_request"
    assert await refused(await ann.ask(code, key="another")) == "step_up_other_request"
    bob = await ann.bench.register("bob", "payee", "acme")
    ann.api_key, own = await ann.bench.key("bob"), ann.api_key
    wallet = await ann.bench.wallet("bob")
    ann.path, before = f"/v1/wallets/{wallet}/transfers", ann.path
    mine = {"to_wallet": await ann.bench.wallet("bob", purpose="savings")}
    assert bob != party("ann")
    assert await refused(await ann.ask(code, **mine)) == "step_up_unknown"
    unknown = f"{derived_id('chl', 'none')}:{'A' * CODE_CHARS}"
    assert await refused(await ann.ask(unknown, **mine)) == "step_up_unknown"
    ann.api_key, ann.path = own, before
    assert await commands(ann.bench) == 0
    assert (await ann.ask(code)).status_code == 202


async def test_a_used_code_opens_nothing_after_its_key_was_forgotten(ann: Person) -> None:
    code = await ann.challenged()
    assert (await ann.ask(code)).status_code == 202
    async with ann.bench.pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT set_config('tally.tenant', '*', true)")
        await conn.execute("DELETE FROM idempotency")
    assert await refused(await ann.ask(code)) == "step_up_used"
    assert await commands(ann.bench) == 1


@pytest.mark.parametrize("given", ["", "12345678", "chl_x:ABCDEFGH", "chl_~"])
async def test_a_header_that_is_no_code_is_refused_and_counts_as_no_attempt(
    ann: Person, given: str
) -> None:
    code = await ann.challenged()
    answered = await ann.bench.client.post(
        ann.path,
        json=ann.body,
        headers={
            "Authorization": f"Bearer {ann.api_key}",
            "Idempotency-Key": KEY,
            HEADER: given,
        },
    )
    assert await refused(answered, 400) == "step_up_invalid"
    row = await ann.bench.one("SELECT attempts FROM step_up")
    assert row["attempts"] == 0
    assert (await ann.ask(code)).status_code == 202


async def test_a_person_is_sent_ten_codes_in_ten_minutes_at_most(ann: Person) -> None:
    answers = [await ann.ask(key=f"key-{n}") for n in range(ISSUED_MAX + 1)]
    assert {each.json()["code"] for each in answers[:-1]} == {"step_up_required"}
    assert await refused(answers[-1], 429) == "step_up_too_many"
    assert answers[-1].headers["retry-after"] == "600"
    assert len(await told(ann.bench)) == ISSUED_MAX
    ann.bench.clock.advance(LIFE)
    assert await refused(await ann.ask(key="later")) == "step_up_required"


async def test_neither_the_code_nor_a_hash_that_could_be_tried_is_kept(ann: Person) -> None:
    code = (await ann.challenged()).partition(":")[2]
    row = await ann.bench.one("SELECT step_up::text AS row, code_hash FROM step_up")
    assert code not in row["row"]
    outbox = await ann.bench.pool.fetchval("SELECT payload FROM outbox")
    assert code.encode() not in outbox
    another = SecretStr("c29tZS1vdGhlci1rZXktc29tZS1vdGhlci1rZXktISE=")
    keys = Keyring(SealingKey.parse(another.get_secret_value()))
    (issued,) = await told(ann.bench)
    with pytest.raises(ValueError, match="sealed with key"):
        unseal(issued.sealed_code, keys, Place(issued.tenant, *STEP_UP_CODE, issued.challenge_id))


async def test_whoever_a_person_lets_manage_and_whoever_is_no_person_needs_no_code(
    ann: Person,
) -> None:
    bench = ann.bench
    accepted = {
        "connection_id": derived_id("conn", "1"),
        "from_party": party("acme"),
        "to_party": party("ann"),
        "access": "manage",
        "state": "accepted",
        "tenant": party("agg"),
        "who": {"actor": "key_1", "principal": party("ann")},
        "reason": "They pay for me",
        "occurred_at": "2026-09-21T08:00:00Z",
    }
    await bench.learn(
        bench.fact("directory.parties.v1", "directory.connection.changed.v1", accepted)
    )
    company, own = await bench.key("acme"), await bench.wallet("acme")
    for wallet in (ann.wallet, own):
        answered = await bench.post("/v1/payouts", company, payout(wallet))
        assert answered.status_code == 202, answered.text
    assert await told(bench) == []


THINGS = {name: derived_id(prefix, "1") for name, prefix in (
    ("connection_id", "conn"),
    ("agreement_id", "agr"),
    ("receivable_id", "rcv"),
    ("program_id", "prg"),
    ("contact_id", "ctc"),
    ("verification_id", "vrf"),
)}  # fmt: skip
"""Things of ann, by the field of the path that names them."""
IN_THE_PATH = {"owner": party("ann"), "party_id": party("ann"), "kept": party("sam"), **THINGS}
CONTACTS = frozenset(
    {
        "/v1/parties/{party_id}/contacts",
        "/v1/contacts/{contact_id}/remove",
        "/v1/verifications/{verification_id}/confirm",
    }
)
"""Guarded as soon as there is somewhere to send a code to."""


def guarded_requests(wallet: str, own: str) -> dict[str, dict[str, Any]]:
    """By route: what a person has to confirm, as ann asks it."""
    amount, why = payout(wallet)["amount"], {"reason": "As agreed"}
    return {
        "/v1/payouts": payout(wallet),
        "/v1/wallets/{wallet}/transfers": {"to_wallet": own, "amount": amount, "why": WHY},
        "/v1/parties/{owner}/methods": {"currency": "USD", "rail": "wallet", "instrument": wallet},
        "/v1/parties/{owner}/signing-keys": {"public_key": "A" * 43 + "="},
        "/v1/connections/{connection_id}/accept": why,
        "/v1/agreements/{agreement_id}/fund": {"why": WHY},
        "/v1/receivables/{receivable_id}/settlements": {"amount": amount, "why": WHY},
        "/v1/programs/{program_id}/funding-order": {
            "version": 1,
            "wallets": [{"account": derived_id("acc", wallet), "currency": "USD"}],
        },
        "/v1/programs/{program_id}/payments": {
            "holder": party("ann"),
            "payee": party("sam"),
            "amount": amount,
            "rail": "ach",
            "kind": "payables",
            "why": WHY,
        },
        "/v1/parties/{kept}/merge": {"merged": party("ann"), **why},
        "/v1/parties/{party_id}/contacts": {"channel": "email", "value": "t@x.example", **why},
        "/v1/contacts/{contact_id}/remove": why,
        "/v1/verifications/{verification_id}/confirm": {"code": "493021", **why},
    }


_PLACES = "says where things are and who they are: nobody can spend by it"
_SHOWS = "shows, and moves nothing"
_AGREED = "between the sides that were named when the money was given, by a code"
_COMPANYS = "the program's: what is paid is proposed with a code, out of wallets named with one"
_SECOND = "another person's word on what one has proposed"
_IN = "brings money, and takes none"
_RULES = "no rule debits a wallet without its owner's signature, whose key takes a code"
FREE = {
    "/v1/parties": _PLACES,
    "/v1/parties/{party_id}/external-ids": _PLACES,
    "/v1/parties/{party_id}/move": _PLACES,
    "/v1/relation-types": _PLACES,
    "/v1/parties/{other}/relations": _PLACES,
    "/v1/groups/{group}/members": _PLACES,
    "/v1/parties/{party_id}/roles": "gives a person no key: the party makes that",
    "/v1/parties/{party_id}/roles/remove": "takes rights away, an owner's by two people",
    "/v1/parties/{party_id}/funding-details": _IN,
    "/v1/parties/{party_id}/consents": _SHOWS,
    "/v1/parties/{party_id}/consents/withdraw": _SHOWS,
    "/v1/contacts/{contact_id}/verifications": "sends a code to a contact that was added with one",
    "/v1/connections": "asks another, who decides",
    "/v1/connections/{connection_id}/revoke": "takes rights away",
    "/v1/parties/{party_id}/approvals": "asks another, who decides",
    "/v1/approvals/{approval_id}/decide": _SECOND,
    "/v1/wallets": _PLACES,
    "/v1/wallets/{wallet}/grants": _SHOWS,
    "/v1/grants/{grant_id}/fields": _SHOWS,
    "/v1/grants/{grant_id}/revoke": _SHOWS,
    "/v1/parties/{party_id}/tasks": "asks for something to be shown",
    "/v1/tasks/{task_id}/submit": "shows what another person judges",
    "/v1/tasks/{task_id}/decide": _SECOND,
    "/v1/parties/{party_id}/identity/changes": "takes a level away, and gives none",
    "/v1/gates/{table}": "the operator's alone",
    "/v1/limits/{table}": "the operator's alone",
    "/v1/programs": _COMPANYS,
    "/v1/programs/{program_id}/policies": _COMPANYS,
    "/v1/programs/{program_id}/fees": _COMPANYS,
    "/v1/programs/{program_id}/budgets": _COMPANYS,
    "/v1/programs/{program_id}/budgets/{budget_id}/allocations": _COMPANYS,
    "/v1/programs/{program_id}/budgets/{budget_id}/reservations": _COMPANYS,
    "/v1/programs/{program_id}/budgets/{budget_id}/uses": _COMPANYS,
    "/v1/programs/{program_id}/budgets/{budget_id}/releases": _COMPANYS,
    "/v1/programs/{program_id}/payables": _COMPANYS,
    "/v1/programs/{program_id}/payables/{payable_id}/cancel": _COMPANYS,
    "/v1/programs/{program_id}/payments/{payment_id}/approve": _SECOND,
    "/v1/programs/{program_id}/payments/{payment_id}/reject": "stops a payment",
    "/v1/programs/{program_id}/budget-claims": _COMPANYS,
    "/v1/programs/{program_id}/budget-claims/{claim_id}/decide": _SECOND,
    "/v1/pay-ins": _IN,
    "/v1/pay-in-entries/{entry_id}/decide": _IN,
    "/v1/expectations": _IN,
    "/v1/pay-ins/{pay_in_id}/match": "the paying company's alone",
    "/v1/pay-ins/{pay_in_id}/returns": "the paying company's alone",
    "/v1/statements": "the operator's alone",
    "/v1/rules": _RULES,
    "/v1/rules/{rule_id}/versions": _RULES,
    "/v1/rules/{rule_id}/retire": _RULES,
    "/v1/rules/lint": _SHOWS,
    "/v1/rules/dry-runs": _SHOWS,
    "/v1/agreements": "moves nothing before it is funded, with a code",
    "/v1/agreements/{agreement_id}/approve": _AGREED,
    "/v1/agreements/{agreement_id}/documents": _AGREED,
    "/v1/agreements/{agreement_id}/release": _AGREED,
    "/v1/agreements/{agreement_id}/refund": _AGREED,
    "/v1/agreements/{agreement_id}/dispute": _AGREED,
    "/v1/agreements/{agreement_id}/arbitrate": _AGREED,
    "/v1/claims": "money nobody has claimed yet, by who holds it",
    "/v1/claims/{claim_id}/redeem": _IN,
    "/v1/designations": _IN,
    "/v1/unclaimed/filings": "the holder's, and a second person's",
    "/v1/unclaimed/filings/{filing_id}/decide": _SECOND,
    "/v1/unclaimed/reclaims": "the holder's, and a second person's",
    "/v1/unclaimed/reclaims/{reclaim_id}/decide": _SECOND,
    "/v1/unclaimed/confirmations": "a sign of life",
    "/v1/payouts/{payout_id}/cancel": "stops a payout",
    "/v1/parties/{owner}/instruments": "is paid nothing before it is chosen, with a code",
}
"""By route: why a payee needs no code for it."""


def contact_fact(
    bench: Bench, kind: str, owner: str = "ann", name: str = "own", **other: str
) -> Any:
    """A fact of a contact of a party."""
    event_type = f"directory.contact.{kind}.v1"
    fact = {
        "contact_id": derived_id("ctc", owner, name),
        "party_id": party(owner),
        "contact": "token",
        "channel": "email",
        "tenant": party("agg"),
        "who": {"actor": "key_1", "principal": party(owner)},
        "reason": "To be reached",
        "occurred_at": "2026-09-21T08:00:00Z",
    }
    return bench.fact("directory.parties.v1", event_type, {**fact, **other})


async def test_f05_all_that_moves_a_persons_money_or_says_who_may_is_asked_a_code_for(
    ann: Person,
) -> None:
    bench = ann.bench
    async with bench.pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT set_config('tally.tenant', '*', true)")
        for thing in THINGS.values():
            values = (thing, party("agg"), [party("ann")])
            await conn.execute("INSERT INTO thing VALUES ($1, $2, $3, '{}')", *values)
    await bench.learn(contact_fact(bench, "verified"))
    await bench.register("sam", "payee", "acme")
    guarded = guarded_requests(ann.wallet, ann.body["to_wallet"])
    assert not guarded.keys() & FREE.keys()
    assert guarded.keys() | FREE.keys() == {route.path for route in ROUTES}, "each has a reason"
    for number, (path, body) in enumerate(guarded.items()):
        if number == ISSUED_MAX:
            bench.clock.advance(LIFE)
        answered = await bench.post(
            path.format(wallet=ann.wallet, **IN_THE_PATH), ann.api_key, body
        )
        assert await refused(answered) == "step_up_required", path
    assert await commands(bench) == 0
    assert len(await told(bench)) == len(guarded)


async def test_f05_contacts_are_kept_with_a_code_as_long_as_one_can_reach_the_person(
    ann: Person,
) -> None:
    bench = ann.bench
    requests = guarded_requests(ann.wallet, ann.body["to_wallet"])
    path = "/v1/parties/{party_id}/contacts"
    body = requests[path]
    path = path.format(party_id=party("ann"))
    assert {route.path for route in ROUTES if route.once_reached} == CONTACTS

    async def answer() -> int:
        status: int = (await bench.post(path, ann.api_key, body)).status_code
        return status

    assert await answer() == 202, "her first contact: nothing could bring her a code"
    await bench.learn(contact_fact(bench, "verified"), contact_fact(bench, "verified", "acme"))
    assert await answer() == 403
    assert (await bench.post(path, await bench.key("acme"), body)).status_code == 202
    await bench.learn(contact_fact(bench, "removed"))
    assert await answer() == 202
    await bench.register("sam", "payee", "acme")
    await bench.learn(contact_fact(bench, "verified", "sam"), bench.merge("ann", "sam"))
    assert await answer() == 403, "what reached the one she was, reaches her"
    await bench.learn(contact_fact(bench, "removed", "sam"))
    assert await answer() == 202
    await bench.learn(contact_fact(bench, "verified", "sam", "late"))
    assert await answer() == 403, "also where the merge was known before the contact"


async def test_contacts_that_were_verified_before_they_were_kept_are_found_in_the_logs(
    ann: Person,
) -> None:
    bench = ann.bench
    await bench.learn(
        contact_fact(bench, "verified"),
        contact_fact(bench, "verified", name="gone"),
        contact_fact(bench, "removed", name="gone"),
        contact_fact(bench, "verified", "acme"),
    )
    await bench.register("sam", "payee", "acme")
    # Verified a second time, once it was hers, and in another tenant.
    await bench.learn(contact_fact(bench, "verified", "sam"), bench.merge("ann", "sam"))
    again = {"party_id": party("ann"), "tenant": party("elsewhere")}
    later = {**again, "occurred_at": "2026-09-22T08:00:00Z"}
    await bench.learn(contact_fact(bench, "verified", "sam", **later))
    kept = "SELECT contact_id, tenant, party_id FROM verified_contact ORDER BY 1"
    migration = (
        Path(__file__).parents[1] / "src/tally_gateway/migrations/0005_verified_contacts.sql"
    )
    _, insert, again = migration.read_text(encoding="utf-8").partition("INSERT INTO")
    async with bench.pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT set_config('tally.tenant', '*', true)")
        before = await conn.fetch(kept)
        await conn.execute("DELETE FROM verified_contact")
        await conn.execute(insert + again)
        assert await conn.fetch(kept) == before
    assert {row["party_id"] for row in before} == {party("ann"), party("acme")}


async def test_a_row_of_an_import_cannot_be_confirmed_and_is_refused(ann: Person) -> None:
    line = json.dumps(payout(ann.wallet)).encode() + b"\n"
    sent = await send(ann.bench, ann.api_key, line)
    assert sent.status_code == 201, sent.text
    (row,) = await rows_of(ann.bench, ann.api_key, sent.json()["id"])
    assert (row["code"], row["remedy"]) == ("step_up_required", "Send it as a request of its own.")
    assert await ann.bench.commands_told() == []


async def test_requests_that_come_together_are_a_constant_number_of_statements(
    ann: Person,
) -> None:
    async def all_of(size: int, codes: dict[str, str]) -> dict[str, Any]:
        keys = [f"{size}-{number}" for number in range(size)]
        answers = await asyncio.gather(*(ann.ask(codes.get(key), key=key) for key in keys))
        return dict(zip(keys, answers, strict=True))

    # What is read once for each session is read before.
    assert (await ann.ask(await ann.challenged())).status_code == 202
    counts = []
    for size in (1, 8):
        async with statements(ann.bench) as asked:
            answers = await all_of(size, {})
        codes = {key: await ann.code(each.json()["challenge"]) for key, each in answers.items()}
        async with statements(ann.bench) as given:
            passed = await all_of(size, codes)
        assert {each.status_code for each in passed.values()} == {202}
        counts.append((len(asked), len(given)))
    assert counts[0] == counts[1]
    assert max(counts[0]) <= 13


async def test_old_challenges_are_forgotten_with_their_keys(ann: Person) -> None:
    await ann.challenged()
    ann.bench.clock.advance(timedelta(days=7, seconds=1))
    await keep_house(ann.bench.gateway)
    assert await ann.bench.one("SELECT 1 FROM step_up") is None


def test_production_asks_for_codes_and_cannot_be_told_not_to() -> None:
    def settings(environment: str, **more: str) -> GatewaySettings:
        own = {"sealing_key": "k" * 43 + "=", "directory_sealing_key": "d" * 43 + "="}
        secret = dict.fromkeys(("internal_key", "access_token_key"), "abcdefgh" * 5 + "abc=")
        dsn = "postgresql://gateway:a-long-one@h/d"
        return load_settings(
            GatewaySettings,
            environment=environment,
            kafka="k:9092",
            postgres_dsn=dsn,
            **{**own, **secret, **more},
        )

    assert settings("production").asks_step_up
    assert settings("production", step_up="required").asks_step_up
    assert not settings("development").asks_step_up
    assert settings("test", step_up="required").asks_step_up
    with pytest.raises(SettingsError, match="TALLY_GATEWAY_STEP_UP"):
        settings("production", step_up="off")
