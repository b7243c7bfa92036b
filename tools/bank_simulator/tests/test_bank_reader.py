"""The reader as a judge: no damaged file is executed as if it were whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_bank_simulator.errors import FileRefusedError
from tally_bank_simulator.nacha_fields import check_digit, is_routing
from tally_bank_simulator.nacha_read import PaymentFile, read_file

MONEY_FIELDS = [(29, 39), (3, 11), (1, 3)]


@pytest.fixture(scope="session")
def whole() -> bytes:
    lines = [
        "101 231380104 1210428822611230000A094101" + " " * 54,
        "5220Payer           " + " " * 20 + "1234567890PPDPAYOUT    " + " " * 6,
        "62223138010455550100         0000001250ID             Receiver" + " " * 16 + "0",
        "62223138010455550101         0000000750ID             Receiver" + " " * 16 + "0",
        "8220000002004627602000000000000000000000200012345678" + "90" + " " * 25,
        "9000001000001000000020046276020000000000000000000002000" + " " * 39,
    ]
    lines[1] += "261124   1121042880000001"
    lines[2] += "121042880000001"
    lines[3] += "121042880000002"
    lines[4] += "121042880000001"
    lines += ["9" * 94] * 4
    return "".join(f"{line}\n" for line in lines).encode()


def _executed(content: bytes) -> list[tuple[str, str, str, int]] | None:
    """What a bank would execute of this content; None if the file is refused."""
    try:
        file: PaymentFile = read_file(content)
    except FileRefusedError:
        return None
    return [
        (entry.trace, entry.transaction_code, entry.routing, entry.amount_cents)
        for batch in file.batches
        if batch.problem is None
        for entry in batch.entries
        if entry.problem is None
    ]


def test_whole_file_is_executed(whole) -> None:
    assert _executed(whole) == [
        ("121042880000001", "22", "231380104", 1250),
        ("121042880000002", "22", "231380104", 750),
    ]


@given(st.data())
def test_changed_digit_of_money_or_receiver_is_never_executed(whole, data) -> None:
    line, (start, end) = (
        data.draw(st.sampled_from([2, 3])),
        data.draw(st.sampled_from(MONEY_FIELDS)),
    )
    at = line * 95 + data.draw(st.integers(start, end - 1))
    digit = data.draw(st.sampled_from([c for c in b"0123456789" if c != whole[at]]))
    damaged = whole[:at] + bytes([digit]) + whole[at + 1 :]
    executed = _executed(damaged) or []
    # A code is not under any total: 22 may become 32 (savings) and is a payment of its own.
    assert all(paid[2:] in {("231380104", 1250), ("231380104", 750)} for paid in executed)


@given(st.binary(max_size=600) | st.text(max_size=400).map(str.encode))
def test_any_bytes_are_refused_or_read_but_never_crash_the_bank(content) -> None:
    assert _executed(content) is None


@given(st.data())
def test_any_damage_to_a_real_file_is_handled(whole, data) -> None:
    at = data.draw(st.integers(0, len(whole) - 1))
    cut = data.draw(st.integers(0, 120))
    damaged = whole[:at] + data.draw(st.binary(max_size=6)) + whole[at + cut :]
    executed = _executed(damaged)
    assert executed is None or len(executed) <= 2


@given(st.text("0123456789", min_size=8, max_size=8))
def test_check_digit_makes_a_routing_number_and_no_other_does(first) -> None:
    valid = [digit for digit in "0123456789" if is_routing(first + digit)]
    assert valid == ([] if first == "00000000" else [check_digit(first)])
