"""kill -9 at named points and at any moment: no entry executed twice, none lost."""

import asyncio
import contextlib
import random

import asyncssh
import httpx
import pytest

BROKEN = (asyncssh.Error, OSError)
UPLOAD_POINTS = ("renamed", "claimed", "deciding", "decided", "ack_written")
DAY_POINTS = {
    "day_running": "2026-11-24",
    "day_closed": "2026-11-25",
    "return_written": "2026-12-01",
}


async def test_file_is_taken_once_whatever_point_of_taking_it_the_crash_hits(
    new_bank, nacha
) -> None:
    bank = new_bank()
    for at, point in enumerate(UPLOAD_POINTS):
        pays = nacha.Pay(seq=2 * at + 1), nacha.Pay(seq=2 * at + 2, account="10003")
        content = nacha.file(nacha.Batch(pays))
        bank.post("/faults", fault="crash", point=point)
        # Only the crash before the answer to the rename is sure to show at the client.
        with contextlib.suppress(*BROKEN):
            await bank.upload(f"{point}.ach", content)
            assert point != "renamed"
        assert bank.wait() == -9
        bank.start()
        assert "|accepted|" in await bank.fetch(f"{point}.ach.ack")
        (again,) = await bank.pay("again.ach" if at else "first-again.ach", content)
        assert again.endswith("|duplicate_file")
        book = bank.book()
        assert [book[pay.trace]["state"] for pay in pays] == ["accepted", "returned"]
        assert len(book) == 2 * at + 2
        assert sum(len(file.items) for file in await bank.returns()) == at + 1


async def test_day_is_done_once_whatever_point_of_it_the_crash_hits(new_bank, nacha) -> None:
    bank = new_bank()
    await bank.pay("pay.ach", nacha.pays(nacha.Pay(account="10002"), nacha.Pay()))
    for point, day in DAY_POINTS.items():
        bank.post("/faults", fault="crash", point=point)
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            bank.post("/clock", date=day)
        assert bank.wait() == -9
        bank.start()
    bank.post("/clock", date="2026-12-02")
    assert bank.states() == {"121042880000001": "returned", "121042880000002": "settled"}
    entry = bank.book()["121042880000001"]
    assert [step["on"] for step in entry["history"][2:]] == ["2026-11-24", "2026-11-25"]
    assert len(entry["notices"]) == 1
    assert [file.name for file in await bank.returns()] == ["RET-2026-11-25-1.ach"]


async def test_random_kills_execute_every_entry_exactly_once(new_bank, nacha) -> None:
    bank = new_bank()
    rng = random.Random(20261123)
    sent: dict[str, bytes] = {}
    for round_ in range(5):
        seqs = range(round_ * 800 + 1, round_ * 800 + 801)
        pays = tuple(
            nacha.Pay(seq=seq, cents=seq, account="0003" if seq % 100 == 0 else "5550100")
            for seq in seqs
        )
        sent[f"round-{round_}.ach"] = nacha.file(nacha.Batch(pays))
        killing = asyncio.create_task(_kill_later(bank, rng.uniform(0.05, 0.4)))
        with contextlib.suppress(*BROKEN):
            for name, content in sent.items():
                await bank.upload(name, content)
        await killing
        bank.start()
    for name, content in sent.items():
        await bank.pay(f"last-{name}", content)
    book = bank.book()
    assert {trace: entry["amount_cents"] for trace, entry in book.items()} == {
        f"12104288{seq:07d}": seq for seq in range(1, 4001)
    }
    returned = {trace for trace, entry in book.items() if entry["state"] == "returned"}
    assert returned == {f"12104288{seq:07d}" for seq in range(100, 4001, 100)}
    assert all(len(book[trace]["notices"]) == 1 for trace in returned)
    delivered = [item.original_trace for file in await bank.returns() for item in file.items]
    assert sorted(delivered) == sorted(returned)


async def _kill_later(bank, seconds: float) -> None:
    await asyncio.sleep(seconds)
    bank.kill()


async def test_host_key_book_and_clock_are_kept_over_a_restart(new_bank, nacha) -> None:
    bank = new_bank()
    await bank.pay("pay.ach", nacha.pays(nacha.Pay()))
    bank.post("/clock", date="2026-11-24")
    key, book = bank.ready["host_key_fingerprint"], bank.get("/book")
    assert bank.stop() == 0
    bank.start()
    assert bank.ready["host_key_fingerprint"] == key
    assert bank.get("/book") == book
    assert bank.get("/clock")["date"] == "2026-11-24"


async def test_sigterm_stops_cleanly_while_a_client_hangs(new_bank, nacha) -> None:
    bank = new_bank()
    await bank.pay("pay.ach", nacha.pays(nacha.Pay()))
    bank.post("/faults", fault="hang_on_read")
    hanging = asyncio.create_task(bank.fetch("pay.ach.ack"))
    await asyncio.sleep(0.3)
    code = await asyncio.to_thread(bank.stop)
    assert code == 0
    with pytest.raises(BROKEN):
        await hanging
