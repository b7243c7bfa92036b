"""Every refusal the acknowledgement can carry, each doing nothing beyond what it names."""

import pytest


def _swap(content: bytes, line: int, start: int, text: str) -> bytes:
    lines = content.decode().split("\n")
    lines[line] = lines[line][:start] + text + lines[line][start + len(text) :]
    return "\n".join(lines).encode()


FILE_CASES = {
    "empty_file": lambda n: b"\n",
    "not_ascii": lambda n: n.pays(n.Pay()).replace(b"Receiver", "Recéver".encode()),
    "bad_character": lambda n: n.pays(n.Pay()).replace(b"Receiver", b"Rec\teive"),
    "bad_record_length": lambda n: n.pays(n.Pay()).replace(b"Receiver ", b"Receiver"),
    "bad_file_header": lambda n: n.pays(n.Pay()).replace(b"094101", b"094201"),
    "bad_record_order": lambda n: _swap(n.pays(n.Pay()), 2, 0, "7"),
    "bad_batch_header": lambda n: _swap(n.pays(n.Pay()), 1, 87, "000000X"),
    "bad_batch_control": lambda n: _swap(n.pays(n.Pay()), 3, 20, "X"),
    "batch_number_not_ascending": lambda n: n.file(
        n.Batch((n.Pay(),), number=2), n.Batch((n.Pay(seq=2),), number=2)
    ),
    "bad_file_control": lambda n: n.file(n.Batch((n.Pay(),)), control={"hash": "X" * 10}),
    "file_without_batches": lambda n: n.file(),
    "batch_count_mismatch": lambda n: n.file(n.Batch((n.Pay(),)), control={"batches": "000002"}),
    "block_count_mismatch": lambda n: n.file(n.Batch((n.Pay(),)), control={"blocks": "000002"}),
    "entry_addenda_count_mismatch": lambda n: n.file(
        n.Batch((n.Pay(),)), control={"count": "00000002"}
    ),
    "entry_hash_mismatch": lambda n: n.file(n.Batch((n.Pay(),)), control={"hash": "0000000007"}),
    "debit_total_mismatch": lambda n: n.file(n.Batch((n.Pay(),)), control={"debit": f"{1:012d}"}),
    "credit_total_mismatch": lambda n: n.file(
        n.Batch((n.Pay(),)), control={"credit": f"{1251:012d}"}
    ),
}


@pytest.mark.parametrize("reason", FILE_CASES)
async def test_file_that_cannot_be_trusted_is_refused_whole(bank, nacha, reason) -> None:
    (line,) = await bank.pay("bad.ach", FILE_CASES[reason](nacha))
    assert line.startswith("ACK|1|")
    assert line.endswith(f"|rejected|{reason}")
    assert bank.states() == {}
    assert bank.get("/files")["uploads"][0]["reason"] == reason


async def test_missing_padding_is_refused(bank, nacha) -> None:
    content = nacha.pays(nacha.Pay())
    (line,) = await bank.pay("short.ach", content.removesuffix(b"9" * 94 + b"\n"))
    assert line.endswith("|rejected|block_count_mismatch")


BATCH_CASES = {
    "bad_service_class": lambda n: n.Batch((n.Pay(),), service="280"),
    "bad_sec_code": lambda n: n.Batch((n.Pay(),), sec="XYZ"),
    "bad_effective_date": lambda n: n.Batch((n.Pay(),), effective="261131"),
    "bad_odfi": lambda n: n.Batch((n.Pay(),), odfi="1210428X"),
    "batch_without_entries": lambda n: n.Batch(()),
    "bad_field": lambda n: n.Batch((n.Pay(code="2X"),), control={"credit": f"{1250:012d}"}),
    "service_class_mismatch": lambda n: n.Batch((n.Pay(code="27"),)),
    "company_mismatch": lambda n: n.Batch((n.Pay(),), control={"company": "0000000000"}),
    "batch_number_mismatch": lambda n: n.Batch((n.Pay(),), control={"number": "0000009"}),
    "trace_not_ascending": lambda n: n.Batch((n.Pay(seq=2), n.Pay(seq=2))),
    "entry_addenda_count_mismatch": lambda n: n.Batch((n.Pay(),), control={"count": "000002"}),
    "entry_hash_mismatch": lambda n: n.Batch((n.Pay(),), control={"hash": "0000000001"}),
    "debit_total_mismatch": lambda n: n.Batch((n.Pay(),), control={"debit": f"{5:012d}"}),
    "credit_total_mismatch": lambda n: n.Batch((n.Pay(),), control={"credit": f"{5:012d}"}),
}


@pytest.mark.parametrize("reason", BATCH_CASES)
async def test_bad_batch_is_refused_and_the_good_one_executed(bank, nacha, reason) -> None:
    good = nacha.Batch((nacha.Pay(seq=9),), number=2)
    lines = await bank.pay("batch.ach", nacha.file(BATCH_CASES[reason](nacha), good))
    assert lines[0].endswith("|accepted|")
    assert lines[1:] == [f"BATCH|1|rejected|{reason}", "BATCH|2|accepted|"]
    assert bank.states() == {"121042880000009": "accepted"}


ENTRY_CASES = {
    "bad_transaction_code": lambda n: n.Pay(code="21"),
    "bad_routing": lambda n: n.Pay(routing="231380105"),
    "account_missing": lambda n: n.Pay(account=""),
    "name_missing": lambda n: n.Pay(name=""),
    "amount_zero": lambda n: n.Pay(cents=0),
    "amount_not_zero": lambda n: n.Pay(code="23", cents=1),
    "trace_odfi_mismatch": lambda n: n.Pay(trace_odfi="12104287"),
    "bad_addenda": lambda n: n.Pay(addenda=("one", "two is too many for PPD")),
    "refused": lambda n: n.Pay(account="10901"),
}


@pytest.mark.parametrize("reason", ENTRY_CASES)
async def test_bad_entry_is_refused_and_its_neighbour_executed(bank, nacha, reason) -> None:
    bad, good = ENTRY_CASES[reason](nacha), nacha.Pay(seq=2)
    lines = await bank.pay("entry.ach", nacha.file(nacha.Batch((bad, good))))
    assert lines[1:] == ["BATCH|1|accepted|", f"ENTRY|{bad.trace}|rejected|{reason}"]
    assert bank.states() == {bad.trace: "rejected", good.trace: "accepted"}
    bank.post("/clock", date="2026-12-31")
    assert bank.states() == {bad.trace: "rejected", good.trace: "settled"}


async def test_all_zero_routing_is_refused_though_its_check_digit_fits(bank, nacha) -> None:
    pay = nacha.Pay(routing="000000000")
    lines = await bank.pay("zeros.ach", nacha.file(nacha.Batch((pay,))))
    assert lines[2] == f"ENTRY|{pay.trace}|rejected|bad_routing"


async def test_trace_twice_in_a_file_is_executed_once(bank, nacha) -> None:
    batches = (nacha.Batch((nacha.Pay(),)), nacha.Batch((nacha.Pay(),), number=2))
    lines = await bank.pay("twice.ach", nacha.file(*batches))
    assert lines[3] == "ENTRY|121042880000001|rejected|duplicate_trace"
    states = [entry["state"] for entry in bank.get("/book")["entries"]]
    assert states == ["accepted", "rejected"]


async def test_duplicate_file_is_refused_under_any_name_and_executes_nothing(bank, nacha) -> None:
    content = nacha.pays(nacha.Pay())
    await bank.pay("one.ach", content)
    (again,) = await bank.pay("two.ach", content)
    assert again == "ACK|1|121042882-261123-0000-A|rejected|duplicate_file"
    await bank.upload("one.ach", content)
    assert "duplicate_file" in await bank.fetch("one.ach.2.ack")
    assert "|accepted|" in await bank.fetch("one.ach.ack")
    assert len(bank.get("/book")["entries"]) == 1


async def test_identity_stays_decided_after_a_refusal(bank, nacha) -> None:
    good = nacha.file(nacha.Batch((nacha.Pay(),)), time="0915")
    broken = nacha.file(nacha.Batch((nacha.Pay(),)), time="0915", control={"hash": "0000000001"})
    (first,) = await bank.pay("broken.ach", broken)
    assert first.endswith("entry_hash_mismatch")
    for name, content in (("good.ach", good), ("broken-again.ach", broken)):
        (line,) = await bank.pay(name, content)
        assert line.endswith("|rejected|duplicate_file")
    (_, accepted) = await bank.pay(
        "new.ach", nacha.file(nacha.Batch((nacha.Pay(),)), time="0915", modifier="B")
    )
    assert accepted == "BATCH|1|accepted|"


async def test_rules_refuse_file_batch_and_entry(bank, nacha) -> None:
    bank.post("/rules", behaviour="refuse_file", match={"account": "1"}, reason="held")
    bank.post("/rules", behaviour="refuse_batch", match={"amount_cents": 2}, reason="limit")
    bank.post("/rules", behaviour="refuse_entry", match={"individual_id": "three"})
    (line,) = await bank.pay("file.ach", nacha.pays(nacha.Pay(account="1"), nacha.Pay()))
    assert line.endswith("|rejected|held")
    batches = (
        nacha.Batch((nacha.Pay(seq=1, cents=2), nacha.Pay(seq=2))),
        nacha.Batch((nacha.Pay(seq=3, individual_id="three"), nacha.Pay(seq=4)), number=2),
    )
    assert (await bank.pay("rest.ach", nacha.file(*batches)))[1:] == [
        "BATCH|1|rejected|limit",
        "BATCH|2|accepted|",
        "ENTRY|121042880000003|rejected|refused",
    ]
    assert bank.states() == {"121042880000003": "rejected", "121042880000004": "accepted"}


async def test_rule_with_times_ends_after_its_uses(bank, nacha) -> None:
    bank.post("/rules", behaviour="refuse_entry", times=2)
    lines = await bank.pay("times.ach", nacha.pays(*[nacha.Pay()] * 4))
    assert [line.split("|")[1][-1] for line in lines[2:]] == ["1", "2"]
    assert bank.get("/rules")["rules"][0]["left"] == 0


async def test_seeded_chance_repeats_exactly(bank, nacha) -> None:
    outcomes = []
    for _ in range(2):
        bank.post("/reset", confirm="reset")
        bank.post("/clock", date="2026-11-23")
        bank.post("/rules", behaviour="refuse_entry", chance_bp=3000)
        content = nacha.file(nacha.Batch(tuple(nacha.Pay(seq=n) for n in range(1, 201))))
        outcomes.append((await bank.pay("chance.ach", content))[2:])
    assert outcomes[0] == outcomes[1]
    assert 30 < len(outcomes[0]) < 90
