"""Contacts read back: who sees what of them, that each look is told, and how often one may look (F26)."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tally_contracts import directory as asked
from tally_contracts.directory_facts import ConsentGiven, ContactsViewed
from tally_directory.api import ReadApi, build_api
from tally_directory.store import looking as store
from tally_messaging import Transactor
from tally_runtime import SeededIds
from tally_security.internal import VIEWER_HEADER, InternalKeys, Persona, Viewer, sign_viewer

from .conftest import START, party_id, tid

KEYS = InternalKeys(b"i" * 32)
MAIL = "ann@planted.example"
PER_MINUTE = 3


class Reader:
    """Asks as the gateway does."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        transactor = Transactor(bench.pool, bench.clock, SeededIds(7, bench.clock), "directory")
        api = ReadApi(transactor, bench.clock, KEYS, bench.vault, PER_MINUTE)
        transport = httpx.ASGITransport(build_api(api), raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://directory")

    async def get(
        self, who: str, party: str = "ann", *, actor: str | None = None, **params: str
    ) -> httpx.Response:
        """Look as this party does, for a payout unless `params` say otherwise."""
        operator = who == "operator"
        viewer = Viewer(
            who if operator else party_id(who),
            "*" if operator else party_id("agg2" if who in {"agg2", "zed"} else "agg"),
            Persona.OPERATOR if operator else Persona.COMPANY,
            frozenset({"contacts:read"}),
            actor or f"key_of_{who}",
        )
        signed = sign_viewer(viewer, KEYS, now=self.bench.clock.now())
        return await self.http.get(
            f"/parties/{party_id(party)}/contacts",
            params=params or {"purpose": "To announce a payout"},
            headers={VIEWER_HEADER: signed},
        )

    async def basis(self, who: str, **more: Any) -> tuple[str, list[str | None]]:
        """By what a party looks at ann's contacts, and the values it gets."""
        answered = (await self.get(who, **more)).json()
        return answered["basis"], [each.get("value") for each in answered["contacts"]]


@pytest.fixture
async def reader(planted: Any) -> AsyncIterator[Reader]:
    """Ann has one contact, and a wallet."""
    await planted.send(planted.add_contact("ann", MAIL, by="ann"), planted.open_wallet("w1", "ann"))
    reader = Reader(planted)
    yield reader
    await reader.http.aclose()


def grant(bench: Any, *fields: str, by: str = "ann") -> Any:
    return bench.command(
        asked.SetGrant,
        grant_id=tid("grant", "g"),
        wallet=tid("wal", "w1"),
        to_party=party_id("beta"),
        fields=fields,
        by=by,
    )


async def test_f26_a_party_reads_its_own_contacts_in_clear_and_the_look_is_told(
    reader: Reader,
) -> None:
    await reader.bench.told()
    answered = await reader.get("ann")
    (contact,) = answered.json()["contacts"]
    assert (contact["channel"], contact["value"]) == ("email", MAIL)
    (sent,) = await reader.bench.told()
    told = sent.event
    assert isinstance(told, ContactsViewed)
    assert (told.party_id, told.viewer, told.basis) == (party_id("ann"), party_id("ann"), "own")
    assert (told.who.actor, told.reason) == ("key_of_ann", "To announce a payout")
    assert told.tokens == (contact["contact"],)
    assert told.tenant == party_id("agg")
    assert MAIL not in told.model_dump_json()
    kept = await reader.bench.rows("SELECT view_id, tenant, actor, purpose FROM contact_view")
    assert kept == [(told.view_id, party_id("agg"), "key_of_ann", "To announce a payout")]


async def test_f26_contacts_of_whom_was_merged_into_a_party_are_its_own(reader: Reader) -> None:
    other, bench = "twin@planted.example", reader.bench
    merge = {"approval_id": tid("appr", "m"), "kept": party_id("ann"), "merged": party_id("bob")}
    decision = {"approval_id": tid("appr", "m"), "approve": True, "by": "agg"}
    await bench.send(
        bench.add_contact("bob", other, by="bob"),
        bench.command(asked.MergeParties, **merge),
        bench.command(asked.DecideApproval, **decision),
    )
    for party in ("ann", "bob"):
        basis, values = await reader.basis("ann", party=party)
        assert (basis, set(values)) == ("own", {MAIL, other})
    await bench.told()
    for party in ("ann", "bob"):
        # A key of the merged one is not the kept one's: neither contacts nor alias.
        assert (await reader.get("bob", party=party)).status_code == 404
    assert await bench.told() == []


TWIN = "twin@planted.example"


async def merged(
    bench: Any, name: str = "m", *, kept: str = "ann", gone: str = "bob", by: str | None = None
) -> list[Any]:
    """Two are one by now, as the kept one itself approves; the facts of the decision."""
    await bench.send(
        bench.command(
            asked.MergeParties,
            approval_id=tid("appr", name),
            kept=party_id(kept),
            merged=party_id(gone),
        )
    )
    decide = bench.command(
        asked.DecideApproval, approval_id=tid("appr", name), approve=True, by=by or kept
    )
    return list(await bench.send(decide))


def consent(bench: Any, kind: type[Any], by: str, company: str = "beta") -> Any:
    return bench.command(kind, party_id=party_id(by), company=party_id(company), by=by)


async def test_f26_f29_consent_of_a_merged_payee_goes_on_and_opens_what_it_had_alone(
    reader: Reader,
) -> None:
    bench = reader.bench
    await bench.send(
        bench.add_contact("bob", TWIN, by="bob"), consent(bench, asked.GiveConsent, "bob")
    )
    assert (await reader.get("beta")).status_code == 404, "ann has not consented"
    told = await merged(bench)
    (given,) = [one for one in told if isinstance(one, ConsentGiven)]
    assert (given.party_id, given.company) == (party_id("ann"), party_id("beta"))
    assert given.tenant == party_id("agg")
    for party in ("ann", "bob"):
        assert await reader.basis("beta", party=party) == ("consent", [TWIN])
    # The kept one's own word goes before, and opens or shuts all of it.
    await bench.send(consent(bench, asked.WithdrawConsent, "ann"))
    assert (await reader.get("beta")).status_code == 404
    await bench.send(consent(bench, asked.GiveConsent, "ann"))
    basis, values = await reader.basis("beta")
    assert (basis, set(values)) == ("consent", {MAIL, TWIN})


async def test_f26_f29_consent_goes_on_over_two_merges_but_not_against_the_kept_ones_word(
    reader: Reader,
) -> None:
    bench = reader.bench
    await bench.send(
        bench.add_contact("sam", TWIN, by="sam"),
        consent(bench, asked.GiveConsent, "sam"),
        consent(bench, asked.GiveConsent, "sam", "acme"),
        consent(bench, asked.WithdrawConsent, "ann", "acme"),
    )
    first = await merged(bench, "1", kept="bob", gone="sam")
    assert len([one for one in first if isinstance(one, ConsentGiven)]) == 2
    (given,) = [
        one
        for one in await merged(bench, "2", kept="ann", gone="bob")
        if isinstance(one, ConsentGiven)
    ]
    assert (given.party_id, given.company) == (party_id("ann"), party_id("beta"))
    assert await reader.basis("beta") == ("consent", [TWIN])
    basis, values = await reader.basis("acme")
    assert (basis, set(values)) == ("alias", {None})


@pytest.mark.parametrize("shown", [False, True])
async def test_f26_f29_approval_from_above_carries_no_consent_unless_both_have_shown_one_contact(
    reader: Reader, shown: bool
) -> None:
    bench = reader.bench
    if shown:
        for name in ("ann", "bob"):
            await bench.verify(name, "both@planted.example")
    await bench.send(
        bench.add_contact("bob", TWIN, by="bob"), consent(bench, asked.GiveConsent, "bob")
    )
    told = await merged(bench, by="agg")
    assert len([one for one in told if isinstance(one, ConsentGiven)]) == int(shown)
    # What bob had opened of his own stays open; nothing of ann's is.
    basis, values = await reader.basis("beta")
    assert (basis, MAIL in values, TWIN in values) == ("consent", False, True)


def given(told: list[Any]) -> list[tuple[str, str]]:
    """Of whom, and of which company, consents were told."""
    return [(one.party_id, one.company) for one in told if isinstance(one, ConsentGiven)]


async def test_f26_f29_a_consent_that_was_not_carried_is_not_the_kept_ones_word(
    reader: Reader,
) -> None:
    bench = reader.bench
    await bench.send(bench.register("dan", parent="acme"))
    for name in ("sam", "dan"):
        await bench.send(consent(bench, asked.GiveConsent, name))
    assert given(await merged(bench, "1", kept="bob", gone="sam", by="agg")) == []
    carried = await merged(bench, "2", kept="bob", gone="dan")
    assert given(carried) == [(party_id("bob"), party_id("beta"))], "bob had not spoken of beta"
    again = await merged(bench, "3", kept="ann", gone="bob")
    assert given(again) == [(party_id("ann"), party_id("beta"))], "by then it had"


async def test_f26_f29_a_consent_the_merged_one_did_not_take_is_not_carried_on(
    reader: Reader,
) -> None:
    bench = reader.bench
    await bench.send(consent(bench, asked.GiveConsent, "sam"))
    await merged(bench, "1", kept="bob", gone="sam", by="agg")
    assert given(await merged(bench, "2", kept="ann", gone="bob")) == []


async def test_f26_f29_nothing_is_carried_against_the_word_of_whom_the_kept_one_has_become(
    reader: Reader,
) -> None:
    bench = reader.bench
    for name in ("bob", "sam"):
        await bench.verify(name, "both@planted.example")
    await bench.send(
        consent(bench, asked.GiveConsent, "sam"), consent(bench, asked.WithdrawConsent, "ann")
    )
    ids = {"approval_id": tid("appr", "1"), "kept": party_id("bob"), "merged": party_id("sam")}
    await bench.send(bench.command(asked.MergeParties, **ids))
    await merged(bench, "2", kept="ann", gone="bob")
    decide = {"approval_id": tid("appr", "1"), "approve": True, "by": "agg"}
    assert given(list(await bench.send(bench.command(asked.DecideApproval, **decide)))) == []
    assert (await reader.get("beta")).status_code == 404


async def test_f6_f29_grant_of_a_merged_payee_opens_its_contacts_and_not_the_kept_ones(
    reader: Reader,
) -> None:
    bench = reader.bench
    await bench.send(bench.add_contact("bob", TWIN, by="bob"), bench.open_wallet("w2", "bob"))
    await bench.send(
        bench.command(
            asked.SetGrant,
            grant_id=tid("grant", "b"),
            wallet=tid("wal", "w2"),
            to_party=party_id("beta"),
            fields=("contacts",),
            by="bob",
        )
    )
    await merged(bench)
    assert await reader.basis("beta") == ("grant", [TWIN])
    # The kept one takes it back.
    taken = bench.command(asked.RevokeGrant, grant_id=tid("grant", "b"), by="ann")
    await bench.send(taken)
    assert (await reader.get("beta")).status_code == 404


@pytest.mark.parametrize("who", ["acme", "agg", "operator"])
async def test_f26_without_consent_there_is_the_alias_and_the_token_alone(
    reader: Reader, who: str
) -> None:
    answered = await reader.get(who)
    assert MAIL not in answered.text
    document = answered.json()
    assert document["basis"] == "alias"
    assert document["alias"]
    (contact,) = document["contacts"]
    assert contact["contact"]
    assert "value" not in contact


async def test_f26_consent_shows_the_values_until_it_is_withdrawn(reader: Reader) -> None:
    consent = {"party_id": party_id("ann"), "company": party_id("acme"), "by": "ann"}
    await reader.bench.send(reader.bench.command(asked.GiveConsent, **consent))
    assert await reader.basis("acme") == ("consent", [MAIL])
    assert (await reader.basis("agg"))[0] == "alias", "the company's consent is not its parent's"
    await reader.bench.send(reader.bench.command(asked.WithdrawConsent, **consent))
    assert await reader.basis("acme") == ("alias", [None])


async def test_f6_a_grant_that_names_contacts_shows_them_as_long_as_it_does(
    reader: Reader,
) -> None:
    assert (await reader.get("beta")).status_code == 404
    await reader.bench.send(grant(reader.bench, "balance"))
    assert (await reader.get("beta")).status_code == 404
    fields = {"grant_id": tid("grant", "g"), "by": "ann"}
    for named, seen in ((("contacts",), 200), (("status",), 404)):
        command = reader.bench.command(asked.ReplaceGrantFields, fields=named, **fields)
        await reader.bench.send(command)
        assert (await reader.get("beta")).status_code == seen
    await reader.bench.send(
        reader.bench.command(asked.ReplaceGrantFields, fields=("contacts",), **fields)
    )
    assert await reader.basis("beta") == ("grant", [MAIL])
    await reader.bench.send(reader.bench.command(asked.RevokeGrant, **fields))
    assert (await reader.get("beta")).status_code == 404


@pytest.mark.parametrize("by", ["acme", "operator"])
async def test_f26_nobody_above_a_party_opens_its_contacts_for_it(reader: Reader, by: str) -> None:
    planted = reader.bench
    refused = ("only_the_party", "/fields/1")
    assert await planted.refusal(grant(planted, "balance", "contacts", by=by)) == refused
    await planted.send(grant(planted, "balance"))
    wider = planted.command(
        asked.ReplaceGrantFields,
        grant_id=tid("grant", "g"),
        fields=("balance", "contacts"),
        by=by,
    )
    assert await planted.refusal(wider) == refused


async def test_f26_a_stranger_learns_nothing_not_even_that_there_is_somebody(
    reader: Reader,
) -> None:
    await reader.bench.told()
    answers = [
        await reader.get("beta"),
        await reader.get("zed"),
        await reader.get("beta", "nobody"),
    ]
    assert {answered.status_code for answered in answers} == {404}
    assert len({answered.text for answered in answers}) == 1
    assert await reader.bench.told() == []


async def test_who_sees_nothing_does_not_wait_for_looks_of_its_own(reader: Reader) -> None:
    async with reader.bench.pool.acquire() as conn, conn.transaction():
        await store.take_turn_of(conn, party_id("beta"))
        assert (await reader.get("beta")).status_code == 404


async def test_f26_a_person_without_a_role_that_manages_sees_the_tokens_alone(
    reader: Reader,
) -> None:
    person = tid("person", "eve")
    assert await reader.basis("ann", actor=person) == ("alias", [None])
    role = {"party_id": party_id("ann"), "person": person, "role": "admin"}
    await reader.bench.send(reader.bench.command(asked.AssignRole, **role))
    assert await reader.basis("ann", actor=person) == ("own", [MAIL])


async def test_a_contact_that_was_forgotten_is_not_shown(reader: Reader) -> None:
    forgotten = tid("contact", f"ann:{MAIL}")
    await reader.bench.send(
        reader.bench.command(asked.RemoveContact, contact_id=forgotten, by="ann")
    )
    assert (await reader.get("ann")).json()["contacts"] == []


async def test_one_party_looks_so_often_in_a_minute_and_is_told_when_it_may_again(
    reader: Reader,
) -> None:
    for _ in range(PER_MINUTE):
        assert (await reader.get("ann")).status_code == 200
        reader.bench.clock.advance(timedelta(seconds=10))
    refused = await reader.get("ann")
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert refused.headers["Retry-After"] == "30"
    assert (await reader.get("acme")).status_code == 200
    reader.bench.clock.advance(timedelta(seconds=29))
    assert (await reader.get("ann")).status_code == 429
    reader.bench.clock.advance(timedelta(seconds=1))
    assert (await reader.get("ann")).status_code == 200


@pytest.mark.parametrize("params", [{"why": "?"}, {"purpose": ""}, {"purpose": "a\nb"}])
async def test_a_look_without_a_purpose_is_refused(reader: Reader, params: dict[str, str]) -> None:
    answered = await reader.get("ann", **params)
    assert answered.status_code == 422
    assert answered.json()["field"]
    assert await reader.bench.rows("SELECT 1 FROM contact_view") == []


async def test_who_is_not_named_by_the_gateway_is_not_answered(reader: Reader) -> None:
    path = f"/parties/{party_id('ann')}/contacts?purpose=x"
    forged = sign_viewer(
        Viewer(party_id("ann"), party_id("agg"), Persona.PAYEE, frozenset()),
        InternalKeys(b"x" * 32),
        now=START,
    )
    for headers, code in (({}, "viewer_missing"), ({VIEWER_HEADER: forged}, "viewer_refused")):
        answered = await reader.http.get(path, headers=headers)
        assert (answered.status_code, answered.json()["code"]) == (401, code)
