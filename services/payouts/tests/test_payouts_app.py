"""The service as it runs: real topics in, real topics out."""

import json

import pytest

from tally_contracts.catalogue import expand
from tally_embedded import TopicSpec, ensure_topics
from tally_messaging.envelope import CE_TYPE
from tally_payouts.app import build_app
from tally_payouts.handlers import TOPICS
from tally_testkit import RawRecord, Topics


def test_topics_read_are_the_ones_the_catalogue_names():
    catalogue = expand(["cards"])
    assert set(TOPICS) == {
        name for name, topic in catalogue.items() if "payouts" in topic.consumers
    }


@pytest.mark.stack
async def test_payout_travels_through_real_topics_to_its_public_status(
    settings, make, ids, fresh_kafka, raw
):
    topics = Topics(fresh_kafka, "payouts")
    catalogue = expand(["cards"])
    specs = [TopicSpec(name, topic.partitions, topic.config()) for name, topic in catalogue.items()]
    await ensure_topics(topics.kafka, specs)
    app = build_app(settings.model_copy(update={"kafka": topics.kafka}))
    payout = ids("one")

    async def publish(*events):
        for record in map(raw, events):
            await topics.publish(
                record.topic, [RawRecord(record.value, record.headers, payout.encode())]
            )

    await app.start()
    try:
        await publish(make.pay_in("one"))
        claimable = await topics.read("payouts.status.v1", 1)
        await publish(make.registered(), make.choose())
        await topics.read("ledger.commands.v1", 1)
        await publish(make.placed(payout))
        await topics.read("rails.ach.commands.v1", 1)
        await publish(make.attempt(payout, "paid"))
        await topics.read("ledger.commands.v1", 2)
        await publish(make.captured(payout))
        statuses = await topics.read("payouts.status.v1", 4)
    finally:
        await app.stop()
    assert len(claimable) == 1
    told = [json.loads(record.value) for record in statuses]
    assert [(s["sequence"], s["state"]) for s in told] == [
        (1, "claimable"),
        (2, "approved"),
        (3, "submitting"),
        (4, "paid"),
    ]
    assert {record.key for record in statuses} == {payout.encode()}
    assert dict(statuses[0].headers)[CE_TYPE] == b"payouts.status.changed.v1"
