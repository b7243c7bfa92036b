"""The admin API and the command line: every refusal has a code, names the field, changes nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tally_bank_simulator.faults import CrashPoint, FaultKind
from tally_bank_simulator.main import cli
from tally_bank_simulator.rules import DEBIT_SUFFIXES, SUFFIXES, Behaviour

BAD_BODIES = [
    ("/clock", {}, "date, advance_days, follow"),
    ("/clock", {"date": "2026-13-01"}, "date"),
    ("/clock", {"advance_days": 0}, "advance_days"),
    ("/clock", {"date": "2026-12-01", "advance_days": 1}, "exactly one"),
    ("/rules", {"behaviour": "explode"}, "behaviour"),
    ("/rules", {"behaviour": "return"}, "a code such as R01"),
    ("/rules", {"behaviour": "return", "code": "C01"}, "a code such as R01"),
    ("/rules", {"behaviour": "notice_of_change", "code": "R01"}, "a code such as C01"),
    ("/rules", {"behaviour": "accept", "code": "R01"}, "no code"),
    ("/rules", {"behaviour": "refuse_entry", "existing": True}, "existing"),
    ("/rules", {"behaviour": "refuse_entry", "match": {"amount_cents": 1.5}}, "match.amount_cents"),
    ("/rules", {"behaviour": "refuse_entry", "match": {"colour": "red"}}, "match.colour"),
    ("/rules", {"behaviour": "refuse_entry", "chance_bp": 10001}, "chance_bp"),
    ("/rules", {"behaviour": "refuse_entry", "reason": "a|b"}, "reason"),
    ("/faults", {"fault": "slow"}, "milliseconds"),
    ("/faults", {"fault": "crash"}, "point"),
    ("/faults", {"fault": "refuse_login", "milliseconds": 5}, "milliseconds"),
]


@pytest.mark.parametrize(("path", "body", "named"), BAD_BODIES)
def test_bad_body_is_refused_with_its_field(bank, path, body, named) -> None:
    answer = bank.call("POST", path, body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "invalid_request"
    assert named in error["message"]
    assert bank.get("/clock")["date"] == "2026-11-23"
    assert bank.get("/rules")["rules"] == bank.get("/faults")["faults"] == []


@pytest.mark.parametrize("query", ["state=gone", "since=monday", "limit=-1", "after=x", "colour=1"])
def test_bad_filter_is_refused_with_its_name(bank, query) -> None:
    answer = bank.call("GET", f"/book?{query}")
    assert answer.status_code == 400
    assert query.split("=")[0] in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("DELETE", "/rules/77", "unknown_rule"),
        ("POST", "/files/77/redeliver", "unknown_upload"),
    ],
)
def test_unknown_number_is_not_found(bank, method, path, code) -> None:
    answer = bank.call(method, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, code)


async def test_clock_goes_back_only_over_an_empty_book(bank, nacha) -> None:
    bank.post("/clock", date="2026-11-20")
    await bank.pay("pay.ach", nacha.pays(nacha.Pay()))
    answer = bank.call("POST", "/clock", {"date": "2026-11-19"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "clock_backwards")
    assert bank.get("/clock") == {"date": "2026-11-20", "follows": "nothing", "banking_day": True}


def test_clock_follows_the_system_until_it_is_set(bank) -> None:
    assert bank.post("/clock", follow="system")["follows"] == "system"
    assert bank.post("/clock", date="2026-11-26") == {
        "date": "2026-11-26",
        "follows": "nothing",
        "banking_day": False,
    }


async def test_reset_needs_its_confirmation(bank, nacha) -> None:
    await bank.pay("pay.ach", nacha.pays(nacha.Pay()))
    answer = bank.call("POST", "/reset", {"confirm": "yes"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "reset_not_confirmed")
    assert len(bank.states()) == 1
    bank.post("/reset", confirm="reset")
    assert bank.states() == {}
    assert await bank.outbound() == {}
    assert bank.get("/files") == {"uploads": [], "outbound": []}


def test_rules_are_listed_and_removed_one_by_one(bank) -> None:
    first = bank.post("/rules", behaviour="refuse_file")["rule_id"]
    bank.post("/rules", behaviour="return", code="R02", match={"account": "1"})
    bank.call("DELETE", f"/rules/{first}")
    (rule,) = bank.get("/rules")["rules"]
    assert (rule["behaviour"], rule["code"], rule["match"]) == ("return", "R02", {"account": "1"})
    bank.call("DELETE", "/rules")
    assert bank.get("/rules") == {"account_suffixes": True, "rules": []}


def test_suffix_table_and_health_are_shown(bank) -> None:
    tables = bank.get("/rules/account-suffixes")
    assert tables["all"]["0003"]["before_settlement"] is True
    assert tables["debits_only"]["0010"]["code"] == "R10"
    assert bank.get("/health") == {"status": "ok", "date": "2026-11-23"}


@pytest.mark.parametrize(
    ("options", "named"),
    [((), "--password-env"), (("--password-env", "NOT_SET_ANYWHERE"), "NOT_SET_ANYWHERE")],
)
def test_start_without_credentials_is_refused(tmp_path, options, named) -> None:
    result = CliRunner().invoke(cli, ["--folder", str(tmp_path), "--user", "u", *options])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "credentials_missing" in result.stderr
    assert named in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_second_bank_on_a_held_folder_is_refused(bank) -> None:
    command = [sys.executable, "-m", "tally_bank_simulator.main", "--user", "u"]
    command += ["--folder", str(bank.folder), "--password-env", "PW"]
    env = {**os.environ, "PW": "x"}
    second = subprocess.run(
        command, capture_output=True, text=True, timeout=30, env=env, check=False
    )
    assert second.returncode == 2
    assert second.stdout == ""
    assert "folder_in_use" in second.stderr


def test_ready_line_is_one_line_of_json(bank) -> None:
    assert set(bank.ready) == {
        "sftp_port",
        "admin_port",
        "host_key_fingerprint",
        "host_key",
        "pid",
    }
    assert str(bank.ready["host_key_fingerprint"]).startswith("SHA256:")
    assert json.dumps(bank.ready).count("\n") == 0


@pytest.mark.parametrize("words", [SUFFIXES, DEBIT_SUFFIXES, Behaviour, FaultKind, CrashPoint])
def test_every_way_to_steer_the_bank_is_in_the_readme(words) -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    assert [word for word in words if f"`{word}`" not in readme] == []
