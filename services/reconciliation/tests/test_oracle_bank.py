"""The bank's own book against ours, over HTTP as the bank offers it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tally_reconciliation import BankUnreadable, Check, Verdict

from .conftest import Day

pytestmark = pytest.mark.stack

TODAY, BEFORE = "2031-01-08", "2031-01-07"
TRACES = {name: f"12104288{n:07d}" for n, name in enumerate(("paid", "returned", "failed"), 1)}
TRACES["transit"] = "121042880000004"


@dataclass
class Bank:
    """A bank that agrees with the day's story until told otherwise."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200

    def add(self, name: str, state: str, cents: int = 9720, on: str = BEFORE) -> None:
        self.entries.append(
            {
                "entry_id": len(self.entries) + 1,
                "trace": TRACES.get(name, name),
                "amount_cents": cents,
                "direction": "credit",
                "state": state,
                "history": [{"state": "received", "on": BEFORE}, {"state": state, "on": on}],
            }
        )

    def of(self, name: str) -> dict[str, Any]:
        return next(entry for entry in self.entries if entry["trace"] == TRACES[name])


def agreeing() -> Bank:
    bank = Bank()
    for name, state in (
        ("paid", "settled"),
        ("returned", "returned"),
        ("failed", "rejected"),
        ("transit", "accepted"),
    ):
        bank.add(name, state)
    return bank


@contextmanager
def serving(bank: Bank) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            after = int(query["after"][0])
            page = [e for e in bank.entries if e["entry_id"] > after][: int(query["limit"][0])]
            body = json.dumps({"date": TODAY, "entries": page, "repeated_traces": []}).encode()
            self.send_response(bank.status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing of it belongs in the test's output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def judged(day: Day, bank: Bank) -> tuple[Check, list[str]]:
    with serving(bank) as url:
        check = (await day.judge(bank_url=url)).check("O7")
    return check, [fault.what for fault in check.faults]


async def test_a_bank_that_did_what_we_asked_is_green(day: Day):
    check, said = await judged(day, agreeing())
    assert said == []
    assert check.verdict is Verdict.GREEN
    assert check.figures == {"attempts": 5, "entries": 4, "executed": 3}


async def test_an_entry_executed_twice_is_red(day: Day):
    bank = agreeing()
    bank.add("paid", "settled")
    _, said = await judged(day, bank)
    assert said == ["executed_twice"]


async def test_another_amount_at_the_bank_is_red(day: Day):
    bank = agreeing()
    bank.of("paid")["amount_cents"] = 9721
    _, said = await judged(day, bank)
    assert said == ["bank_amount_differs"]


async def test_money_the_bank_sent_without_our_asking_is_red(day: Day):
    bank = agreeing()
    bank.add("999999990000001", "settled")
    check, said = await judged(day, bank)
    assert said == ["bank_executed_unknown"]
    assert check.faults[0].row["trace"] == "999999990000001"


async def test_a_payment_the_bank_never_had_is_red(day: Day):
    bank = agreeing()
    bank.entries.remove(bank.of("paid"))
    check, said = await judged(day, bank)
    assert said == ["bank_never_had_it"]
    assert check.faults[0].row["trace"] == TRACES["paid"]


async def test_a_refused_entry_sent_again_counts_by_what_was_executed(day: Day):
    bank = agreeing()
    bank.entries.insert(0, {**bank.of("paid"), "entry_id": 0, "state": "rejected"})
    bank.entries[0]["entry_id"] = 99
    check, said = await judged(day, bank)
    assert said == []
    assert check.verdict is Verdict.GREEN


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("paid", "returned"),
        ("transit", "settled"),
        ("transit", "returned"),
        ("transit", "rejected"),
    ],
)
async def test_yesterdays_news_not_taken_in_is_red(day: Day, name: str, state: str):
    bank = agreeing()
    bank.of(name).update(state=state, history=[{"state": state, "on": BEFORE}])
    check, said = await judged(day, bank)
    assert check.verdict is Verdict.RED
    assert said in (["bank_news_not_taken_in"], ["bank_state_differs"])


async def test_todays_news_may_still_be_on_its_way(day: Day):
    bank = agreeing()
    bank.of("paid").update(state="returned", history=[{"state": "returned", "on": TODAY}])
    check, said = await judged(day, bank)
    assert said == []
    assert check.verdict is Verdict.SKIPPED
    assert "the bank has 1 news of today" in check.summary


@pytest.mark.parametrize(
    ("name", "state"), [("paid", "accepted"), ("returned", "settled"), ("failed", "settled")]
)
async def test_a_bank_that_did_less_than_we_say_is_red(day: Day, name: str, state: str):
    bank = agreeing()
    bank.of(name)["state"] = state
    check, said = await judged(day, bank)
    assert check.verdict is Verdict.RED
    assert said == ["bank_state_differs"]


async def test_a_bank_that_does_not_answer_is_no_verdict(day: Day):
    with pytest.raises(BankUnreadable, match="TALLY_BANK_ADMIN_URL"):
        await judged(day, Bank(status=500))
