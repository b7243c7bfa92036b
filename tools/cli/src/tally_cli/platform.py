"""The platform as one thing: its services, their schemas and topics, and how to start them."""

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from tally_contracts.catalogue import expand
from tally_embedded import TopicSpec, ensure_topics
from tally_messaging import Service
from tally_messaging.launch import ServicePackage, service_package
from tally_postgres import login_role, migrate, provision, service_dsn
from tally_runtime import Metrics, load_settings

SERVICES: tuple[str, ...] = (
    "funding",
    "ledger",
    "payouts",
    "rails",
    "directory",
    "programs",
    "kyc",
    "portfolio",
    "gateway",
)
"""Every service, in the order money meets them."""

DEFAULT_SOURCES = "cards,invoices,marketplace,bank"
_PASSWORD_BYTES = 24


def package(name: str) -> ServicePackage:
    """Load a service's package; raises `KeyError` for a name that is no service."""
    if name not in SERVICES:
        raise KeyError(name)
    return service_package(name)


@dataclass(frozen=True, slots=True)
class Installation:
    """Where this installation's database and broker are, and who logs in with which password."""

    postgres_dsn: str
    kafka: str
    passwords: Mapping[str, str]

    def dsn(self, service: str) -> str:
        """A service's own connection string: from its variable, else made from its password."""
        given = os.environ.get(f"TALLY_{service.upper()}_POSTGRES_DSN")
        if given:
            return given
        return service_dsn(self.postgres_dsn, login_role(service), self.passwords[service])

    def build(self, name: str, *, metrics: Metrics | None = None, **more: Any) -> Service:
        """A service of this installation. `more` are settings that win over the environment.

        Raises `SettingsError` naming every variable that is wrong or missing.
        """
        found = package(name)
        settings = load_settings(
            found.settings,
            kafka=self.kafka,
            postgres_dsn=SecretStr(self.dsn(name)),
            **more,
        )
        return found.build_app(settings, metrics=metrics)


def passwords(var: Path) -> dict[str, str]:
    """Passwords of the services' roles: from their variables, else kept in a private file of `var`."""
    kept = var / "stack" / "roles.json"
    stored: dict[str, str] = json.loads(kept.read_text()) if kept.exists() else {}
    known = dict(stored)
    for name in SERVICES:
        given = given_password(name)
        if given:
            known[name] = given
        elif name not in known:
            known[name] = secrets.token_urlsafe(_PASSWORD_BYTES)
    if known != stored:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.touch(mode=0o600)
        kept.write_text(json.dumps(known))
    return known


def given_password(service: str) -> str:
    """The password of a service's role from its variable, empty if there is none."""
    return unquote(
        urlsplit(os.environ.get(f"TALLY_{service.upper()}_POSTGRES_DSN", "")).password or ""
    )


def prepare_database(installation: Installation, names: Sequence[str] = SERVICES) -> list[str]:
    """Create roles and schemas, apply migrations; returns what was applied."""
    schemas = [package(name).schema for name in names]
    provision(installation.postgres_dsn, schemas, installation.passwords)
    return [applied for schema in schemas for applied in migrate(installation.postgres_dsn, schema)]


async def prepare_topics(installation: Installation, sources: Sequence[str]) -> list[str]:
    """Create every topic of the catalogue that is missing; returns their names."""
    specs = [
        TopicSpec(name, topic.partitions, dict(topic.config()))
        for name, topic in expand(sources).items()
    ]
    return await ensure_topics(installation.kafka, specs)


def configured_sources() -> tuple[str, ...]:
    """The funding sources of this installation, from TALLY_FUNDING_SOURCES."""
    text = os.environ.get("TALLY_FUNDING_SOURCES") or DEFAULT_SOURCES
    return tuple(name.strip() for name in text.split(",") if name.strip())
