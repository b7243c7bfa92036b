"""A read API never hangs up on a question that is on its way."""

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from tally_reads import ReadSettings
from tally_reads.server import served


def test_an_idle_connection_is_kept_for_longer_than_whoever_asks_keeps_it() -> None:
    settings = ReadSettings(
        environment="test", kafka="127.0.0.1:1", postgres_dsn=SecretStr("postgresql://h/d")
    )
    asking = httpx.Limits().keepalive_expiry
    assert asking is not None
    assert served(FastAPI(), settings).timeout_keep_alive > 2 * asking
