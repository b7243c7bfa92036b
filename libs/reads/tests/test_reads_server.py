"""A read API never hangs up on a question that is on its way."""

from fastapi import FastAPI
from pydantic import SecretStr

from tally_reads import ASKER_KEEPS_S, ReadSettings
from tally_reads.server import served


def test_an_idle_connection_is_kept_for_longer_than_whoever_asks_keeps_it() -> None:
    settings = ReadSettings(
        environment="test", kafka="127.0.0.1:1", postgres_dsn=SecretStr("postgresql://h/d")
    )
    assert served(FastAPI(), settings).timeout_keep_alive >= ASKER_KEEPS_S + 10
