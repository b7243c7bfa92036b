import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tally_cli.stack import stack_app
from tally_embedded import embedded_stack

pytestmark = pytest.mark.stack


@pytest.fixture
def var(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "var"
    embedded_stack(tmp_path / "var").reset()


def _tally(*arguments: object):
    return CliRunner().invoke(stack_app, [str(argument) for argument in arguments])


def test_start_status_stop_and_reset_tell_the_truth_and_keep_the_addresses(var: Path):
    started = _tally("start", "--var", var)
    assert started.exit_code == 0, started.stderr
    word, *pairs = shlex.split(started.stdout)
    assert word == "export"
    address = dict(pair.split("=", 1) for pair in pairs)
    assert address.keys() == {"TALLY_POSTGRES_DSN", "TALLY_KAFKA"}

    status = _tally("status", "--json", "--var", var)
    assert status.exit_code == 0
    servers = {server["name"]: server for server in json.loads(status.stdout)["servers"]}
    assert {server["state"] for server in servers.values()} == {"running"}
    assert servers["postgres"]["address"] == address["TALLY_POSTGRES_DSN"]
    assert servers["kafka"]["address"] == address["TALLY_KAFKA"]

    again = _tally("start", "--json", "--var", var)
    assert json.loads(again.stdout)["kafka"] == address["TALLY_KAFKA"]
    assert json.loads(again.stdout)["origin"] == "embedded"

    assert _tally("stop", "--var", var).exit_code == 0
    stopped = _tally("status", "--var", var)
    assert stopped.exit_code == 1
    assert stopped.stdout.count("stopped") == 2

    refused = _tally("reset", "--var", var)
    assert refused.exit_code == 2
    assert "--yes" in refused.stderr
    assert (var / "stack" / "postgres").exists()
    assert _tally("reset", "--var", var, "--yes").exit_code == 0
    assert not (var / "stack" / "postgres").exists()


def test_the_text_status_shows_no_password(var: Path):
    stack = embedded_stack(var, kafka=False, durable=False)
    stack.start()
    password = (var / "stack" / "postgres" / "password").read_text()
    shown = _tally("status", "--var", var)
    assert "postgres  running 127.0.0.1:" in shown.stdout
    assert password not in shown.output


def test_a_folder_that_never_ran_has_nothing_and_is_not_made(tmp_path: Path):
    status = _tally("status", "--var", tmp_path / "var")
    assert status.exit_code == 1
    assert "never started" in status.stdout
    assert _tally("stop", "--var", tmp_path / "var").exit_code == 0
    assert not (tmp_path / "var").exists()


def test_a_refusal_goes_to_stderr_with_its_code(tmp_path: Path):
    (tmp_path / "file").write_text("")
    result = _tally("start", "--var", tmp_path / "file" / "var")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "error [stack_configuration]: Cannot make the folder" in result.stderr


def test_fetch_prints_the_folder_of_the_jars():
    result = _tally("fetch")
    assert result.exit_code == 0
    assert (Path(result.stdout.strip()) / "kafka_2.13-4.3.1.jar").is_file()
