"""Returns and notices of change: true ones, early, late, doubled, and wrong ones."""

import pytest

TRACE = "121042880000001"


async def _one(bank, nacha, account: str, **pay: object) -> None:
    lines = await bank.pay("pay.ach", nacha.pays(nacha.Pay(account=account, **pay)))
    assert lines[1:] == ["BATCH|1|accepted|"]


async def test_return_before_settlement_comes_at_once_and_the_entry_never_settles(
    bank, nacha
) -> None:
    await _one(bank, nacha, "5550003")
    await bank.fetch("RET-2026-11-23-1.ach")
    (file,) = await bank.returns()
    (item,) = file.items
    assert (item.code, item.kind, item.original_trace, item.cents) == ("R03", "99", TRACE, 1250)
    assert (item.entry[:3], item.sec, item.original_rdfi) == ("621", "PPD", "23138010")
    bank.post("/clock", date="2026-12-10")
    entry = bank.book()[TRACE]
    assert [step["state"] for step in entry["history"]] == ["received", "accepted", "returned"]
    assert entry["return_code"] == "R03"


@pytest.mark.parametrize(
    ("suffix", "code", "on"),
    [
        ("0002", "R02", "2026-11-25"),
        ("0016", "R16", "2026-11-25"),
        ("0014", "R14", "2026-11-27"),
        ("0098", "R02", "2026-12-09"),
        ("0099", "R99", "2026-11-25"),
    ],
)
async def test_return_after_settlement_comes_on_its_banking_day(
    bank, nacha, suffix, code, on
) -> None:
    await _one(bank, nacha, f"555{suffix}")
    bank.post("/clock", date="2026-11-24")
    assert bank.states() == {TRACE: "settled"}
    bank.post("/clock", date="2026-12-31")
    entry = bank.book()[TRACE]
    assert entry["history"][2:] == [
        {"state": "settled", "on": "2026-11-24"},
        {"state": "returned", "on": on},
    ]
    (file,) = await bank.returns()
    assert file.name == f"RET-{on}-1.ach"
    assert file.header[23:29] == on[2:].replace("-", "")
    assert [item.code for item in file.items] == [code]


async def test_unauthorised_suffixes_return_debits_and_leave_credits_alone(bank, nacha) -> None:
    pays = (nacha.Pay(account="50010", code="27", seq=1), nacha.Pay(account="50010", seq=2))
    await bank.pay("both.ach", nacha.file(nacha.Batch(pays, service="200")))
    bank.post("/clock", date="2027-01-31")
    assert bank.states() == {TRACE: "returned", "121042880000002": "settled"}
    ((item,),) = [file.items for file in await bank.returns()]
    assert (item.code, item.entry[1:3]) == ("R10", "26")


@pytest.mark.parametrize(
    ("suffix", "code", "corrected"),
    [
        ("0198", "C01", "5550100"),
        ("0298", "C02", "011000015"),
        ("0398", "C03", "011000015   5550100"),
        ("0598", "C05", "32"),
    ],
)
async def test_notice_of_change_corrects_and_the_payment_stands(
    bank, nacha, suffix, code, corrected
) -> None:
    await _one(bank, nacha, f"555{suffix}")
    bank.post("/clock", date="2026-12-31")
    entry = bank.book()[TRACE]
    assert entry["state"] == "settled"
    ((item,),) = [file.items for file in await bank.returns()]
    assert (item.code, item.kind, item.sec) == (code, "98", "COR")
    assert (item.cents, item.original_trace, item.corrected) == (0, TRACE, corrected)
    assert [notice["code"] for notice in entry["notices"]] == [code]


@pytest.mark.parametrize("same_reference", [False, True])
async def test_doubled_return_is_two_files_and_one_return_in_the_book(
    bank, nacha, same_reference
) -> None:
    bank.post(
        "/rules",
        behaviour="doubled_return",
        code="R02",
        match={"trace": TRACE},
        same_reference=same_reference,
    )
    await _one(bank, nacha, "5550100")
    bank.post("/clock", date="2026-12-31")
    first, second = [file.items[0] for file in await bank.returns()]
    assert first.original_trace == second.original_trace == TRACE
    assert (first.trace == second.trace) is same_reference
    entry = bank.book()[TRACE]
    assert entry["state"] == "returned"
    assert [notice["is_copy"] for notice in entry["notices"]] == [False, True]
    assert bank.get("/book")["days"][-1]["returned_credit_count"] == 1


async def test_return_with_unknown_trace_leaves_the_entry_settled(bank, nacha) -> None:
    await _one(bank, nacha, "5550903")
    bank.post("/clock", date="2026-12-31")
    ((item,),) = [file.items for file in await bank.returns()]
    assert item.original_trace == "121042889999999"
    assert bank.states() == {TRACE: "settled"}


async def test_return_with_wrong_amount_leaves_the_entry_settled(bank, nacha) -> None:
    bank.post(
        "/rules",
        behaviour="wrong_amount_return",
        code="R02",
        amount_cents=999,
        match={"account": "77"},
    )
    pays = nacha.Pay(account="77"), nacha.Pay(account="5550904", cents=40)
    await bank.pay("pay.ach", nacha.pays(*pays))
    bank.post("/clock", date="2026-12-31")
    (file,) = await bank.returns()
    assert [(item.original_trace[-1], item.cents) for item in file.items] == [("1", 999), ("2", 41)]
    assert set(bank.states().values()) == {"settled"}


async def test_rule_for_a_booked_trace_returns_it_after_it_settled(bank, nacha) -> None:
    await bank.pay("pay.ach", nacha.pays(nacha.Pay(), nacha.Pay()))
    bank.post("/clock", date="2026-12-15")
    rule = {"behaviour": "return", "code": "R23", "match": {"trace": TRACE}, "existing": True}
    assert bank.post("/rules", **rule)["existing_reached"] == 1
    assert bank.states() == {TRACE: "returned", "121042880000002": "settled"}
    assert bank.post("/rules", **rule)["existing_reached"] == 0
    (file,) = await bank.returns()
    assert (file.name, len(file.items)) == ("RET-2026-12-15-1.ach", 1)


async def test_two_rules_in_time_for_one_entry_return_it_once(bank, nacha) -> None:
    await _one(bank, nacha, "5550002")
    for _ in range(2):
        bank.post("/rules", behaviour="return", code="R23", match={"trace": TRACE}, existing=True)
    bank.post("/clock", date="2026-12-31")
    ((item,),) = [file.items for file in await bank.returns()]
    assert (item.code, bank.book()[TRACE]["return_code"]) == ("R02", "R02")


async def test_accept_rule_and_switch_override_account_suffixes(bank, nacha) -> None:
    bank.post("/rules", behaviour="accept", match={"account": "5550003"})
    await _one(bank, nacha, "5550003")
    assert bank.call("PUT", "/rules/account-suffixes", {"enabled": False}).is_success
    await bank.pay("off.ach", nacha.file(nacha.Batch((nacha.Pay(account="0901", seq=5),))))
    bank.post("/clock", date="2026-12-31")
    assert set(bank.states().values()) == {"settled"}
    assert await bank.returns() == []


async def test_returns_of_one_day_share_a_file_by_bank_and_company(bank, nacha) -> None:
    pays = (
        nacha.Pay(account="10002", seq=1),
        nacha.Pay(account="20002", seq=2, routing="011000015"),
        nacha.Pay(account="30198", seq=3),
        nacha.Pay(account="40016", seq=4),
    )
    await bank.pay("pay.ach", nacha.file(nacha.Batch(pays)))
    bank.post("/clock", date="2026-12-31")
    (file,) = await bank.returns()
    shown = {item.original_trace[-1]: (item.code, item.batch[79:87]) for item in file.items}
    assert shown == {
        "1": ("R02", "23138010"),
        "2": ("R02", "01100001"),
        "3": ("C01", "23138010"),
        "4": ("R16", "23138010"),
    }
    assert file.trailer[1:7] == "000003"
    assert file.header[3:23] == " 121042882 231380104"
    assert len({item.trace for item in file.items}) == 4


async def test_international_return_carries_the_mandatory_addenda(bank, nacha) -> None:
    seq = "0000001"
    kinds = ("10", "11", "12", "13", "14", "15", "16")
    addenda = [f"7{kind}{kind * 42}{seq}" for kind in kinds]
    entry = (
        f"622231380104{len(addenda):04d}{'':13}{1250:010d}{'DE5550002':35}{'':4}1{'12104288'}{seq}"
    )
    header = f"5220{'':16}FF3{'':15}US1234567890IATPAYOUT    USDUSD261124   1121042880000001"
    plain = nacha.file(nacha.Batch((nacha.Pay(),), number=1)).decode().split("\n")
    control = f"8220{8:06d}{plain[3][10:]}"
    trailer = f"9{1:06d}{2:06d}{8:08d}{plain[4][21:]}"
    lines = [plain[0], header, entry, *addenda, control, trailer]
    lines += ["9" * 94] * (20 - len(lines))
    acknowledgement = await bank.pay("iat.ach", "".join(f"{line}\n" for line in lines).encode())
    assert acknowledgement[1:] == ["BATCH|1|accepted|"]
    bank.post("/clock", date="2026-12-31")
    ((item,),) = [file.items for file in await bank.returns()]
    assert item.sec == "IAT"
    assert [record[1:3] for record in item.addenda] == [*kinds, "99"]
    assert item.entry[12:16] == "0008"
    assert item.addenda[-1][35:45] == f"{1250:010d}"
    assert {record[87:94] for record in item.addenda} == {item.trace[8:]}


async def test_returns_of_several_uploads_share_the_file_of_the_day(bank, nacha) -> None:
    for seq in (1, 2):
        batch = nacha.Batch((nacha.Pay(account="50002", seq=seq),))
        await bank.pay(f"pay-{seq}.ach", nacha.file(batch))
    bank.post("/clock", date="2026-12-31")
    (file,) = await bank.returns()
    assert [item.original_trace[-1] for item in file.items] == ["1", "2"]


async def test_wrong_amount_of_the_largest_payment_still_fits_its_field(bank, nacha) -> None:
    await _one(bank, nacha, "5550904", cents=9_999_999_999)
    bank.post("/clock", date="2026-12-31")
    ((item,),) = [file.items for file in await bank.returns()]
    assert item.cents == 9_999_999_998
