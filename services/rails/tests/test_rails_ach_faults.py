"""What can go wrong between us and the bank: whatever it is, the bank executes once and we agree."""

import asyncio
from datetime import timedelta

import pytest

from tally_contracts.rails import InstrumentRegistered
from tally_runtime import derived_id

PLAIN = "55550100"


class _Killed(BaseException):
    """The process ends here, as far as everything above can tell."""


async def test_connection_dropped_after_the_rename_executes_once(ach, bank):
    bank.post("/faults", fault="drop_after_rename", times=1)
    await ach.paid_to(PLAIN)
    await ach.send()
    assert (await ach.states())[-1] == "submitting"
    await ach.send()
    await ach.reaches("in_transit")
    assert len(bank.uploads()) == 1
    assert list(bank.book()) == [await ach.trace()]


async def test_file_the_bank_had_is_sent_again_as_stored_and_told_apart_from_a_failure(ach, bank):
    """Acknowledgement lost and the answer to the rename too: nothing shows that the bank has it."""
    bank.post("/rules", behaviour="lose_ack", times=1)
    bank.post("/faults", fault="drop_after_rename", times=1)
    await ach.paid_to(PLAIN)
    await ach.send()
    await asyncio.sleep(0.3)
    await ach.send()
    first, second = bank.uploads()
    assert first["sha256"] == second["sha256"]
    assert (second["outcome"], second["reason"]) == ("rejected", "duplicate_file")
    await ach.watch()
    assert (await ach.states())[-1] == "submitted"
    assert list(bank.book()) == [await ach.trace()]
    bank.call("POST", f"/files/{first['upload_id']}/redeliver")
    await ach.reaches("in_transit")


async def test_connection_lost_before_the_rename_is_tried_again_with_the_same_bytes(ach, bank):
    bank.post("/faults", fault="drop_before_rename", times=2)
    bank.post("/faults", fault="drop_on_write", times=1)
    await ach.paid_to(PLAIN)
    for _ in range(4):
        await ach.send()
    await ach.reaches("in_transit")
    assert [upload["outcome"] for upload in bank.uploads()] == ["accepted"]


async def test_bank_that_hangs_is_given_up_in_time_and_asked_again(open_ach, bank):
    ach = await open_ach(call_timeout_s=1)
    bank.post("/faults", fault="slow", milliseconds=1200, times=4)
    await ach.paid_to(PLAIN)
    async with asyncio.timeout(20):
        while (await ach.states())[-1] != "submitted":
            await ach.send()
    bank.call("DELETE", "/faults")
    await ach.reaches("in_transit")
    assert len(bank.book()) == 1


async def test_payouts_of_a_file_in_doubt_too_long_are_unknown_and_keep_their_key(open_ach, bank):
    ach = await open_ach(doubt_after_s=100, not_found_after_s=10_000, tries_before_case=4)
    bank.post("/rules", behaviour="lose_ack", times=1)
    bank.post("/faults", fault="drop_after_rename", times=1)
    await ach.paid_to(PLAIN)
    await ach.send()
    await asyncio.sleep(0.3)
    await ach.send()
    assert (await ach.states())[-1] == "submitting"
    await ach.send()
    assert (await ach.states())[-1] == "unknown"
    assert await ach.cases() == []
    await ach.send()
    assert await ach.cases() == ["upload_in_doubt"]
    assert len(bank.uploads()) == 1
    bank.call("POST", "/files/1/redeliver")
    await ach.reaches("in_transit")
    assert (await ach.changes())[-1].provider_reference == await ach.trace()


async def test_process_killed_after_the_upload_and_before_it_is_saved_executes_once(open_ach, bank):
    async def die(point: str) -> None:
        if point == "called":
            raise _Killed

    dying = await open_ach(step=die)
    await dying.paid_to(PLAIN)
    with pytest.raises(_Killed):
        await dying.send()
    assert (await dying.states())[-1] == "submitting"
    ach = await open_ach(at=dying.clock.now() + timedelta(minutes=10))
    await ach.send()
    await ach.reaches("in_transit")
    assert len(bank.uploads()) == 1
    assert list(bank.book()) == [await ach.trace()]


async def test_acknowledgement_seen_before_the_upload_is_saved_ends_the_upload(open_ach, bank):
    async def die(point: str) -> None:
        if point == "called":
            raise _Killed

    dying = await open_ach(step=die)
    await dying.paid_to(PLAIN)
    with pytest.raises(_Killed):
        await dying.send()
    ach = await open_ach(at=dying.clock.now() + timedelta(minutes=10))
    await ach.reaches("in_transit")
    await ach.send()
    assert await ach.states() == ["scheduled", "submitting", "in_transit"]
    assert len(bank.uploads()) == 1
    assert await ach.pool.fetchval("SELECT count(*) FROM job") == 0


async def test_file_handed_in_twice_by_somebody_is_refused_as_duplicate_and_fails_nothing(
    ach, bank
):
    await ach.paid_to(PLAIN)
    await ach.send()
    await ach.reaches("in_transit")
    name, content = await ach.pool.fetchrow("SELECT name, content FROM ach_file")
    async with ach._worker("ach_sender").line.session() as session:
        await session.upload(name, content)
    await asyncio.sleep(0.3)
    await ach.watch()
    assert [upload["reason"] for upload in bank.uploads()] == ["", "duplicate_file"]
    assert (await ach.states())[-1] == "in_transit"
    assert await ach.cases() == []


@pytest.mark.parametrize("behaviour", ["refuse_file", "refuse_batch"])
async def test_refused_file_or_batch_fails_its_payouts_and_no_other(ach, bank, behaviour):
    await ach.paid_to(PLAIN, "55550200")
    await ach.send()
    await ach.reaches("in_transit", "one", "two")
    bank.post("/rules", behaviour=behaviour, reason="over_limit", times=1)
    await ach.feed(ach.make.submit("three", "one"))
    await ach.send()
    await ach.reaches("failed", "three")
    change = (await ach.changes("three"))[-1]
    assert (change.code, change.action) == ("over_limit", "operator")
    assert await ach.cases() == ["file_refused" if "file" in behaviour else "entries_refused"]
    assert {(await ach.states(name))[-1] for name in ("one", "two")} == {"in_transit"}


@pytest.mark.parametrize("same_reference", [True, False])
async def test_doubled_return_counts_once(ach, bank, same_reference):
    await ach.paid_to(PLAIN)
    bank.post("/rules", behaviour="doubled_return", code="R23", same_reference=same_reference)
    await ach.send()
    await ach.reaches("in_transit")
    bank.day("2026-11-24")
    await ach.reaches("paid")
    bank.day("2026-11-30")
    await ach.reaches("returned")
    await ach.watch()
    assert len(bank.book()[await ach.trace()]["notices"]) == 2
    assert (await ach.states()).count("returned") == 1
    assert await ach.cases() == ([] if same_reference else ["return_repeated"])


async def test_return_of_an_unknown_trace_or_amount_changes_nothing_and_is_a_case(ach, bank):
    await ach.paid_to("55550903", "55550904")
    await ach.send()
    await ach.reaches("in_transit", "one", "two")
    bank.day("2026-11-30")
    await ach.has_case("notice_differs")
    assert await ach.cases() == ["notice_differs", "notice_of_unknown_trace"]
    assert {(await ach.states(name))[-1] for name in ("one", "two")} == {"paid"}


async def test_return_with_a_code_nobody_knows_brings_the_money_back_and_is_a_case(ach, bank):
    await ach.paid_to("55550099")
    await ach.send()
    await ach.reaches("in_transit")
    bank.day("2026-11-30")
    await ach.reaches("returned")
    change = (await ach.changes())[-1]
    assert (change.code, change.action) == ("R99", "operator")
    assert await ach.cases() == ["attempt_returned"]
    assert bank.book()[await ach.trace()]["state"] == "returned"


@pytest.mark.parametrize(
    ("code", "field", "value"),
    [
        ("C01", "account_number", "55550100"),
        ("C02", "routing_number", "011000015"),
        ("C05", "account_type", "savings"),
    ],
)
async def test_notice_of_change_corrects_the_stored_details_and_the_payment_stands(
    ach, bank, code, field, value
):
    await ach.paid_to(f"55550{code[2]}98")
    await ach.send()
    await ach.reaches("in_transit")
    bank.day("2026-11-30")

    async def corrected() -> bool:
        return len(await ach.events(InstrumentRegistered)) == 2

    await ach.until(corrected)
    assert (await ach.states())[-1] == "paid"
    row = await ach.pool.fetchrow("SELECT version, state FROM instrument")
    assert tuple(row) == (2, "registered")
    kept = await ach.pool.fetchrow("SELECT version, code FROM instrument_version")
    assert tuple(kept) == (1, code)
    await ach.feed(ach.make.submit("again", "one"))
    await ach.send()
    await ach.reaches("in_transit", "again")
    entry = bank.book()[await ach.trace("again")]
    shown = {
        "account_number": entry["account"].strip(),
        "routing_number": entry["routing"],
        "account_type": {"22": "checking", "32": "savings"}[entry["transaction_code"]],
    }
    assert shown[field] == value


async def test_dead_instrument_is_paid_to_no_more(ach, bank):
    await ach.paid_to("55550003")
    await ach.send()
    await ach.feed(ach.make.submit("waiting", "one"))
    await ach.reaches("failed")
    await ach.feed(ach.make.submit("later", "one"))
    await ach.send()
    for name in ("waiting", "later"):
        change = (await ach.changes(name))[-1]
        assert (change.state, change.code) == ("failed", "instrument_refused")
    assert len(bank.book()) == 1


async def test_cancel_before_the_window_ends_executes_nothing(ach, bank):
    await ach.paid_to(PLAIN)
    await ach.feed(ach.make.cancel())
    await ach.send()
    assert await ach.states() == ["scheduled", "cancelled"]
    assert bank.uploads() == []
    assert await ach.pool.fetchval("SELECT count(*) FROM job") == 0


async def test_missing_acknowledgement_becomes_a_case_once(open_ach, bank):
    ach = await open_ach(ack_overdue_s=3600)
    bank.post("/rules", behaviour="lose_ack", times=1)
    await ach.paid_to(PLAIN)
    await ach.send()
    await ach.watch()
    assert await ach.cases() == []
    for _ in range(2):
        ach.clock.advance(timedelta(seconds=3700))
        await ach.watch()
    assert await ach.cases() == ["acknowledgement_overdue"]
    assert (await ach.states())[-1] == "submitted"


async def test_wrong_host_key_is_refused_before_a_password_is_sent(open_ach, bank):
    other = "SHA256:" + "A" * 43
    ach = await open_ach(host_key_fingerprint=other, tries_before_case=1)
    await ach.paid_to(PLAIN)
    await ach.send()
    assert bank.uploads() == []
    assert await ach.cases() == ["upload_failing"]
    detail = await ach.pool.fetchval("SELECT detail FROM rail_case")
    assert bank.ready["host_key_fingerprint"] in detail
    assert "TALLY_RAILS_ACH_HOST_KEY_FINGERPRINT" in detail


async def test_file_is_cut_no_larger_than_the_settings_say_and_traces_ascend(open_ach, bank):
    ach = await open_ach(file_entries_max=2)
    await ach.feed(
        ach.make.register(), *(ach.make.submit(f"n{n}", amount=f"{n + 1}.00") for n in range(5))
    )
    await ach.send(turns=5)
    await ach.send()
    rows = await ach.pool.fetch("SELECT entries FROM ach_file ORDER BY name")
    assert [row[0] for row in rows] == [2, 2, 1]
    await ach.reaches("in_transit", *(f"n{n}" for n in range(5)))
    assert sorted(bank.book()) == [f"12104288{n:07}" for n in range(1, 6)]
    sent = {derived_id("att", "test", f"n{n}")[-15:] for n in range(5)}
    assert {entry["individual_id"] for entry in bank.book().values()} == sent


async def test_process_killed_while_sending_leaves_doubt_even_if_the_bank_cannot_be_asked(
    open_ach, bank
):
    async def die(point: str) -> None:
        if point == "called":
            raise _Killed

    dying = await open_ach(step=die)
    await dying.paid_to(PLAIN)
    with pytest.raises(_Killed):
        await dying.send()
    ach = await open_ach(at=dying.clock.now() + timedelta(minutes=10), doubt_after_s=60)
    bank.post("/faults", fault="refuse_login", times=1)
    await ach.send()
    assert (await ach.states())[-1] == "unknown"
    await ach.send()
    await ach.reaches("in_transit")
    assert len(bank.uploads()) == 1


async def test_bank_that_was_never_reached_leaves_no_doubt(open_ach, bank):
    ach = await open_ach(doubt_after_s=0)
    bank.post("/faults", fault="refuse_login", times=2)
    await ach.paid_to(PLAIN)
    await ach.send()
    await ach.send()
    assert (await ach.states())[-1] == "submitting"
    await ach.send()
    assert (await ach.states())[-1] == "submitted"
