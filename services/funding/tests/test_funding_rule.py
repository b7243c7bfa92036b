"""The rule document: every fault is found, with its place, before the service starts."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from tally_funding.app import build_app
from tally_funding.errors import RuleInvalid
from tally_funding.rule_document import RuleDocument, bundled_rule, parse_rule, read_rule
from tally_funding.settings import FundingSettings
from tally_runtime import SettingsError, load_settings

REST: dict[str, Any] = {"role": "beneficiary", "remainder": True, "pay_out": True}


def rule(*shares: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"rule": "r", "version": 1, "programs": ["*"], "shares": [*shares, REST], **changes}


def share(**part: Any) -> dict[str, Any]:
    return {"role": "aggregator", "owner": "agg", **part}


def faults(document: object) -> set[tuple[str, str]]:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(RuleInvalid) as invalid:
        parse_rule(data)
    assert all(fault.remedy for fault in invalid.value.faults)
    return {(fault.pointer, fault.code) for fault in invalid.value.faults}


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        (rule(colour="red"), ("/colour", "unknown_field")),
        (rule(share(percent="1", note="x")), ("/shares/0/note", "unknown_field")),
        ({"rule": "r", "programs": ["*"], "shares": [REST]}, ("/version", "missing_field")),
        (rule(version="1"), ("/version", "bad_value")),
        (rule(version=0), ("/version", "bad_value")),
        (rule(programs=[]), ("/programs", "bad_value")),
        (rule(programs=["a", "a"]), ("/programs/1", "repeated_program")),
        (rule(programs=["a", "*"]), ("/programs", "all_and_some")),
        (rule(rounding="up"), ("/rounding", "bad_value")),
        (rule(currencies=["EUR", "XTS"]), ("/currencies/1", "unknown_currency")),
        (rule(share(percent="100.01")), ("/shares/0/percent", "bad_percent")),
        (rule(share(percent="1.0000001")), ("/shares/0/percent", "bad_percent")),
        (rule(share(percent=2.5)), ("/shares/0/percent", "bad_value")),
        (rule(share(percent="-1")), ("/shares/0/percent", "bad_value")),
        (rule(share(percent="1e1")), ("/shares/0/percent", "bad_value")),
        (rule(share(fixed={"JPY": "0.5"})), ("/shares/0/fixed/JPY", "too_many_decimals")),
        (rule(share(fixed={"EUR": "1", "XXX": "1"})), ("/shares/0/fixed/XXX", "unknown_currency")),
        (
            rule(share(fixed={"EUR": "1"}), currencies=["EUR", "USD"]),
            ("/shares/0/fixed/USD", "missing_amount"),
        ),
        (
            rule(share(fixed={"EUR": "1"}), share(fixed={"USD": "1"})),
            ("/shares/0/fixed/USD", "missing_amount"),
        ),
        (rule(share()), ("/shares/0", "share_ambiguous")),
        (rule(share(percent="1", remainder=True)), ("/shares/0", "share_ambiguous")),
        (rule(share(remainder=False)), ("/shares/0/remainder", "bad_value")),
        (rule(share(remainder=True)), ("/shares", "two_remainders")),
        (rule(shares=[share(percent="100")]), ("/shares", "no_remainder")),
        (rule(shares=[]), ("/shares", "bad_value")),
        (rule({"role": "fee", "percent": "1"}), ("/shares/0/owner", "missing_field")),
        (
            rule({"role": "beneficiary", "owner": "x", "percent": "1"}),
            ("/shares/0/owner", "owner_given"),
        ),
        (rule(share(percent="1") | {"owner": "$payer"}), ("/shares/0/owner", "bad_value")),
        (rule(share(percent="60"), share(percent="41")), ("/shares", "shares_exceed_whole")),
        (
            rule(share(percent="100"), share(fixed={"EUR": "0.01"})),
            ("/shares", "shares_exceed_whole"),
        ),
        (b'{"rule": "a", "rule": "b"}', ("", "repeated_field")),
        (b"{", ("", "not_json")),
        (b"[" * 100_000, ("", "not_json")),
        (b"\xff\xfe", ("", "not_json")),
        (b" " * 300_000, ("", "too_large")),
        ([], ("", "bad_value")),
    ],
)
def test_a_fault_is_named_with_its_place_and_a_remedy(
    document: object, fault: tuple[str, str]
) -> None:
    assert fault in faults(document)


def test_all_faults_are_named_at_once() -> None:
    document = rule(share(percent="101"), share(fixed={"JPY": "0.5"}), currencies=["JPY", "XXX"])
    assert len(faults(document)) >= 3


def test_percentages_of_the_whole_without_fixed_amounts_leave_a_remainder_of_nothing() -> None:
    assert parse_rule(json.dumps(rule(share(percent="100"))).encode()).rule.label == "r:1"


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["rule", "version", "programs", "shares", "role", "percent", "fixed"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode())
)
def test_whatever_the_document_is_the_answer_is_a_rule_or_its_faults(data: bytes) -> None:
    found: Sequence[object] = ()
    try:
        label = parse_rule(data).rule.label
    except RuleInvalid as invalid:
        label, found = None, invalid.faults
    assert (label is None) == bool(found)


def test_the_bundled_rule_has_no_fault() -> None:
    loaded = parse_rule(bundled_rule())
    assert loaded.rule.label == "standard:1"
    assert "KWD" in (loaded.rule.currencies or ())


def test_the_digest_follows_the_content_and_not_the_spelling() -> None:
    document = rule(share(percent="1"))
    spelled = json.dumps(document, indent=4, sort_keys=True).encode()
    one, two = parse_rule(json.dumps(document).encode()), parse_rule(spelled)
    other = parse_rule(json.dumps(rule(share(percent="2"))).encode())
    assert one.digest == two.digest
    assert one.digest != other.digest


def test_the_published_schema_is_the_models(project_root: Path) -> None:
    published = project_root / "services/funding/src/tally_funding/rules/rule.v1.schema.json"
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **RuleDocument.model_json_schema(),
    }
    assert json.loads(published.read_text(encoding="utf-8")) == schema


def _settings(**more: Any) -> FundingSettings:
    return load_settings(
        FundingSettings,
        environment="test",
        kafka="127.0.0.1:1",
        postgres_dsn=SecretStr("postgresql://tally_funding:x@127.0.0.1:1/x"),
        **{"sources": "cards, bank", **more},
    )


@pytest.mark.parametrize("content", [b"{}", None])
def test_a_wrong_rule_stops_the_start_with_the_name_of_the_variable(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "rule.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError) as stopped:
        build_app(_settings(rule=path))
    assert {problem.variable for problem in stopped.value.problems} == {"TALLY_FUNDING_RULE"}


def test_a_rule_file_of_an_operator_is_the_rule_in_force(tmp_path: Path) -> None:
    path = tmp_path / "rule.json"
    path.write_text(json.dumps(rule(share(percent="1"), rule="mine", version=7)))
    assert read_rule(path).rule.label == "mine:7"


def test_sources_are_a_comma_list_and_each_is_a_topic() -> None:
    service = build_app(_settings())
    topics = [(s.topic, s.untrusted) for s in service.routers[0].subscriptions]
    assert topics == [
        ("funding.inbound.cards.v1", True),
        ("funding.inbound.bank.v1", True),
        ("funding.commands.v1", False),
        ("ledger.journals.v1", False),
    ]


@pytest.mark.parametrize("sources", ["", " , ", "Cards", "a,a", "a b", "a/b"])
def test_sources_that_name_no_topics_stop_the_start(sources: str) -> None:
    with pytest.raises(SettingsError) as stopped:
        _settings(sources=sources)
    assert {problem.variable for problem in stopped.value.problems} == {"TALLY_FUNDING_SOURCES"}
