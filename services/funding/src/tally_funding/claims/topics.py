"""Where claims are told of, and what the ledger answers to their journals."""

from collections.abc import Mapping, Sequence
from typing import Final

from tally_contracts.ledger import JournalPosted, JournalRejected, JournalReversed
from tally_messaging import Received

CLAIMS_TOPIC: Final = "funding.claims.v1"
LEDGER_TOPIC: Final = "ledger.commands.v1"

LedgerFact = JournalPosted | JournalReversed | JournalRejected


def answers_to(
    prefix: str, messages: Sequence[Received[LedgerFact]]
) -> Mapping[str, Received[LedgerFact]]:
    """The answers, posted or rejected, to journals whose references start so, by reference."""
    return {
        message.event.reference: message
        for message in messages
        if message.event.reference.startswith(f"{prefix}_")
        and not isinstance(message.event, JournalReversed)
    }
