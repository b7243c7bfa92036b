"""The service as it runs: real topics in, real topics out."""

import json

import pytest

from tally_contracts.catalogue import expand
from tally_embedded import TopicSpec, ensure_topics
from tally_messaging.envelope import CAUSATION_ID, CE_TYPE
from tally_programs.app import build_app
from tally_programs.handlers import build_router
from tally_programs.service.apply import COMMANDS, ProgramService
from tally_programs.service.desk import Books
from tally_testkit import RawRecord, Topics


def test_topics_read_are_the_ones_the_catalogue_names():
    catalogue = expand(["cards"])
    read = {
        each.topic for each in build_router(ProgramService(Books("main", "main"))).subscriptions
    }
    assert read == {name for name, topic in catalogue.items() if "programs" in topic.consumers}


def test_every_command_of_the_catalogue_has_a_use_case():
    asked = set(expand(["cards"])["programs.commands.v1"].types)
    assert {command.TYPE for command in COMMANDS} == asked


@pytest.mark.stack
async def test_f64_payment_travels_through_real_topics_from_proposal_to_paid(
    settings, make, ids, fresh_kafka, raw
):
    topics = Topics(fresh_kafka, "programs")
    catalogue = expand(["cards"])
    specs = [TopicSpec(name, topic.partitions, topic.config()) for name, topic in catalogue.items()]
    await ensure_topics(topics.kafka, specs)
    app = build_app(settings.model_copy(update={"kafka": topics.kafka}))

    async def publish(name, *events):
        records = [raw(event, event_id=f"{name}-{n}") for n, event in enumerate(events)]
        await topics.publish(
            records[0].topic, [RawRecord(r.value, r.headers, r.key) for r in records]
        )

    await app.start()
    try:
        levels = {"approvals": [{"currency": "USD", "above": "0.00", "approvals": 1}]}
        await publish(
            "begin",
            make.create(),
            make.policy(**levels),
            make.order(),
            make.budget("top"),
            make.propose("one"),
            make.by("user:otto", ids("party", "company")).approve("one"),
        )
        [journal] = await topics.read("ledger.commands.v1", 1)
        await publish("posted", make.posted("one"))
        facts = await topics.read("programs.programs.v1", 9)
    finally:
        await app.stop()
    assert json.loads(journal.value)["reference"] == ids("pmt", "one")
    told = [(dict(r.headers)[CE_TYPE].decode(), json.loads(r.value)) for r in facts]
    payments = [fact for kind, fact in told if kind == "programs.payment.changed.v1"]
    assert [p["state"] for p in payments] == ["proposed", "approved", "paid"]
    budgets = [fact for kind, fact in told if kind == "programs.budget.changed.v1"]
    assert [b["change"] for b in budgets] == ["opened", "reserved", "used"]
    causes = {dict(r.headers)[CAUSATION_ID].decode() for r in facts}
    assert causes == {f"begin-{n}" for n in range(6)} | {"posted-0"}
    assert {record.key.decode() for record in facts} == {ids("prog", "rebates")}
