"""The reference page says what the code does."""

import json
import re
from pathlib import Path

from tally_contracts.programs import PolicyDocument
from tally_money import Money
from tally_programs.domain.endpoints import CLASS_OF, EndpointClass
from tally_programs.domain.policy import (
    Limit,
    Policy,
    Request,
    Restriction,
    check_policy,
    evaluate,
)
from tally_programs.service.programs import ENDPOINTS
from tally_programs.wire import policy_from

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "program-policies.md"


def test_policy_of_the_page_can_be_published():
    example = re.search(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    document = PolicyDocument.model_validate(json.loads(example.group(1))["policy"])
    policy = policy_from(document, 2, ENDPOINTS)
    assert isinstance(policy, Policy)
    assert check_policy(policy, document.rails) is None


def test_page_lists_every_rail_under_its_class():
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    told = {
        name: re.findall(r"`(\w+)`", rails) for name, rails in rows if name in set(EndpointClass)
    }
    assert {rail: name for name, rails in told.items() for rail in rails} == CLASS_OF


def test_page_explains_every_code_a_rail_can_be_closed_with():
    usd = Money.parse("1.00", "USD")
    no, cash = frozenset({"none"}), frozenset({"cash"})
    closing = [
        Policy(1, rails=no, classes=no, countries=no, currencies=no),
        Policy(1, endpoints={}, countries=no),
        Policy(1, limits=(Limit(usd + usd, None),)),
        Policy(1, limits=(Limit(usd - usd, usd - usd),)),
        Policy(1, restrictions=(Restriction(cash),)),
        Policy(1, restrictions=(Restriction(cash, sources=frozenset({"opex"})),)),
        Policy(1, restrictions=(Restriction(cash, kinds=frozenset({"loyalty"})),)),
    ]
    found = {
        closed.code
        for policy in closing
        for country in ("US", None)
        for closed in evaluate(policy, Request("ach", usd, country, "opex", "loyalty"))
    }
    assert len(found) == 11
    section = PAGE.read_text().partition("## Why")[2].partition("## Fees")[0]
    told = {
        code
        for row in re.findall(r"^\| (`.+?`) \|", section, re.MULTILINE)
        for code in re.findall(r"`(\w+)`", row)
    }
    assert told == found
