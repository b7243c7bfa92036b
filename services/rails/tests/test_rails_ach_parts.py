"""The parts of the ACH rail by themselves: details, acknowledgements, tables, settings, pace."""

import contextlib
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tally_bankfiles.nacha import (
    AchTextError,
    CorrectedDetails,
    Origin,
    build_credit_file,
    read_file,
    routing_check_digit,
    to_ach_text,
    write_file,
)
from tally_money import Money
from tally_railkit import AttemptState, InstrumentProblem
from tally_rails.rails.ach.acknowledgements import AcknowledgementError, parse_acknowledgement
from tally_rails.rails.ach.adapter import AchRail
from tally_rails.rails.ach.config import AchSettings
from tally_rails.rails.ach.cutting import may_cut
from tally_rails.rails.ach.details import AchDetails
from tally_rails.rails.ach.mapping import MEANINGS, UNKNOWN_RETURN, refusal_code, return_code
from tally_runtime import SettingsError, load_settings

GOOD = {
    "routing_number": "231380104",
    "account_number": "55550100",
    "account_type": "checking",
    "holder_name": "Ann Ex",
}
ORIGIN = Origin(
    immediate_destination="231380104",
    immediate_destination_name="Bank",
    immediate_origin="121042882",
    immediate_origin_name="Us",
    odfi_identification="12104288",
    company_name="Us",
    company_identification="1234567890",
)
BANK = {
    "environment": "test",
    "kafka": "127.0.0.1:9092",
    "host": "127.0.0.1",
    "user": "u",
    "password": "p",
    "host_key_fingerprint": "SHA256:" + "A" * 43,
    "immediate_destination": "231380104",
    "immediate_destination_name": "Bank",
    "immediate_origin": "121042882",
    "immediate_origin_name": "Us",
    "odfi": "12104288",
    "company_name": "Us",
    "company_identification": "1234567890",
}


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("routing_number", "", "routing_number_malformed"),
        ("routing_number", "23138010", "routing_number_malformed"),
        ("routing_number", "\uff12" + "31380104", "routing_number_malformed"),
        ("routing_number", "000000000", "routing_number_check_digit"),
        ("routing_number", "231380105", "routing_number_check_digit"),
        ("account_number", "", "account_number_malformed"),
        ("account_number", "1" * 18, "account_number_malformed"),
        ("account_number", "12 34", "account_number_malformed"),
        ("account_number", "123\n", "account_number_malformed"),
        ("account_type", "loan", "account_type_unknown"),
        ("account_type", "", "account_type_unknown"),
        ("holder_name", "  ", "holder_name_missing"),
        ("holder_name", "x" * 141, "holder_name_missing"),
        ("holder_name", "\u200b", "holder_name_not_latin"),
    ],
)
def test_bad_detail_is_refused_with_its_code_field_and_remedy(field, value, code):
    with pytest.raises(InstrumentProblem) as caught:
        AchDetails.parse({**GOOD, field: value})
    assert (caught.value.code, caught.value.field) == (code, field)
    assert caught.value.remedy.endswith(".")
    without = {name: GOOD[name] for name in GOOD if name != field}
    with pytest.raises(InstrumentProblem):
        AchDetails.parse(without)


eights = st.text("0123456789", min_size=8, max_size=8).filter(lambda text: text != "0" * 8)


@given(
    routing=eights.map(lambda text: text + str(routing_check_digit(text))),
    account=st.from_regex(r"[A-Za-z0-9-]{1,17}", fullmatch=True),
    kind=st.sampled_from(["checking", "savings"]),
    name=st.text(min_size=1, max_size=60),
    minor=st.integers(1, 9_999_999_999),
)
def test_whatever_details_are_taken_can_be_written_to_a_file(routing, account, kind, name, minor):
    try:
        to_ach_text(name)
    except AchTextError:
        assume(False)
    assume(len(name.strip()) > 0)
    details = AchDetails.parse(
        {
            "routing_number": routing,
            "account_number": account,
            "account_type": kind,
            "holder_name": name,
        }
    )
    assert AchDetails.parse(details.fields()) == details
    amount = Money.parse("0.01", "USD")
    credit = details.credit("att_452n5jepp3afjvwa0ppc7j25y0", Money(minor, amount.currency))
    data = write_file(
        build_credit_file(
            ORIGIN,
            [credit],
            effective_date=date(2026, 11, 24),
            id_modifier="A",
            created_at=datetime(2026, 11, 23, 9, 0, tzinfo=ZoneInfo("America/New_York")),
        )
    )
    [entry] = read_file(data).batches[0].entries
    assert (entry.routing, entry.account, entry.amount_minor) == (routing, account, minor)


@given(st.from_regex(r"[0-9]{1,17}", fullmatch=True))
def test_masked_form_shows_less_than_half_of_the_number(account):
    masked = AchDetails.parse({**GOOD, "account_number": account}).checked().masked
    tail = masked.partition("…")[2]
    assert account.endswith(tail)
    assert len(tail) <= 4
    assert 2 * len(tail) < len(account) or not tail


def test_correction_to_a_loan_account_is_no_detail_we_pay_to():
    details = AchDetails.parse(GOOD)
    with pytest.raises(InstrumentProblem) as caught:
        details.corrected(CorrectedDetails(transaction_code=52))
    assert caught.value.code == "account_type_unknown"


IDENTITY = "121042882-261123-0915-A"
TRACE = "121042880000001"


def test_acknowledgement_names_the_refused_and_accepts_the_rest():
    ack = parse_acknowledgement(
        f"ACK|1|{IDENTITY}|accepted|\nBATCH|1|accepted|\nENTRY|{TRACE}|rejected|bad_routing\n"
        "BATCH|2|rejected|bad_odfi\nEND|5\n".encode()
    )
    assert ack.identity == IDENTITY
    assert ack.refusal_of(1, TRACE) == "bad_routing"
    assert ack.refusal_of(1, "121042880000002") is None
    assert ack.refusal_of(2, "121042880000003") == "bad_odfi"


def test_refused_file_refuses_every_entry_even_where_its_identity_was_unreadable():
    ack = parse_acknowledgement(b"ACK|1|-|rejected|not_ascii\r\nEND|2\r\n")
    assert ack.identity is None
    assert ack.refusal_of(1, TRACE) == "not_ascii"


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"ACK|1|{IDENTITY}|accepted|\n",
        f"ACK|1|{IDENTITY}|accepted|\nEND|3\n",
        f"ACK|2|{IDENTITY}|accepted|\nEND|2\n",
        f"ACK|1|{IDENTITY}|accepted|why\nEND|2\n",
        f"ACK|1|{IDENTITY}|rejected|\nEND|2\n",
        f"ACK|1|{IDENTITY}|maybe|\nEND|2\n",
        f"ACK|1|{IDENTITY}|accepted|\nBATCH|x|accepted|\nEND|3\n",
        f"ACK|1|{IDENTITY}|accepted|\nENTRY|{TRACE}|accepted|\nEND|3\n",
        f"ACK|1|{IDENTITY}|accepted|\nENTRY|{TRACE}|rejected|a\nENTRY|{TRACE}|rejected|b\nEND|4\n",
        f"ACK|1|{IDENTITY}|accepted|\nNEWS|1\nEND|3\n",
    ],
)
def test_broken_acknowledgement_is_refused_whole(text):
    with pytest.raises(AcknowledgementError):
        parse_acknowledgement(text.encode())


@given(st.binary(max_size=300) | st.text("ACKBTHENTRYD|1-\n", max_size=80).map(str.encode))
def test_no_bytes_break_the_acknowledgement_parser(data):
    with contextlib.suppress(AcknowledgementError):
        assert parse_acknowledgement(data).identity != ""


def test_every_return_code_means_a_return_and_unknown_ones_are_for_an_operator():
    for code in ("R01", "R02", "R03", "R16", "R23", "R85"):
        assert MEANINGS[return_code(code)].state is AttemptState.RETURNED
    assert return_code("R99") == UNKNOWN_RETURN
    assert MEANINGS[UNKNOWN_RETURN].action == "operator"
    assert MEANINGS["R16"].action == "freeze_party"
    assert MEANINGS["R23"].action == "disable_method"


def test_only_reasons_about_details_disable_the_details():
    assert MEANINGS[refusal_code("bad_routing")].action == "fix_details"
    assert MEANINGS[refusal_code("duplicate_trace")].action == "operator"


def test_short_windows_never_use_up_the_identities_of_a_minute():
    used = 0
    for second in range(60):
        used += may_cut(used, second=second, full=False)
    assert 30 <= used <= 36
    assert may_cut(35, second=0, full=True)
    assert not may_cut(36, second=59, full=True)


@given(st.integers(0, 10**9), st.sampled_from([1, 60, 300, 86_400]))
def test_order_waits_for_the_end_of_its_window_and_no_longer(seconds, window):
    rail = AchRail(AchSettings(environment="test", kafka="h:1", window_s=window))
    now = datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC")) + timedelta(seconds=seconds)
    due = rail.due_at(now)
    assert now < due <= now + timedelta(seconds=window)
    assert due.timestamp() % window == 0


def test_bank_without_its_particulars_is_refused_by_the_names_of_the_variables():
    with pytest.raises(SettingsError) as caught:
        load_settings(AchSettings, environment="test", kafka="h:1", host="bank.example")
    for name in ("PASSWORD", "HOST_KEY_FINGERPRINT", "ODFI", "COMPANY_NAME"):
        assert f"TALLY_RAILS_ACH_{name}" in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"immediate_destination": "231380105"}, "IMMEDIATE_DESTINATION"),
        ({"zone": "Mars/Olympus"}, "TALLY_RAILS_ACH_ZONE"),
        ({"host_key_fingerprint": "MD5:00"}, "TALLY_RAILS_ACH_HOST_KEY_FINGERPRINT"),
        ({"company_name": "Übermut"}, "TALLY_RAILS_ACH_COMPANY_NAME"),
        ({"window_s": 0}, "TALLY_RAILS_ACH_WINDOW_S"),
    ],
)
def test_wrong_setting_is_refused_at_start_and_named(wrong, told):
    with pytest.raises(SettingsError, match=told):
        load_settings(AchSettings, **{**BANK, **wrong})


def test_simulators_clock_is_refused_in_production():
    given_ = {**BANK, "environment": "production", "sandbox_clock_url": "http://127.0.0.1:1/clock"}
    with pytest.raises(SettingsError, match="TALLY_RAILS_ACH_SANDBOX_CLOCK_URL"):
        load_settings(AchSettings, **given_)


def test_pauses_double_up_to_their_limit():
    config = AchSettings(environment="test", kafka="h:1", retry_ms=100, retry_max_s=1)
    assert [config.pause(n).total_seconds() for n in (1, 2, 3, 4, 5, 99)] == [
        0.1,
        0.2,
        0.4,
        0.8,
        1,
        1,
    ]
