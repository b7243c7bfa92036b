"""Publishing events from the command line, as an upstream system would."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer

from tally_contracts.base import Event
from tally_messaging import Cause, encode_headers, outgoing_headers
from tally_messaging.envelope import Headers
from tally_runtime import Clock

CLI_SOURCE = "/tallystick/cli"
_BATCH_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Publication:
    """A record to publish: any bytes and headers, so that a feed can also hold what is broken."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


def publication(
    event: Event, *, topic: str, key: str, event_id: str, source: str, clock: Clock
) -> Publication:
    """A sound record of an event; `event_id` stays the same if it is published again."""
    headers: Headers = encode_headers(
        outgoing_headers(
            event_id=event_id,
            source=source,
            event_type=event.TYPE,
            at=clock.now(),
            subject=key,
            cause=Cause(correlation_id=event_id),
        )
    )
    return Publication(topic, key.encode(), event.model_dump_json().encode(), headers)


async def publish(kafka: str, records: Sequence[Publication]) -> None:
    """Publish in order and wait for the broker's word on each; raises what the broker says."""
    async with AIOKafkaProducer(
        bootstrap_servers=kafka,
        client_id="tally-cli",
        acks="all",
        enable_idempotence=True,
        max_batch_size=_BATCH_BYTES,
    ) as producer:
        waiting = [
            await producer.send(
                record.topic, value=record.value, key=record.key, headers=list(record.headers)
            )
            for record in records
        ]
        await asyncio.gather(*waiting)
