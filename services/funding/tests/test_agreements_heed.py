"""What an ordinary payment costs the consumer of agreements and claims: next to nothing."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from tally_contracts.catalogue import topic
from tally_funding.agreements import build_router
from tally_funding.claims.service import Claims
from tally_messaging.parser import parse
from tally_messaging.records import Received, Skipped, UnfetchedRecord
from tally_security.sealing import SealingKey
from tally_testkit import event_headers

from .agreement_bench import BOOKS, Raw

ROUTER = build_router(Claims(BOOKS, SealingKey(b"k" * 32)))
STATES = (
    "approved", "claimable", "held", "submitting", "unknown", "submitted", "in_transit", "paid",
    "returned", "failed", "rejected", "cancelled", "expired",
)  # fmt: skip
PAYOUT, POSTED = "payouts.payout.changed.v1", "ledger.journal.posted.v1"


def read(project_root: Path, kind: str, topic: str, key: bytes, **more: object) -> object:
    """What the consumer makes of a contract's example, with other values in it."""
    page = project_root / "contracts" / "examples" / kind / "typical.json"
    body = json.dumps({**json.loads(page.read_bytes()), **more}).encode()
    record = Raw(body, tuple(event_headers("event-1", kind)), key, 0, topic)
    return parse(record, ROUTER.expected()[topic])


@pytest.mark.parametrize(
    ("state", "heeded"), [("approved", False), ("submitted", False), ("paid", True)]
)
def test_of_a_payout_a_rule_began_only_its_payment_is_taken_in(
    project_root: Path, state: str, heeded: bool
) -> None:
    told = read(project_root, PAYOUT, "payouts.payout.v1", b"po_1", state=state)
    assert isinstance(told, Received if heeded else Skipped)


@pytest.mark.parametrize(("key", "heeded"), [(b"pin_1", False), (b"match_1", False), (b"x", True)])
def test_journals_of_pay_ins_are_left_unread(project_root: Path, key: bytes, heeded: bool) -> None:
    told = read(project_root, POSTED, "ledger.journals.v1", key)
    assert isinstance(told, Received if heeded else Skipped)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("kind", topic("payouts.payout.v1").types)
def test_a_glance_at_a_payout_passes_over_none_that_is_heeded(
    project_root: Path, kind: str, state: str
) -> None:
    expected = ROUTER.expected()["payouts.payout.v1"]
    headers = event_headers("event-1", kind)
    examples = sorted((project_root / "contracts" / "examples" / kind).glob("*.json"))
    assert examples
    for page, sequence, pay_in, indent in product(examples, (1, 2), ("pin_1", None), (None, 2)):
        told = {**json.loads(page.read_bytes()), "state": state}
        if kind == PAYOUT:
            told |= {"sequence": sequence, "pay_in_id": pay_in and told["pay_in_id"]}
        compact = None if indent else (",", ":")
        body = json.dumps(told, indent=indent, separators=compact, ensure_ascii=False).encode()
        record = UnfetchedRecord("payouts.payout.v1", body, headers=headers)
        read = type(parse(record, replace(expected, glance={})))
        assert type(parse(record, expected)) is read
        assert read in {Received, Skipped}
