"""Whatever the bank leaves in its folder, and however many of us look at once."""

import asyncio

import pytest

PLAIN = "55550100"


@pytest.fixture
def outbound(bank):
    return bank.folder / "sftp" / "outbound"


@pytest.mark.parametrize(
    "left",
    [
        ("x.ach.ack", b"ACK|1|cut off", "file_unreadable", "unreadable"),
        ("x.ach.ack", b"\x00\xff" * 50, "file_unreadable", "unreadable"),
        ("RET-2026-11-23-1.ach", b"6" * 94, "file_unreadable", "unreadable"),
        ("RET-2026-11-23-1.ach", b"", "file_unreadable", "unreadable"),
        ("notice.pdf", b"%PDF-1.7", "file_of_unknown_kind", "unknown"),
        ("x.ach.ack", b"ACK|1|-|accepted|\nEND|2\n", "acknowledgement_unknown", "applied"),
    ],
)
async def test_file_that_means_nothing_is_kept_whole_and_a_case_and_stops_nobody(
    ach, outbound, left
):
    name, content, code, outcome = left
    await ach.paid_to(PLAIN)
    await ach.send()
    (outbound / name).write_bytes(content)
    await ach.reaches("in_transit")
    assert await ach.cases() == [code]
    row = await ach.pool.fetchrow("SELECT content, outcome FROM ach_incoming WHERE name = $1", name)
    assert tuple(row) == (content, outcome)
    assert not (outbound / name).exists()


async def test_file_too_large_is_left_at_the_bank_and_a_case(open_ach, outbound):
    ach = await open_ach(file_bytes_max=1024, remove_processed=False)
    (outbound / "RET-2026-11-23-1.ach").write_bytes(b"6" * 1025)
    await ach.watch()
    assert await ach.cases() == ["file_too_large"]
    assert await ach.pool.fetchval("SELECT count(*) FROM ach_incoming") == 0


async def test_file_too_large_is_not_removed_with_the_processed_ones(open_ach, outbound):
    ach = await open_ach(file_bytes_max=1024)
    large = outbound / "RET-2026-11-23-1.ach"
    large.write_bytes(b"6" * 1025)
    await ach.watch()
    assert large.exists()


async def test_name_that_is_none_is_passed_over(ach, outbound):
    (outbound / "a name\udcff.ach.ack").write_bytes(b"x")
    await ach.watch()
    assert await ach.cases() == []
    assert await ach.pool.fetchval("SELECT count(*) FROM ach_incoming") == 0


async def test_known_files_are_not_read_again_where_they_must_stay_at_the_bank(open_ach, bank):
    ach = await open_ach(remove_processed=False)
    await ach.paid_to(PLAIN)
    await ach.send()
    await ach.reaches("in_transit")
    bank.post("/faults", fault="hang_on_read", times=1)
    await ach.watch()
    assert len(bank.call("GET", "/faults")["faults"]) == 1, "nothing was read"


async def test_acknowledgement_in_other_words_after_the_first_changes_nothing(ach, bank, outbound):
    await ach.paid_to(PLAIN)
    await ach.send()
    await ach.reaches("in_transit")
    name = bank.uploads()[0]["name"]
    identity = bank.uploads()[0]["identity"]
    text = f"ACK|1|{identity}|rejected|changed_its_mind\nEND|2\n"
    (outbound / f"{name}.ack").write_text(text)
    await ach.watch()
    assert (await ach.states())[-1] == "in_transit"
    assert await ach.cases() == ["acknowledgement_repeated"]


async def test_replicas_at_work_at_once_execute_once_and_tell_once(open_ach, bank):
    first, second = await open_ach(), await open_ach()
    await first.feed(first.make.register(), *(first.make.submit(f"n{n}") for n in range(20)))
    for world in (first, second):
        world.clock.advance(world.window)
    for _ in range(3):
        await asyncio.gather(
            *(
                world._worker("ach_sender").turning.turn(world._context())
                for world in (first, second)
            )
        )
    names = [f"n{n}" for n in range(20)]
    await first.reaches("in_transit", *names)
    bank.day("2026-11-24")
    await asyncio.gather(first.watch(), second.watch())
    await first.reaches("paid", *names)
    assert len(bank.book()) == 20
    expected = ["scheduled", "submitting", "submitted", "in_transit", "paid"]
    for name in names:
        assert await first.states(name) == expected
    assert await first.cases() == []
