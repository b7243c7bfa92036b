from decimal import Decimal

import pytest
from pydantic import Field, SecretStr

from tally_runtime import Environment, ServiceSettings, SettingsError, load_settings

SECRET = "hunter2-hunter2"


class LedgerSettings(ServiceSettings):
    ledger_dsn: SecretStr
    ledger_batch_max: int = Field(default=500, ge=1, le=5000, description="records per batch")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("ENVIRONMENT", "KAFKA", "TENANT", "LOG_LEVEL", "HEALTH_PORT", "OTLP_ENDPOINT"):
        monkeypatch.delenv(f"TALLY_{name}", raising=False)
    monkeypatch.setenv("TALLY_KAFKA", "127.0.0.1:9092")
    monkeypatch.setenv("TALLY_LEDGER_DSN", f"postgresql://tally_ledger:{SECRET}@db/tally")
    return monkeypatch


def problems(error: SettingsError) -> dict[str, str]:
    return {problem.variable: problem.given for problem in error.problems}


def test_a_field_is_read_from_the_variable_of_its_name(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TALLY_LEDGER_BATCH_MAX", "7")
    environment.setenv("TALLY_LOG_LEVEL", "debug")
    settings = load_settings(LedgerSettings)
    assert settings.ledger_batch_max == 7
    assert settings.log_level == "DEBUG"
    assert settings.ledger_dsn.get_secret_value().endswith("@db/tally")
    assert (settings.tenant, settings.health_port, settings.otlp_endpoint) == ("main", 0, None)


def test_without_a_word_on_the_environment_the_strictest_one_holds() -> None:
    assert load_settings(LedgerSettings).environment is Environment.PRODUCTION


def test_overrides_win_over_the_environment() -> None:
    assert load_settings(LedgerSettings, kafka="k:1", health_port=81).kafka == "k:1"


def test_every_wrong_variable_is_named_at_once_with_what_was_given(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.delenv("TALLY_KAFKA")
    environment.setenv("TALLY_ENVIRONMENT", "prod")
    environment.setenv("TALLY_HEALTH_PORT", "99999")
    environment.setenv("TALLY_LEDGER_BATCH_MAX", "many")
    with pytest.raises(SettingsError) as raised:
        load_settings(LedgerSettings)
    assert raised.value.code == "settings_invalid"
    assert problems(raised.value) == {
        "TALLY_KAFKA": "nothing",
        "TALLY_ENVIRONMENT": "'prod'",
        "TALLY_HEALTH_PORT": "'99999'",
        "TALLY_LEDGER_BATCH_MAX": "'many'",
    }
    text = str(raised.value)
    assert "'development', 'test' or 'production'" in text
    assert "less than or equal to 65535" in text
    assert "records per batch" in text


def test_an_empty_variable_counts_as_not_set(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TALLY_OTLP_ENDPOINT", "")
    environment.setenv("TALLY_KAFKA", "")
    with pytest.raises(SettingsError) as raised:
        load_settings(LedgerSettings)
    assert problems(raised.value) == {"TALLY_KAFKA": "nothing"}


@pytest.mark.parametrize("kafka", ["broker", "broker:", "broker:12,", "a b:1", ":9092:"])
def test_bootstrap_servers_without_host_and_port_are_refused(kafka: str) -> None:
    with pytest.raises(SettingsError, match="TALLY_KAFKA"):
        load_settings(LedgerSettings, kafka=kafka)


def test_secrets_are_never_shown() -> None:
    class Strict(LedgerSettings):
        ledger_dsn: SecretStr = Field(max_length=5)
        api_token: str = Field(default="", max_length=3)

    with pytest.raises(SettingsError) as raised:
        load_settings(Strict, api_token=SECRET)
    assert problems(raised.value) == {
        "TALLY_LEDGER_DSN": "a hidden secret",
        "TALLY_API_TOKEN": "a hidden secret",
    }
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None
    assert SECRET not in repr(load_settings(LedgerSettings))


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://tally_ledger:ledger-sample-password@db/tally",
        "postgresql://tally_ledger:changeme@db/tally",
        "postgresql://tally_ledger@db/tally",
    ],
)
def test_sample_secrets_start_in_development_and_never_in_production(dsn: str) -> None:
    assert load_settings(LedgerSettings, ledger_dsn=dsn, environment="development")
    assert load_settings(LedgerSettings, ledger_dsn=dsn, environment="test")
    with pytest.raises(SettingsError) as raised:
        load_settings(LedgerSettings, ledger_dsn=dsn)
    assert problems(raised.value) == {"TALLY_LEDGER_DSN": "a sample secret"}


def test_a_secret_left_at_its_default_is_a_sample_secret() -> None:
    class WithDefault(LedgerSettings):
        cookie_key: SecretStr = SecretStr("f3b0a1b2c3")

    with pytest.raises(SettingsError, match="TALLY_COOKIE_KEY"):
        load_settings(WithDefault)


def test_a_password_inside_an_address_is_not_shown() -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings(LedgerSettings, otlp_endpoint=f"grpc://collector:{SECRET}@otel:4317")
    assert SECRET not in str(raised.value)
    assert "grpc://collector" in problems(raised.value)["TALLY_OTLP_ENDPOINT"]


def test_an_unknown_override_is_refused() -> None:
    with pytest.raises(SettingsError, match="TALLY_HEALTHPORT"):
        load_settings(LedgerSettings, healthport=1)


@pytest.mark.parametrize("kind", [int, float, Decimal, int | None])
def test_a_number_without_both_bounds_cannot_be_declared(kind: type) -> None:
    for bounds in ({}, {"ge": 1}, {"le": 1}):
        with pytest.raises(TypeError, match=r"Unbounded\.size"):
            type(
                "Unbounded",
                (ServiceSettings,),
                {"__annotations__": {"size": kind}, "size": Field(default=1, **bounds)},
            )


def test_settings_cannot_be_changed_after_loading() -> None:
    settings = load_settings(LedgerSettings)
    with pytest.raises(ValueError, match="frozen"):
        settings.health_port = 1
