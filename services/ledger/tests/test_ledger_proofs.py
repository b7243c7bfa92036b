"""Proofs hold without the books, and one changed character of what they hash is refused."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tally_ledger.closing import announce_key, close_next_day
from tally_ledger.proofs import (
    ChangeWithoutProof,
    FormWithoutProof,
    ProofRefused,
    TransferUnknown,
    check_proof,
)
from tally_ledger.proving import BooksDiffer, make_proof

from .conftest import LedgerFixture
from .ledger_builders import NOW, account, capture, freeze, identify, journal, leg, place
from .test_ledger_days import KEY, NEXT_KEY

KEYS = (NEXT_KEY.public, KEY.public)


@pytest.fixture
async def booked(ledger: LedgerFixture) -> LedgerFixture:
    """Five batches of a day, the third of seven journals."""
    opens = [account("cards", guarded=False), account("ann"), account("bob")]
    start = journal("j0", leg("l0", "cards", "ann", "90.00"), opens=opens)
    await ledger.apply(start)
    await ledger.apply(place("h1", "ann", "cards", "5.00", expires_at=NOW + timedelta(days=9)))
    await ledger.apply(
        *(
            journal(
                f"m{n}", leg(f"m{n}a", "ann", "bob", "1.00"), leg(f"m{n}b", "bob", "ann", "0.50")
            )
            for n in range(6)
        ),
        capture("c1", "h1", "2.00"),
    )
    for n in range(2):
        await ledger.apply(journal(f"z{n}", leg(f"z{n}", "ann", "bob", "1.00")))
    return ledger


async def prove(ledger: LedgerFixture, id_: str) -> dict[str, Any]:
    async with ledger.pool.acquire() as conn:
        document: dict[str, Any] = json.loads((await make_proof(conn, id_)).model_dump_json())
        return document


async def close(ledger: LedgerFixture) -> None:
    ledger.clock.advance(timedelta(days=1))
    await ledger.transactor.run(lambda uow: announce_key(uow, KEY.public))
    assert await close_next_day(ledger.transactor, "main", KEY) is not None


async def ids(ledger: LedgerFixture) -> list[str]:
    found = await ledger.pool.fetch("SELECT id FROM transfer UNION SELECT id FROM journal")
    return [row[0] for row in found]


async def test_every_transfer_and_journal_of_a_closed_day_is_proven_by_the_key(
    booked: LedgerFixture,
) -> None:
    await close(booked)
    for id_ in await ids(booked):
        proven = check_proof(json.dumps(await prove(booked, id_)), KEYS)
        assert (proven.day, proven.key_id) == ("2026-03-01", KEY.public.id)
        assert id_ in {proven.journal["id"], *(one["id"] for one in proven.transfers)}


async def test_in_an_open_day_a_proof_leads_to_the_head_of_the_books(booked: LedgerFixture) -> None:
    head = await booked.pool.fetchval("SELECT head FROM shard_state WHERE shard = 'main'")
    for id_ in await ids(booked):
        proven = check_proof(json.dumps(await prove(booked, id_)), ())
        assert (proven.day, proven.head, proven.head_seq) == (None, head.hex(), 5)


async def test_a_path_is_as_long_as_the_logarithm_of_the_batch(booked: LedgerFixture) -> None:
    proof = await prove(booked, identify("jrn", "m4"))
    assert (proof["batch"]["leaves"], len(proof["batch"]["path"])) == (7, 3)
    moved = [(one["amount"], one["asset"]) for one in proof["leaf"]["transfers"]]
    assert moved == [("100", "EUR"), ("50", "EUR")]
    assert proof["leaf"]["journal"]["why_reason"] == "Sale of order 17"


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every text and number of a document."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for name, inner in pairs:
            yield from places(inner, (*path, name))
    elif value is not None:
        yield path


def changes(value: str | int) -> Iterator[str | int]:
    """One character or unit more, less or otherwise."""
    if isinstance(value, int):
        yield from (value + 1, value - 1)
        return
    for at, letter in enumerate(value):
        yield value[:at] + chr(ord(letter) ^ 1) + value[at + 1 :]
    if value.upper() != value:
        yield value.upper()
    yield f"{value}0"
    yield f"{value}\n"
    if value:
        yield value[:-1]


@pytest.mark.parametrize("closed", [True, False])
async def test_a_document_with_one_character_changed_is_refused(
    booked: LedgerFixture, closed: bool
) -> None:
    if closed:
        await close(booked)
    sound = await prove(booked, identify("tr", "m4b"))
    assert check_proof(json.dumps(sound), KEYS)
    tried = 0
    for path in places(sound):
        document = json.loads(json.dumps(sound))
        holder: Any = document
        for name in path[:-1]:
            holder = holder[name]
        value = holder[path[-1]]
        for changed in changes(value):
            holder[path[-1]] = changed
            with pytest.raises(ProofRefused) as refused:
                check_proof(json.dumps(document), KEYS)
            assert refused.value.field
            assert refused.value.remedy
            tried += 1
        holder[path[-1]] = value
    assert tried > 1000


@pytest.mark.parametrize("closed", [True, False])
async def test_a_document_with_a_part_missing_or_added_is_refused(
    booked: LedgerFixture, closed: bool
) -> None:
    if closed:
        await close(booked)
    sound = await prove(booked, identify("tr", "m4b"))
    for part in ("leaf", "batch", "day"):
        if sound[part] is None:
            continue
        for name in sound[part]:
            changed = json.loads(json.dumps(sound))
            del changed[part][name]
            with pytest.raises(ProofRefused):
                check_proof(json.dumps(changed), KEYS)
        changed = json.loads(json.dumps(sound))
        changed[part]["more"] = "1"
        with pytest.raises(ProofRefused, match="more"):
            check_proof(json.dumps(changed), KEYS)
    for lost in range(1, len(sound["later"])):
        changed = json.loads(json.dumps(sound))
        del changed["later"][lost - 1]
        with pytest.raises(ProofRefused, match="later"):
            check_proof(json.dumps(changed), KEYS)


async def test_a_proof_needs_the_key_it_was_signed_with(booked: LedgerFixture) -> None:
    await close(booked)
    document = json.dumps(await prove(booked, identify("tr", "m4b")))
    with pytest.raises(ProofRefused) as refused:
        check_proof(document, [NEXT_KEY.public])
    assert refused.value.field == "day.key_id"
    with pytest.raises(ProofRefused):
        check_proof(document, [])


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"format": 1}', "\x00", "[" * 100_000])
def test_what_is_no_proof_is_refused(text: str) -> None:
    with pytest.raises(ProofRefused, match="tally ledger prove"):
        check_proof(text, KEYS)


async def test_what_was_never_booked_has_no_proof(booked: LedgerFixture) -> None:
    with pytest.raises(TransferUnknown) as unknown:
        await prove(booked, "tr_never")
    assert (unknown.value.code, unknown.value.field) == ("transfer_unknown", "transfer")


async def test_what_was_changed_since_has_no_proof(booked: LedgerFixture) -> None:
    booked.as_admin("ALTER TABLE ledger.journal DISABLE TRIGGER insert_only")
    booked.as_admin("UPDATE ledger.journal SET why_reason = 'other' WHERE log_seq = 1")
    with pytest.raises(BooksDiffer, match="tally verify"):
        await prove(booked, identify("jrn", "j0"))


async def test_a_batch_of_before_the_trees_has_no_proof_and_says_so(booked: LedgerFixture) -> None:
    booked.as_admin("ALTER TABLE ledger.log DISABLE TRIGGER insert_only")
    booked.as_admin("UPDATE ledger.log SET form = 1, leaves = NULL WHERE seq = 1")
    with pytest.raises(FormWithoutProof, match="tally verify"):
        await prove(booked, identify("jrn", "j0"))


def test_the_vector_of_the_reference_page_holds(project_root: Path) -> None:
    page = (project_root / "docs" / "reference" / "ledger-proofs.md").read_text()
    document = page.rpartition("```json\n")[2].partition("```")[0]
    assert f"`{KEY.public}`" in page
    proven = check_proof(document, [KEY.public])
    assert (proven.day, proven.transfers[0]["amount"]) == ("2026-03-01", "300")


@pytest.fixture
async def frozen(booked: LedgerFixture) -> LedgerFixture:
    """The same, with an account frozen in a batch of its own."""
    await booked.apply(freeze("f1", "bob", "out"))
    return booked


async def test_an_account_change_is_proven_in_an_open_and_in_a_signed_day(
    frozen: LedgerFixture,
) -> None:
    change = identify("chg", "f1")
    open_day = check_proof(json.dumps(await prove(frozen, change)), KEYS)
    head = await frozen.pool.fetchval("SELECT head FROM shard_state WHERE shard = 'main'")
    assert (open_day.journal, open_day.transfers, open_day.head) == (None, (), head.hex())
    await close(frozen)
    proven = check_proof(json.dumps(await prove(frozen, change)), KEYS)
    assert proven.day == "2026-03-01"
    assert proven.change is not None
    said = [proven.change[name] for name in ("operation", "frozen_in", "frozen_out", "who_actor")]
    assert said == ["freeze", "false", "true", "funding"]


async def test_a_proof_of_a_change_with_one_character_changed_is_refused(
    frozen: LedgerFixture,
) -> None:
    await close(frozen)
    sound = await prove(frozen, identify("chg", "f1"))
    for path in places(sound):
        document = json.loads(json.dumps(sound))
        holder = document
        for name in path[:-1]:
            holder = holder[name]
        for changed in list(changes(holder[path[-1]]))[:4]:
            holder[path[-1]] = changed
            with pytest.raises(ProofRefused):
                check_proof(json.dumps(document), KEYS)


async def test_a_change_that_is_not_as_recorded_or_older_than_its_leaves_has_no_proof(
    frozen: LedgerFixture,
) -> None:
    change = identify("chg", "f1")
    frozen.as_admin("ALTER TABLE ledger.account_change DISABLE TRIGGER insert_only")
    frozen.as_admin("UPDATE ledger.account_change SET why_reason = 'Another'")
    with pytest.raises(BooksDiffer, match=r"account change .* is not as it was recorded"):
        await prove(frozen, change)
    frozen.as_admin("ALTER TABLE ledger.account_change DROP CONSTRAINT account_change_in_log")
    frozen.as_admin("UPDATE ledger.account_change SET seq = NULL, log_seq = NULL")
    with pytest.raises(ChangeWithoutProof, match="before changes were leaves"):
        await prove(frozen, change)
