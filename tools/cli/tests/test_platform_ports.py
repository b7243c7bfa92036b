"""Two platforms of one machine find ports of their own."""

import os

import pytest

from tally_cli.run import prepare_environment
from tally_embedded import is_free

_SET = (
    "TALLY_ENVIRONMENT",
    "TALLY_FUNDING_SOURCES",
    "TALLY_GATEWAY_PORT",
    "TALLY_PORTFOLIO_READ_PORT",
    "TALLY_PORTFOLIO_URL",
    "TALLY_DIRECTORY_READ_PORT",
    "TALLY_DIRECTORY_URL",
    "TALLY_KYC_READ_PORT",
    "TALLY_KYC_URL",
    "TALLY_INTERNAL_KEY",
    "TALLY_PUBLIC_URL",
)


def _prepared(monkeypatch: pytest.MonkeyPatch, **given: str) -> dict[str, str]:
    for name in _SET:
        # Set first, so that what the call below sets is taken back after the test.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    prepare_environment({})
    return {name: os.environ[name] for name in _SET}


def test_two_platforms_that_start_together_read_on_ports_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [_prepared(monkeypatch) for _ in range(3)]
    services = ("PORTFOLIO", "DIRECTORY", "KYC")
    ports = {each[f"TALLY_{name}_READ_PORT"] for each in found for name in services}
    assert len(ports) == 9
    assert all(is_free(int(port)) for port in ports)
    for each in found:
        for name in services:
            assert each[f"TALLY_{name}_URL"].endswith(f":{each[f'TALLY_{name}_READ_PORT']}")


def test_a_port_that_is_given_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _prepared(monkeypatch, TALLY_PORTFOLIO_READ_PORT="8090", TALLY_GATEWAY_PORT="8081")
    assert found["TALLY_PORTFOLIO_URL"] == "http://127.0.0.1:8090"
    assert found["TALLY_PUBLIC_URL"] == "http://127.0.0.1:8081"
