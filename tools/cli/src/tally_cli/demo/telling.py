"""The story told to whoever runs the demo: a first key of the operator, each step in plain words."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from tally_cli.demo.api import Client, StoryFailed
from tally_cli.demo.people import People
from tally_cli.demo.post import Post
from tally_cli.demo.story import Step, Story
from tally_cli.output import notes
from tally_cli.platform import Installation
from tally_gateway.credentials import API_KEY, NewCredential, make
from tally_gateway.domain.access import OPERATOR
from tally_gateway.routes import SCOPES
from tally_gateway.routes.model import OPERATOR_TENANT
from tally_gateway.store import EVERY_TENANT, credentials, scoped
from tally_postgres import Connection, create_pool, in_transaction
from tally_runtime import Clock, Ids
from tally_security.sealing import Keyring, SealingKey

CLAIM_KEY: Final = "TALLY_FUNDING_CLAIM_SEALING_KEY"
CONTACT_KEY: Final = "TALLY_DIRECTORY_SEALING_KEY"
"""What codes are sealed with: delivery has to know them, and here the demo delivers."""

_REQUESTS_PER_MINUTE: Final = 6_000
_TIMEOUT_S: Final = 60


@dataclass(slots=True)
class Telling:
    """How far the story came; `failed` says why it ended before its end."""

    steps: list[Step] = field(default_factory=list)
    failed: str | None = None

    def to_json(self) -> dict[str, Any]:
        """For report.json."""
        return {"steps": [step.to_json() for step in self.steps], "failed": self.failed}


async def tell_story(installation: Installation, api_url: str, run: str, clock: Clock) -> Telling:
    """Tell the story on a running platform, step by step; the oracle is asked afterwards."""
    notes.print("One aggregator's story, by the public API:")
    telling = Telling()
    try:
        async with _opened(installation, api_url, run, clock) as story:
            async for step in story.tell():
                telling.steps.append(step)
                _print(len(telling.steps), step)
    except (StoryFailed, httpx.HTTPError) as error:
        telling.failed = f"after step {len(telling.steps)}: {str(error) or type(error).__name__}"
        notes.print(f"The story broke off {telling.failed}", style="red", markup=False)
    return telling


def _print(number: int, step: Step) -> None:
    notes.print(f"\n{number}. {step.title}", style="bold", markup=False)
    notes.print(f"   {step.done}", markup=False)
    for name, sees in step.seen.items():
        notes.print(f"   {name:>16} │ {sees}", markup=False)


@asynccontextmanager
async def _opened(
    installation: Installation, api_url: str, run: str, clock: Clock
) -> AsyncIterator[Story]:
    """The story's stage, with a key of the operator that ends with it."""
    pool = await create_pool(
        installation.dsn("gateway"), schema="gateway", application_name="tally_demo", max_size=1
    )
    credential, text = make(
        Ids(),
        NewCredential(
            kind=API_KEY,
            party=OPERATOR,
            tenant=OPERATOR_TENANT,
            label="demo",
            scopes=SCOPES,
            created_by=OPERATOR,
            requests_per_minute=_REQUESTS_PER_MINUTE,
        ),
        clock.now(),
    )

    async def keep(conn: Connection) -> None:
        await credentials.insert(await scoped(conn, EVERY_TENANT), credential)

    async def end(conn: Connection) -> None:
        await credentials.revoke(await scoped(conn, EVERY_TENANT), credential.id, clock.now())

    try:
        await in_transaction(pool, keep)
        async with httpx.AsyncClient(base_url=api_url, timeout=_TIMEOUT_S, trust_env=False) as http:
            yield Story(People(run, Client(http, text), _post(installation.kafka)))
    finally:
        await in_transaction(pool, end)
        await pool.close()


def _post(kafka: str) -> Post:
    claims, contacts = (
        Keyring(SealingKey.parse(os.environ[name])) for name in (CLAIM_KEY, CONTACT_KEY)
    )
    return Post(kafka, claims, contacts)
