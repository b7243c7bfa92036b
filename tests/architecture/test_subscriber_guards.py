"""Every subscriber of every service states its promises; a new one cannot forget them."""

from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from faststream import AckPolicy
from pydantic import SecretStr

from tally_cli.platform import DEFAULT_SOURCES, SERVICES, package
from tally_contracts.catalogue import expand
from tally_messaging import Service
from tally_messaging.consumer import Consumer
from tally_runtime import load_settings


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setenv("TALLY_FUNDING_SOURCES", DEFAULT_SOURCES)
    for name, value in ACH_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    found = package(request.param)
    settings = load_settings(
        found.settings,
        environment="test",
        kafka="127.0.0.1:1",
        postgres_dsn=SecretStr("postgresql://nobody:for-tests-only@127.0.0.1:1/nowhere"),
    )
    built: Service = found.build_app(settings)
    return built


ACH_ENVIRONMENT = {
    "TALLY_RAILS_ACH_SFTP_HOST": "127.0.0.1",
    "TALLY_RAILS_ACH_SFTP_PORT": "1",
    "TALLY_RAILS_ACH_SFTP_USER": "nobody",
    "TALLY_RAILS_ACH_SFTP_PASSWORD": "for-tests-only",
    "TALLY_RAILS_ACH_SFTP_HOST_KEY": "SHA256:" + "A" * 43,
}


def subscribers(service: Service) -> Iterator[Any]:
    for router in service.routers:
        processor = service.processor(router, transactor=None)  # type: ignore[arg-type] # never run
        yield Consumer(service.broker, processor, service.settings, service.clock).subscriber


def test_every_subscriber_states_group_policy_offsets_and_topics(service: Service) -> None:
    known = expand(DEFAULT_SOURCES.split(","))
    found = list(subscribers(service))
    assert found, f"{service.name} consumes nothing"
    for subscriber in found:
        arguments = subscriber._connection_args
        assert subscriber.group_id
        assert subscriber.ack_policy is AckPolicy.MANUAL
        assert arguments["enable_auto_commit"] is False
        assert arguments["auto_offset_reset"] == "earliest"
        assert arguments["partition_assignment_strategy"] == (StickyPartitionAssignor,)
        assert arguments["max_poll_interval_ms"] > arguments["session_timeout_ms"]
        for topic in subscriber.topic_names_for_subscribe:
            assert topic in known, f"{topic} is not in the catalogue"
            assert service.name in known[topic].consumers, f"{topic} does not name {service.name}"


def test_group_ids_are_unique_and_named_after_their_service(service: Service) -> None:
    groups = [subscriber.group_id for subscriber in subscribers(service)]
    assert len(set(groups)) == len(groups)
    assert all(group.split(".")[0] == service.name for group in groups)


def test_only_rules_may_wait_for_fuller_batches(service: Service) -> None:
    patient = {router.consumer for router in service.routers if router.patient}
    assert patient == ({"funding.rules"} if service.name == "funding" else set())


def test_no_service_may_create_topics_or_publish_past_the_outbox(service: Service) -> None:
    config = service.broker.config.broker_config
    assert config.allow_auto_create_topics is False
    assert config.consumer_only is True


def test_every_service_reads_its_own_connection_string(service: Service) -> None:
    field = type(service.settings).model_fields["postgres_dsn"]
    assert field.validation_alias == f"TALLY_{service.name.upper()}_POSTGRES_DSN"
