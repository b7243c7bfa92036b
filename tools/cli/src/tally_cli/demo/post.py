"""Delivery of codes: opens what a service sealed for whoever brings it to a contact.

In production this is a mail or message provider's adapter; it alone holds these keys.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer

from tally_cli.demo.api import StoryFailed
from tally_contracts.directory import VERIFICATION_MESSAGE
from tally_contracts.directory_facts import VerificationStarted
from tally_contracts.funding_claims import ClaimIssued
from tally_contracts.gateway import STEP_UP_CODE, StepUpIssued
from tally_messaging.envelope import CE_TYPE
from tally_security.sealing import Keyring, Place, unseal

_WAIT_S = 60


@dataclass(frozen=True, slots=True)
class Post:
    """Reads sealed messages from the topics, and opens them with the keys of delivery."""

    kafka: str
    claim_keys: Keyring
    contact_keys: Keyring

    async def claim_code(self, claim_id: str) -> str:
        """The code of a claim, as its person gets it."""
        fact = await self._fact("funding.claims.v1", ClaimIssued.TYPE, "claim_id", claim_id)
        place = Place(fact["tenant"], "claim", "code", claim_id)
        return unseal(fact["sealed_code"], self.claim_keys, place)

    async def step_up_code(self, challenge_id: str) -> str:
        """The code a person confirms a debit with, as they get it."""
        fact = await self._fact(
            "gateway.step_up.v1", StepUpIssued.TYPE, "challenge_id", challenge_id
        )
        place = Place(fact["tenant"], *STEP_UP_CODE, challenge_id)
        return unseal(fact["sealed_code"], self.contact_keys, place)

    async def verification_code(self, verification_id: str) -> str:
        """The code that a verification sent to the contact."""
        fact = await self._fact(
            "directory.parties.v1", VerificationStarted.TYPE, "verification_id", verification_id
        )
        place = Place(fact["tenant"], *VERIFICATION_MESSAGE, verification_id)
        message = json.loads(unseal(fact["sealed_message"], self.contact_keys, place))
        return str(message["code"])

    async def _fact(self, topic: str, type_: str, field: str, value: str) -> Mapping[str, Any]:
        consumer = AIOKafkaConsumer(
            topic,
            bootstrap_servers=self.kafka,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        await consumer.start()
        try:
            async with asyncio.timeout(_WAIT_S):
                while True:
                    record = await consumer.getone()
                    if dict(record.headers)[CE_TYPE].decode() != type_:
                        continue
                    fact: Mapping[str, Any] = json.loads(record.value)
                    if fact[field] == value:
                        return fact
        except TimeoutError as error:
            raise StoryFailed(f"{topic}: no {type_} of {value} within {_WAIT_S} s") from error
        finally:
            await consumer.stop()
