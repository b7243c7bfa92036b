"""What led to the state of a thing: every fact that tells of it, those of a pay-in included."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tally_contracts.registry import BY_TYPE
from tally_portfolio import app
from tally_portfolio.api_records import SHELVES
from tally_portfolio.service import time_line
from tally_runtime import derived_id

# By shelf: the field with a thing's id, and its story.
STORIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "receivable": (
        "receivable_id",
        ("funding.receivable.opened.v1", *["funding.receivable.settled.v1"] * 2),
    ),
    "agreement": ("agreement_id", ("funding.agreement.changed.v1",) * 2),
    "claim": ("claim_id", ("funding.claim.issued.v1", "funding.claim.changed.v1")),
    "designation": (
        "movement_id",
        ("funding.claim.designation_asked.v1", "funding.claim.designation_moved.v1"),
    ),
    "charge": ("charge_id", ("funding.charge.refused.v1", "funding.charge.taken.v1")),
    "expectation": (
        "expectation_id",
        ("funding.expectation.registered.v1", *["funding.expectation.paid.v1"] * 2),
    ),
    "manual_entry": ("entry_id", ("funding.entry.proposed.v1", "funding.entry.decided.v1")),
    "rule": ("rule_id", ("funding.rule.published.v1", "funding.rule.retired.v1")),
    "connection": ("connection_id", ("directory.connection.changed.v1",) * 2),
    "grant": ("grant_id", ("directory.grant.given.v1", "directory.grant.revoked.v1")),
    "funding_detail": ("virtual_account", ("directory.funding_details.issued.v1",)),
    "program": ("program_id", ("programs.program.created.v1",)),
    "budget": ("budget_id", ("programs.budget.changed.v1",) * 2),
    "payable": ("payable_id", ("programs.payable.changed.v1",) * 2),
    "program_payment": ("payment_id", ("programs.payment.changed.v1",) * 2),
    "budget_claim": ("claim_id", ("programs.budget_claim.changed.v1",) * 2),
}


@pytest.fixture
def told(story: Any, project_root: Path) -> Any:
    """Every story, by the contracts' examples; what can come of a pay-in comes of one."""
    told = story("s1")
    for kind, (field, types) in STORIES.items():
        for number, event_type in enumerate(types, start=1):
            example = project_root / "contracts" / "examples" / event_type / "typical.json"
            fields = json.loads(example.read_bytes()) | {
                field: derived_id("thing", kind),
                "occurred_at": f"{told.at + timedelta(minutes=len(told.records)):%FT%TZ}",
            }
            own = {"sequence": number, "pay_in_id": told.pay_in_id}
            fact = BY_TYPE[event_type]
            fields |= {name: value for name, value in own.items() if name in fact.model_fields}
            event = fact.model_validate_json(json.dumps(fields))
            told.tell(event, f"{kind}{number}", told.pay_in_id, "asked")
    return told


async def _history(portfolio: Any, viewer: Any, path: str, kind: str) -> list[dict[str, Any]]:
    async with portfolio.asks(viewer) as client:
        answer = await client.get(f"{path}/{derived_id('thing', kind)}")
    assert answer.status_code == 200, (kind, answer.text)
    found: list[dict[str, Any]] = answer.json()["history"]
    return found


async def test_f51_every_shelf_shows_each_fact_that_led_to_a_thing_and_no_other(
    portfolio: Any, told: Any, tree: Any, viewer_of: Any
) -> None:
    assert STORIES.keys() == {shelf.kind for shelf in SHELVES}
    await portfolio.tell(told)
    operator = viewer_of(tree(), "op", "operator")
    for shelf in SHELVES:
        history = await _history(portfolio, operator, shelf.path, shelf.kind)
        assert [step["type"] for step in history] == list(STORIES[shelf.kind][1]), shelf.kind
    line = await time_line(portfolio.pool, told.pay_in_id)
    assert line is not None
    assert {step.hop.event_type for step in line.steps} == {
        "funding.receivable.opened.v1",
        "funding.charge.refused.v1",
        "funding.charge.taken.v1",
        "funding.expectation.paid.v1",
        "funding.entry.decided.v1",
    }


async def test_histories_of_what_was_told_before_are_whole_after_the_migration(
    portfolio: Any, told: Any
) -> None:
    """By its own SQL, over hops as they were kept before it."""
    await portfolio.tell(told)
    query = "SELECT event_id, about FROM hop WHERE about IS NOT NULL ORDER BY 1"
    kept = await portfolio.rows(query)
    assert len(kept) == 6
    file = Path(app.__file__).parent / "migrations" / "0006_histories.sql"
    with psycopg.connect(portfolio.admin_dsn, autocommit=True) as administrator:
        administrator.execute("SET search_path = portfolio")
        administrator.execute("ALTER TABLE hop DROP COLUMN about")
        administrator.execute(file.read_bytes())
    assert await portfolio.rows(query) == kept
