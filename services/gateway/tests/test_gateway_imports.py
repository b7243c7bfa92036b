"""Imports: every row answered for itself, a broken upload gone on with, memory of one line (F61)."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_gateway.domain.rows import CSV, LINE_BYTES_MAX, NDJSON, nested, rows
from tally_gateway.importing import BATCH_ROWS

from .gateway_bench import Bench, party

ROWS = int(os.environ.get("TALLY_IMPORT_ROWS", "2000"))


def payout(wallet: str, amount: str = "25.00") -> dict[str, Any]:
    return {
        "wallet": wallet,
        "amount": {"currency": "USD", "amount": amount},
        "why": {"program": "mass", "event": "run:7", "reason": "Run 7"},
    }


async def chunked(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def grown(bench: Bench) -> tuple[str, str, str]:
    await bench.register("agg", "aggregator")
    await bench.register("acme", "company", "agg")
    await bench.register("other", "company", "agg")
    return await bench.key("acme"), await bench.wallet("acme"), await bench.wallet("other")


async def send(
    bench: Bench,
    key: str,
    data: bytes | AsyncIterator[bytes],
    *,
    name: str = "run-7",
    media: str = NDJSON,
    kind: str = "payouts",
) -> Any:
    return await bench.client.post(
        "/v1/imports",
        params={"kind": kind},
        content=chunked(data, 1000) if isinstance(data, bytes) else data,
        headers={
            "Authorization": f"Bearer {key}",
            "Idempotency-Key": name,
            "Content-Type": media,
        },
    )


async def answers(bench: Bench, key: str, import_id: str, **query: Any) -> list[dict[str, Any]]:
    answered = await bench.get(f"/v1/imports/{import_id}/rows", key, **query)
    assert answered.status_code == 200, answered.text
    return [json.loads(line) for line in answered.text.splitlines()]


def ndjson(found: Sequence[Any]) -> bytes:
    return b"\n".join(json.dumps(each).encode() for each in found)


async def test_a_wrong_row_has_its_own_code_and_spoils_no_other(bench: Bench) -> None:
    key, mine, theirs = await grown(bench)
    data = ndjson([payout(mine), payout(mine, "0.001"), payout(theirs), [1]]) + b"\n{\n"
    sent = await send(bench, key, data + ndjson([payout(mine)]))
    assert sent.status_code == 201, sent.text
    assert sent.json()["rows"] == {"accepted": 2, "invalid": 4}
    found = await answers(bench, key, sent.json()["id"])
    assert [(each["row"], each["state"], each["code"]) for each in found] == [
        (1, "accepted", None),
        (2, "invalid", "too_many_decimals"),
        (3, "invalid", "not_found"),
        (4, "invalid", "malformed_row"),
        (5, "invalid", "malformed_row"),
        (6, "accepted", None),
    ]
    assert found[1]["field"] == "/amount/amount"
    assert [each["remedy"] is None for each in found] == [each["code"] is None for each in found]
    assert found[1]["remedy"] == "give as many decimals as the currency has"
    assert [told.payout_id for _, _, told in await bench.commands_told()] == [
        found[0]["subject"],
        found[5]["subject"],
    ]


async def test_whatever_a_row_holds_it_spoils_no_other(bench: Bench) -> None:
    """Other encodings, a byte order mark, 10 MB without an end, and what JSON cannot mean."""
    key, mine, _ = await grown(bench)
    good = json.dumps(payout(mine)).encode()
    strange = payout(mine) | {"why": {"program": "mass", "event": "run:7", "reason": "Zürich"}}
    broken = [
        json.dumps(strange, ensure_ascii=False).encode("latin-1"),
        json.dumps(payout(mine)).encode("utf-16").replace(b"\n", b""),
        b'{"wallet": "' + b"x" * 10_000_000 + b'"}',
        json.dumps(strange).replace("Z", "\\u0000").encode(),
        json.dumps(strange).replace("Z", "\\ud800").encode(),
        b"[" * 60_000,
        b'{"amount": ' + b"9" * 60_000 + b"}",
        good.replace(b'"25.00"', b"NaN"),
        good.replace(b'"25.00"', b"25.00"),
        b"\xff\xfe\x00",
    ]
    data = b"\xef\xbb\xbf" + b"\r\n".join([good, *broken, good])
    sent = await send(bench, key, chunked(data, 60_000))
    assert sent.status_code == 201, sent.text
    found = await answers(bench, key, sent.json()["id"])
    assert [each["row"] for each in found if each["code"] is None] == [1, len(broken) + 2]
    assert all(each["remedy"] for each in found[1:-1])
    assert len(await bench.commands_told()) == 2


def pay_in(beneficiary: str, number: int = 1) -> dict[str, Any]:
    return {
        "external_id": f"cheque-{number}",
        "amount": {"currency": "USD", "amount": "10.00"},
        "originator": {"reference": "customer-7"},
        "company": party("acme"),
        "beneficiary": {"party": beneficiary},
        "value_date": "2026-09-21",
        "why": {"program": "mass", "event": "cheque:1", "reason": "A cheque"},
    }


async def test_money_may_name_parties_from_the_command_that_registers_them(bench: Bench) -> None:
    """The tree learns of a party a moment later: a row that is refused until then is never tried again."""
    key, *_ = await grown(bench)
    payee = {"kind": "payee", "parent": party("acme"), "reason": "Moving in"}
    sent = await send(bench, key, ndjson([payee, payee]), name="who", kind="parties")
    first, second = [row["subject"] for row in await answers(bench, key, sent.json()["id"])]
    rows = ndjson([pay_in(first, 1), pay_in(party("nobody"), 2), pay_in(second, 3)])
    sent = await send(bench, key, rows, name="what", kind="pay-ins")
    found = await answers(bench, key, sent.json()["id"])
    assert [row["code"] for row in found] == [None, "unknown_party", None]
    # Who did not ask for it may pay it when it is there: the side that paid first could take it over.
    of_agg = await bench.post("/v1/pay-ins", await bench.key("agg"), pay_in(first, 4))
    assert of_agg.json()["code"] == "unknown_party"
    _, _, asked = (await bench.commands_told())[1]
    command = await bench.one("SELECT event_id FROM command WHERE subject = $1", second)
    refused = {
        "command_id": asked.command_id,
        "command_type": asked.TYPE,
        "subject": second,
        "tenant": party("agg"),
        "code": "external_id_taken",
        "field": "/external_id",
        "detail": "another has this external id",
        "remedy": "use that party, or another external id",
        "who": {"actor": "key_1", "principal": party("acme")},
        "occurred_at": "2026-09-21T08:00:00Z",
    }
    of = ("directory.parties.v1", "directory.command.refused.v1")
    await bench.learn(bench.fact(*of, refused, caused_by=command["event_id"]))
    for subject, status in ((first, 202), (second, 422)):
        answer = await bench.post("/v1/pay-ins", key, pay_in(subject, 5))
        assert answer.status_code == status, "one that was refused is nobody"


async def test_an_import_reads_no_further_than_a_batch_before_it_has_answered(bench: Bench) -> None:
    """So memory holds a batch, whatever the number of rows: it is counted, not weighed."""
    key, mine, _ = await grown(bench)
    total, ahead = 12 * BATCH_ROWS, []

    async def stream() -> AsyncIterator[bytes]:
        for number in range(total):
            if number % BATCH_ROWS == BATCH_ROWS - 1:
                kept = await bench.one("SELECT count(*) AS rows FROM bulk_row")
                ahead.append(number - kept["rows"])
            yield json.dumps(payout(mine)).encode() + b"\n"

    sent = await send(bench, key, stream())
    assert sent.json()["rows_accepted"] == total
    assert max(ahead) <= 2 * BATCH_ROWS
    assert ahead[-1] == ahead[3], "as far at the end as at the beginning"


async def test_a_field_within_a_row_that_nobody_reads_is_refused_with_its_place(
    bench: Bench,
) -> None:
    key, mine, _ = await grown(bench)
    row = payout(mine)
    sent = await send(bench, key, ndjson([{**row, "why": {**row["why"], "mood": "good"}}, row]))
    found = await answers(bench, key, sent.json()["id"])
    assert [each["code"] for each in found] == ["unknown_field", None]
    assert found[0]["field"] == "/why/mood"


async def test_an_upload_that_broke_off_goes_on_and_nothing_is_done_twice(bench: Bench) -> None:
    key, mine, _ = await grown(bench)
    all_rows = [payout(mine, f"{number}.00") for number in range(1, 1201)]
    part = await send(bench, key, ndjson(all_rows[:700]))
    whole = await send(bench, key, ndjson(all_rows))
    again = await send(bench, key, ndjson(all_rows))
    assert part.json()["id"] == whole.json()["id"] == again.json()["id"]
    assert whole.json()["rows_accepted"] == again.json()["rows_accepted"] == 1200
    told = await bench.commands_told()
    assert [each.amount.amount for _, _, each in told] == [
        f"{number}.00" for number in range(1, 1201)
    ]
    found = await answers(bench, key, whole.json()["id"], after=1190)
    assert [each["row"] for each in found] == list(range(1191, 1201))


async def test_other_rows_under_the_same_key_are_refused_and_change_nothing(bench: Bench) -> None:
    key, mine, _ = await grown(bench)
    await send(bench, key, ndjson([payout(mine)]))
    other = await send(bench, key, ndjson([payout(mine, "26.00"), payout(mine)]))
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    assert len(await bench.commands_told()) == 1


async def test_a_cancelled_import_takes_in_no_more_rows_and_what_came_before_stands(
    bench: Bench,
) -> None:
    key, mine, _ = await grown(bench)
    beside = await bench.key("other")
    taken, goes_on = 2 * BATCH_ROWS, asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield ndjson([payout(mine, f"{number}.00") for number in range(1, taken + 1)]) + b"\n"
        await goes_on.wait()
        yield ndjson([payout(mine)] * BATCH_ROWS)

    sending = asyncio.create_task(send(bench, key, slowly()))
    one = {"rows_accepted": 0}
    while one["rows_accepted"] < taken:
        (one,) = (await bench.get("/v1/imports", key)).json()["data"] or [one]
    assert (one["state"], one["kind"]) == ("receiving", "payouts")
    assert (await bench.get("/v1/imports", beside)).json() == {"data": [], "next": None}
    path = f"/v1/imports/{one['id']}/cancel"
    assert (await bench.post(path, beside, {})).status_code == 404
    for _ in range(2):
        cancelled = await bench.post(path, key, {})
        assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    goes_on.set()
    for refused in (await sending, await send(bench, key, ndjson([payout(mine)]))):
        assert (refused.status_code, refused.json()["code"]) == (409, "import_cancelled")
    assert len(await bench.commands_told()) == taken


async def test_an_import_that_has_all_its_rows_cannot_be_cancelled(bench: Bench) -> None:
    key, mine, _ = await grown(bench)
    sent = (await send(bench, key, ndjson([payout(mine)]))).json()
    refused = await bench.post(f"/v1/imports/{sent['id']}/cancel", key, {})
    assert (refused.status_code, refused.json()["code"]) == (422, "import_received")
    assert (await bench.get(f"/v1/imports/{sent['id']}", key)).json() == sent


async def test_imports_are_listed_newest_first_page_by_page(bench: Bench) -> None:
    key, mine, _ = await grown(bench)
    made = []
    for number in range(3):
        sent = await send(bench, key, ndjson([payout(mine)]), name=f"run-{number}")
        made.append(sent.json()["id"])
        bench.clock.advance(timedelta(seconds=1))
    first = (await bench.get("/v1/imports", key, limit=2)).json()
    assert [each["id"] for each in first["data"]] == [made[2], made[1]]
    last = (await bench.get("/v1/imports", key, limit=2, after=first["next"])).json()
    assert ([each["id"] for each in last["data"]], last["next"]) == ([made[0]], None)


async def test_csv_has_the_fields_of_the_body_as_columns(bench: Bench) -> None:
    key, mine, _ = await grown(bench)
    header = "wallet,amount.currency,amount.amount,why.program,why.event,why.reason"
    data = f'{header}\r\n{mine},USD,12.50,mass,run:7,"Run 7, part 1"\r\n{mine},USD\r\n'
    sent = await send(bench, key, b"\xef\xbb\xbf" + data.encode(), media=CSV)
    assert sent.json()["rows"] == {"accepted": 1, "invalid": 1}, sent.text
    ((_, _, told),) = await bench.commands_told()
    assert (told.amount.amount, told.why.reason) == ("12.50", "Run 7, part 1")


async def test_an_import_needs_the_scope_of_its_rows_and_is_closed_to_others(bench: Bench) -> None:
    key, mine, _ = await grown(bench)
    poor = await bench.key("acme", scopes=frozenset({"imports:write"}))
    assert (await send(bench, poor, ndjson([payout(mine)]))).status_code == 403
    sent = await send(bench, key, ndjson([payout(mine)]))
    above, beside = await bench.key("agg"), await bench.key("other")
    path = f"/v1/imports/{sent.json()['id']}"
    assert (await bench.get(path, above)).status_code == 200
    for address in (path, f"{path}/rows"):
        assert (await bench.get(address, beside)).status_code == 404
    assert party("acme")


async def test_the_outcome_of_a_rows_command_is_the_rows_state(bench: Bench) -> None:
    key, mine, _ = await grown(bench)
    sent = await send(bench, key, ndjson([payout(mine)]))
    row = await bench.one("SELECT event_id, subject FROM command")
    refusal = {
        "command_type": "x",
        "subject": row["subject"],
        "code": "hold_refused",
        "field": "/amount",
        "detail": "no money",
        "remedy": "fund it",
        "who": {"actor": "k", "principal": party("acme")},
        "occurred_at": "2026-09-21T08:00:00Z",
    }
    await bench.learn(
        bench.fact(
            "funding.sources.v1",
            "funding.source_command.refused.v1",
            refusal,
            caused_by=row["event_id"],
        )
    )
    (found,) = await answers(bench, key, sent.json()["id"])
    assert (found["state"], found["code"], found["field"]) == ("refused", "hold_refused", "/amount")


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_many_rows_are_taken_in_with_partial_success(bench: Bench) -> None:
    key, mine, _ = await grown(bench)

    async def stream() -> AsyncIterator[bytes]:
        for number in range(ROWS):
            amount = "bad" if number % 1000 == 999 else "1.00"
            yield json.dumps(payout(mine, amount)).encode() + b"\n"

    sent = await bench.client.post(
        "/v1/imports",
        params={"kind": "payouts"},
        content=stream(),
        headers={
            "Authorization": f"Bearer {key}",
            "Idempotency-Key": "many",
            "Content-Type": NDJSON,
        },
        timeout=1800,
    )
    assert sent.json()["rows_accepted"] == ROWS - ROWS // 1000
    assert sent.json()["rows_refused"] == ROWS // 1000
    assert len(await answers(bench, key, sent.json()["id"])) == ROWS


@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.integers()), max_size=20),
    st.integers(1, 50),
)
async def test_rows_are_the_same_however_the_stream_is_cut(
    found: list[dict[str, int]], size: int
) -> None:
    data = ndjson(found)
    read = [row async for row in rows(chunked(data, size), NDJSON)]
    assert [row.fields for row in read] == found
    assert [row.number for row in read] == list(range(1, len(found) + 1))


@given(st.binary(max_size=300), st.integers(1, 40), st.sampled_from([NDJSON, CSV]))
async def test_no_bytes_break_the_reader(data: bytes, size: int, media: str) -> None:
    read = [row async for row in rows(chunked(data, size), media)]
    assert all((row.fields is None) == (row.fault is not None) for row in read)


@pytest.mark.parametrize("header", [b"a,b\rc", b'"a,b'])
async def test_under_a_header_that_cannot_be_read_no_row_is_taken_in(header: bytes) -> None:
    read = [row async for row in rows(chunked(header + b"\n1,2\n", 10), CSV)]
    assert [row.fields for row in read] == [None]
    assert str(read[0].fault).startswith("the header")


async def test_a_line_longer_than_a_row_is_refused_and_the_next_one_read() -> None:
    data = b"x" * (3 * LINE_BYTES_MAX) + b"\n{}\n"
    read = [row async for row in rows(chunked(data, 10_000), NDJSON)]
    assert [row.fault is None for row in read] == [False, True]


def test_columns_with_dots_are_objects_and_empty_cells_are_absent() -> None:
    assert nested({"a.b": "1", "a.c.d": "2", "e": "", "a.b.x": "3"}) == {
        "a": {"b": {"x": "3"}, "c": {"d": "2"}}
    }
