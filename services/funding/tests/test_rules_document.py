"""Schema 2 of the rule document: every fault with its place, before anything is published."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tally_funding.errors import RuleInvalid
from tally_funding.rule_document import parse_rule
from tally_funding.rules.document import published_schema
from tally_funding.rules.lint import canonical_digest, read_document
from tally_funding.rules.match import inseparable
from tally_funding.rules.model import Rule
from tally_funding.rules.reading import canonical

REST: dict[str, Any] = {"role": "b", "to": {"role": "beneficiary"}, "remainder": True}


def line(**share: Any) -> dict[str, Any]:
    return {"role": "fee", "to": {"party": "pty_1"}, **share}


def rule(*lines: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "schema": 2,
        "rule": "r",
        "version": 1,
        "rounding": "half_even",
        "lines": [*lines, REST],
        **changes,
    }


def euros(*lines: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return rule(*lines, match={"currencies": ["EUR"]}, **changes)


def read(document: object) -> Rule:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return read_document(data, scope="party_t").rule


def faults(document: object) -> set[tuple[str, str]]:
    with pytest.raises(RuleInvalid) as invalid:
        read(document)
    assert all(fault.remedy for fault in invalid.value.faults)
    return {(fault.pointer, fault.code) for fault in invalid.value.faults}


def tiers(*steps: tuple[str | None, str]) -> dict[str, Any]:
    return line(tiers={"EUR": [{"up_to": end, "percent": percent} for end, percent in steps]})


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ([], ("", "bad_value")),
        (b"{", ("", "not_json")),
        (b'{"rule": "a", "rule": "b"}', ("", "repeated_field")),
        (b" " * 300_000, ("", "too_large")),
        (rule(colour="red"), ("/colour", "unknown_field")),
        (rule(schema=3), ("/schema", "bad_value")),
        (rule(version=0), ("/version", "bad_value")),
        (rule(priority=-1), ("/priority", "bad_value")),
        ({**rule(), "rounding": "up"}, ("/rounding", "bad_value")),
        ({name: value for name, value in rule().items() if name != "rounding"}, ("/rounding", "missing_field")),
        (rule(effective_from="2026-01-01T00:00:00+01:00"), ("/effective_from", "bad_value")),
        (rule(effective_from=1_790_000_000), ("/effective_from", "bad_value")),
        (rule(effective_from="2026-01-01T00:00:00Z", effective_until="2026-01-01T00:00:00Z"), ("/effective_until", "ends_before_it_begins")),
        (rule(match={"kinds": ["a", "a"]}), ("/match/kinds/1", "repeated_name")),
        (rule(match={"tags": {"site": ["a", "a"]}}), ("/match/tags/site/1", "repeated_name")),
        (rule(match={"currencies": ["XXX"]}), ("/match/currencies/0", "unknown_currency")),
        (rule(match={"amounts": {"EUR": {}}}), ("/match/amounts/EUR", "missing_field")),
        (rule(match={"amounts": {"EUR": {"from": "5.00", "below": "5.00"}}}), ("/match/amounts/EUR/below", "empty_span")),
        (rule(match={"amounts": {"JPY": {"from": "0.5"}}}), ("/match/amounts/JPY/from", "too_many_decimals")),
        (rule(line(percent="101")), ("/lines/0/percent", "bad_percent")),
        (rule(line(percent="1.0000001")), ("/lines/0/percent", "bad_value")),
        (rule(line(percent=2.5)), ("/lines/0/percent", "bad_value")),
        (rule(line(percent="60"), line(percent="41")), ("/lines", "shares_exceed_whole")),
        (rule(line()), ("/lines/0", "share_ambiguous")),
        (rule(line(percent="1", weight=1)), ("/lines/0", "share_ambiguous")),
        (rule(line(percent="1") | {"to": {}}), ("/lines/0/to", "destination_ambiguous")),
        (rule(line(percent="1") | {"to": {"party": "a", "group": "b"}}), ("/lines/0/to", "destination_ambiguous")),
        (rule(line(percent="1") | {"to": {"party": "a", "weights": {"a": 1}}}), ("/lines/0/to/weights", "weights_without_group")),
        (rule(line(percent="1") | {"to": {"group": "a", "weights": {"a": 0}}}), ("/lines/0/to/weights", "weights_zero")),
        (rule(line(percent="1") | {"to": {"group": "a", "weights": {"a": -1}}}), ("/lines/0/to/weights/a", "bad_value")),
        (rule(line(percent="1") | {"to": {"party": "$payer"}}), ("/lines/0/to/party", "bad_value")),
        (rule(line(fixed={"JPY": "0.5"})), ("/lines/0/fixed/JPY", "too_many_decimals")),
        (euros(line(fixed={"USD": "1.00"})), ("/lines/0/fixed/EUR", "missing_amount")),
        (rule(line(fixed={"EUR": "1.00"}), line(fixed={"USD": "1.00"})), ("/match/currencies", "no_currency")),
        (euros(line(fixed={"EUR": "1.00"}, cap={"EUR": "1.00"})), ("/lines/0/cap", "bound_without_share")),
        (euros(line(fixed={"EUR": "1.00"}, basis="left")), ("/lines/0/basis", "bound_without_share")),
        (euros(line(percent="1", cap={"EUR": "1.00"}, floor={"EUR": "1.01"})), ("/lines/0/cap/EUR", "cap_below_floor")),
        (euros(tiers(("10.00", "5"))), ("/lines/0/tiers/EUR/0/up_to", "last_tier_ends")),
        (euros(tiers((None, "5"), (None, "1"))), ("/lines/0/tiers/EUR/0/up_to", "missing_field")),
        (euros(tiers(("10.00", "5"), ("10.00", "4"), (None, "1"))), ("/lines/0/tiers/EUR/1/up_to", "tier_empty")),
        (euros(tiers(("10.00", "101"), (None, "1"))), ("/lines/0/tiers/EUR/0/percent", "bad_percent")),
        (rule(line(remainder=True)), ("/lines/1/remainder", "two_remainders")),
        (rule(line(weight=2)), ("/lines/1/remainder", "remainder_beside_weights")),
        (rule(lines=[line(percent="99.999999")]), ("/lines", "no_remainder")),
        (euros(line(fixed={"EUR": "0.01"})  | {"role": "a"}, line(fixed={"EUR": "0.01"})), ("/lines", "could_exceed_amount")),
        (euros(line(percent="50", floor={"EUR": "0.02"})), ("/lines", "could_exceed_amount")),
        (euros(line(percent="50", cap={"EUR": "5.00"}), line(percent="50.1", cap={"EUR": "50.00"})), ("/lines", "could_exceed_amount")),
        (euros(tiers(("10.00", "50"), (None, "60")), line(percent="45")), ("/lines", "could_exceed_amount")),
        (euros(line(percent="5", basis="left", floor={"EUR": "0.01"})), ("/lines/0/floor", "floor_of_left")),
        (euros(line(percent="5", basis="left"), line(percent="5")), ("/lines/1/basis", "whole_after_left")),
    ],
)  # fmt: skip
def test_f22_a_fault_is_named_with_its_place_and_a_remedy(
    document: object, fault: tuple[str, str]
) -> None:
    assert fault in faults(document)


@pytest.mark.parametrize(
    "document",
    [
        euros(line(fixed={"EUR": "0.30"}), shortfall="in_order"),
        euros(line(fixed={"EUR": "0.30"}), shortfall="suspend"),
        euros(tiers(("10.00", "50"), (None, "40")), line(percent="50")),
        euros(line(percent="99.999999"), line(percent="100", basis="left")),
        rule(lines=[line(percent="33.4"), line(percent="66.6")]),
        rule(lines=[line(weight=1), line(weight=1_000_000_000)]),
        rule(
            line(percent="1", floor={"EUR": "1.00"}), match={"amounts": {"EUR": {"from": "1.00"}}}
        ),
        rule(line(percent="2", cap={"EUR": "1", "JPY": "100"})),
    ],
)
def test_a_rule_whose_lines_never_ask_for_too_much_has_no_fault(document: dict[str, Any]) -> None:
    assert read(document).label == "r:1"


def test_all_faults_are_named_at_once() -> None:
    document = rule(
        line(percent="101"), line(), line(fixed={"JPY": "0.5"}), match={"kinds": ["a", "a"]}
    )
    assert len(faults(document)) >= 4


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["schema", "rule", "version", "lines", "to", "percent", "match"]),
                inner,
                max_size=5,
            )
        ),
        max_leaves=10,
    )
)
def test_whatever_the_document_is_the_answer_is_a_rule_or_its_faults(value: object) -> None:
    found: Sequence[object] = ()
    try:
        label = read(value).label
    except RuleInvalid as invalid:
        label, found = None, invalid.faults
    assert (label is None) == bool(found)


def test_the_published_schema_is_the_models_and_takes_what_lint_takes(project_root: Path) -> None:
    """Remedy: write `published_schema()` to the file."""
    file = project_root / "services/funding/src/tally_funding/rules/rule.v2.schema.json"
    schema = json.loads(file.read_text(encoding="utf-8"))
    assert schema == published_schema()
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(euros(line(percent="1", cap={"EUR": "1.00"})))
    assert not validator.is_valid(rule(colour="red"))


def test_the_reference_page_shows_a_document_without_a_fault(project_root: Path) -> None:
    page = (project_root / "docs/reference/allocation-rules.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert read(example.encode()).name == "royalties"


def test_a_document_of_63_lines_of_32_tiers_is_proved_to_the_last_bend() -> None:
    steps = [(str(end), "1") for end in range(1, 32)]
    lines = [tiers(*steps, (None, "1")) for _ in range(62)]
    assert read(euros(*lines, tiers(*steps, (None, "38")))).label == "r:1"
    assert faults(euros(*lines, tiers(*steps, (None, "38.1")))) == {
        ("/lines", "could_exceed_amount")
    }


def test_the_digest_is_of_the_canonical_document() -> None:
    document = euros(line(percent="1"), effective_from="2026-12-01T00:00:00Z")
    spelled = json.dumps(document, indent=4).encode()
    assert canonical_digest(spelled) == canonical_digest(canonical(document).encode())
    assert canonical_digest(spelled) != canonical_digest(json.dumps(euros()).encode())


def test_an_operators_file_of_schema_2_is_the_rule_in_force_and_may_charge_nobody() -> None:
    assert parse_rule(json.dumps(euros()).encode()).rule.label == "r:1"
    charge = {"role": "c", "from": "pty_2", "to": {"party": "pty_1"}, "percent": "1"}
    with pytest.raises(RuleInvalid) as invalid:
        parse_rule(json.dumps(euros(charges=[charge])).encode())
    assert [fault.code for fault in invalid.value.faults] == ["charges_unsigned"]


@pytest.mark.parametrize(
    ("one", "other", "meets"),
    [
        ({}, {}, True),
        ({"kinds": ["a"]}, {"kinds": ["b"]}, False),
        ({"kinds": ["a", "b"]}, {"kinds": ["b"]}, True),
        ({"kinds": ["a"]}, {"programs": ["p"]}, True),
        ({"kinds": ["a"]}, {}, False),
        ({"tags": {"x": ["1"]}}, {"tags": {"x": ["2"]}}, False),
        ({"tags": {"x": ["1"]}}, {"tags": {"y": ["2"]}}, True),
        ({"groups": ["g"]}, {"groups": ["h"]}, False),
        ({"amounts": {"EUR": {"below": "5.00"}}}, {"amounts": {"EUR": {"from": "5.00"}}}, False),
        ({"amounts": {"EUR": {"below": "5.01"}}}, {"amounts": {"EUR": {"from": "5.00"}}}, True),
        ({"amounts": {"EUR": {"below": "5.00"}}}, {"amounts": {"USD": {"from": "1.00"}}}, False),
    ],
)
def test_f22_rules_of_one_rank_that_may_match_the_same_money_are_found(
    one: dict[str, Any], other: dict[str, Any], meets: bool
) -> None:
    first, second = read(rule(match=one)), read(rule(match=other, rule="s"))
    assert (list(inseparable(first, [second])) == [second]) == meets
    assert (list(inseparable(second, [first])) == [first]) == meets


def test_rules_of_different_times_or_ranks_are_apart() -> None:
    first = read(rule(effective_until="2026-12-01T00:00:00Z"))
    for apart in (
        rule(rule="s", effective_from="2026-12-01T00:00:00Z"),
        rule(rule="s", priority=1),
        rule(rule="s", match={"kinds": ["a"]}),
    ):
        assert list(inseparable(first, [read(apart)])) == []
    assert first.effective_at(datetime(2026, 11, 30, tzinfo=UTC))
    assert not first.effective_at(datetime(2026, 12, 1, tzinfo=UTC))
