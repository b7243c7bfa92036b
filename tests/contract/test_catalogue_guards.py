"""The catalogue, the registry and the parts of the tree say the same."""

from pathlib import Path

import pytest

from tally_contracts.catalogue import MAX_RECORD_BYTES, Topic, catalogue, expand
from tally_contracts.registry import BY_TYPE

ROOT = Path(__file__).parents[2]
TOPICS = list(catalogue().values())
OUTSIDE = {"upstream", "downstream"}


def _ids(topic: Topic) -> str:
    return topic.name


def _is_command(event_type: str) -> bool:
    return (BY_TYPE[event_type].__doc__ or "").startswith("Command:")


def test_every_type_is_published_on_exactly_one_topic() -> None:
    published = [event_type for topic in TOPICS for event_type in topic.types]
    assert sorted(published) == sorted(BY_TYPE)


def test_every_party_is_a_part_of_the_tree_or_stands_outside() -> None:
    members = {path.name for path in (ROOT / "services").iterdir()}
    members |= {path.name for path in (ROOT / "tools").iterdir()}
    parties = {party for topic in TOPICS for party in (*topic.producers, *topic.consumers)}
    assert parties - members - OUTSIDE == set()


@pytest.mark.parametrize("topic", TOPICS, ids=_ids)
def test_topic_has_a_producer_and_a_consumer_each_named_once(topic: Topic) -> None:
    for parties in (topic.producers, topic.consumers):
        assert parties
        assert len(parties) == len(set(parties))


@pytest.mark.parametrize("topic", TOPICS, ids=_ids)
def test_topic_and_its_types_belong_to_its_owner(topic: Topic) -> None:
    assert topic.name.startswith(f"{topic.owner}.")
    assert {event_type.partition(".")[0] for event_type in topic.types} == {topic.owner}


@pytest.mark.parametrize("topic", TOPICS, ids=_ids)
def test_topic_carries_the_major_version_of_its_types(topic: Topic) -> None:
    majors = {event_type.rpartition(".")[2] for event_type in topic.types}
    assert majors == {topic.name.rpartition(".")[2]}


@pytest.mark.parametrize("topic", TOPICS, ids=_ids)
def test_commands_have_their_owner_as_the_one_consumer(topic: Topic) -> None:
    is_command = [_is_command(event_type) for event_type in topic.types]
    assert is_command == [".commands." in topic.name] * len(topic.types)
    if all(is_command):
        assert topic.consumers == (topic.owner,)


@pytest.mark.parametrize("topic", TOPICS, ids=_ids)
def test_facts_have_their_owner_as_the_one_producer(topic: Topic) -> None:
    exempt = ".commands." in topic.name or topic.owner == "operations"
    if not exempt and "upstream" not in topic.producers:
        assert topic.producers == (topic.owner,)


@pytest.mark.parametrize("topic", TOPICS, ids=_ids)
def test_topic_is_public_exactly_when_it_has_an_outside_party(topic: Topic) -> None:
    assert topic.public == bool(OUTSIDE & {*topic.producers, *topic.consumers})


@pytest.mark.parametrize("topic", TOPICS, ids=_ids)
def test_key_is_a_required_field_of_every_type_or_one_of_two_named_ones(topic: Topic) -> None:
    alternatives = topic.key.split(" or ")
    for event_type in topic.types:
        model = BY_TYPE[event_type]
        found = [name for name in alternatives if name.partition(".")[0] in model.model_fields]
        assert found, f"{event_type} has none of {alternatives}"
        last = model.model_fields[found[-1].partition(".")[0]]
        assert last.is_required(), f"{event_type}.{found[-1]} may be absent"


@pytest.mark.parametrize("topic", TOPICS, ids=_ids)
def test_record_is_never_larger_than_the_catalogue_allows(topic: Topic) -> None:
    assert topic.config()["max.message.bytes"] == str(MAX_RECORD_BYTES)


def test_only_a_status_topic_is_compacted_and_it_keeps_the_newest_per_key() -> None:
    compacted = [topic.name for topic in TOPICS if topic.retention == "compact"]
    assert compacted == ["payouts.status.v1"]
    assert catalogue()["payouts.status.v1"].config()["cleanup.policy"] == "compact"


def test_families_expand_to_one_topic_for_each_source_and_rail() -> None:
    real = expand(["bank-feed", "cards"], rails=["ach"])
    assert "funding.inbound.cards.v1" in real
    assert "rails.ach.commands.v1" in real
    assert [name for name in real if "{" in name] == []
    families = [topic for topic in TOPICS if topic.placeholder is not None]
    assert len(real) == len(TOPICS) - len(families) + 3
