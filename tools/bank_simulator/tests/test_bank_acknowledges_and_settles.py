"""F33: what a well-formed file leads to, up to settlement."""

import time


async def test_accepted_file_is_acknowledged_and_settles_on_its_effective_date(bank, nacha) -> None:
    first, second = nacha.Pay(cents=1250), nacha.Pay(cents=700, code="32", individual_id="A-2")
    lines = await bank.pay("pay.ach", nacha.pays(first, second))
    assert lines == ["ACK|1|121042882-261123-0000-A|accepted|", "BATCH|1|accepted|"]
    assert set(bank.states().values()) == {"accepted"}

    bank.post("/clock", advance_days=1)
    entry = bank.book()["121042880000002"]
    assert entry["history"] == [
        {"state": "received", "on": "2026-11-23"},
        {"state": "accepted", "on": "2026-11-23"},
        {"state": "settled", "on": "2026-11-24"},
    ]
    shown = {name: entry[name] for name in ("routing", "account", "amount_cents", "individual_id")}
    assert shown == {
        "routing": "231380104",
        "account": "55550100",
        "amount_cents": 700,
        "individual_id": "A-2",
    }
    assert bank.get("/book")["days"] == [
        {"date": "2026-11-23", "accepted_credit_count": 2, "accepted_credit_cents": 1950},
        {"date": "2026-11-24", "settled_credit_count": 2, "settled_credit_cents": 1950},
    ]


async def test_settlement_waits_over_thanksgiving_and_the_weekend(bank, nacha) -> None:
    await bank.pay("holiday.ach", nacha.pays(nacha.Pay(), effective="261126"))
    await bank.pay("saturday.ach", nacha.pays(nacha.Pay(), effective="261128"))
    assert [entry["settles_on"] for entry in bank.get("/book")["entries"]] == [
        "2026-11-27",
        "2026-11-30",
    ]
    bank.post("/clock", date="2026-11-26")
    assert bank.get("/book?state=settled")["entries"] == []
    bank.post("/clock", date="2026-11-29")
    assert len(bank.get("/book?state=settled")["entries"]) == 1
    bank.post("/clock", date="2026-11-30")
    assert len(bank.get("/book?state=settled&since=2026-11-30")["entries"]) == 1


async def test_stale_or_blank_effective_date_settles_the_same_banking_day(bank, nacha) -> None:
    await bank.pay("stale.ach", nacha.pays(nacha.Pay(), effective="261101"))
    entry = bank.book()["121042880000001"]
    assert (entry["settles_on"], entry["state"]) == ("2026-11-23", "settled")


async def test_crlf_and_unbroken_files_are_read_like_lf(bank, nacha) -> None:
    for name, newline in (("crlf.ach", "\r\n"), ("flat.ach", "")):
        odfi = "23138010" if newline else "12104288"
        batch = nacha.Batch((nacha.Pay(trace_odfi=odfi),), odfi=odfi)
        lines = await bank.pay(name, nacha.file(batch, newline=newline))
        assert lines[0].endswith("|accepted|")
    assert len(bank.states()) == 2


async def test_prenotes_addenda_and_debits_are_executed(bank, nacha) -> None:
    pays = (
        nacha.Pay(code="23", cents=0, seq=1),
        nacha.Pay(code="22", addenda=("RMT*1",), seq=2),
        nacha.Pay(code="27", cents=300, seq=3),
    )
    lines = await bank.pay("mixed.ach", nacha.file(nacha.Batch(pays, service="200")))
    assert lines[1:] == ["BATCH|1|accepted|"]
    assert [e["direction"] for e in bank.get("/book")["entries"]] == ["credit", "credit", "debit"]


async def test_ten_thousand_entries_are_acknowledged_in_three_seconds(bank, nacha) -> None:
    pays = tuple(
        nacha.Pay(account=f"{seq:08d}7", seq=seq, cents=seq, individual_id=f"P{seq}")
        for seq in range(1, 10_001)
    )
    content = nacha.file(nacha.Batch(pays))
    started = time.monotonic()
    lines = await bank.pay("big.ach", content)
    seconds = time.monotonic() - started
    assert lines[1:] == ["BATCH|1|accepted|"]
    assert bank.get("/book?limit=1")["days"][0]["accepted_credit_count"] == 10_000
    assert seconds < 3, f"{seconds:.2f} s"


async def test_book_is_read_in_pages(bank, nacha) -> None:
    await bank.pay("pages.ach", nacha.pays(*[nacha.Pay()] * 5))
    page = bank.get("/book?limit=2")["entries"]
    rest = bank.get(f"/book?after={page[-1]['entry_id']}")["entries"]
    assert len(page) == 2
    assert len(rest) == 3
    assert bank.get("/book?trace=121042880000004")["entries"][0]["trace"] == "121042880000004"
