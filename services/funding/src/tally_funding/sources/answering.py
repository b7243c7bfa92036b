"""What every command of the sources' topic gets: one answer that names it as its cause."""

import hashlib
import json

from tally_contracts.base import AskedAmount, Event, Who
from tally_contracts.funding_sources import SourceCommandRefused
from tally_funding.answers.refusal import Refusal
from tally_messaging import Cause, UnitOfWork
from tally_messaging.unit_of_work import Following
from tally_money import Money, MoneyError
from tally_runtime import get_logger

_LOG = get_logger("tally_funding.sources")
FACTS = "funding.sources.v1"
_TEXT_CHARS_MAX = 500


def refuse(  # noqa: PLR0917 - a refusal, field by field
    uow: UnitOfWork,
    command_type: str,
    subject: str,
    who: Who,
    refusal: Refusal,
    cause: Cause | Following,
) -> None:
    """Answer that a command changed nothing, and why."""
    _LOG.warning("source_command_refused", command=command_type, subject=subject, code=refusal.code)
    fact = SourceCommandRefused(
        command_type=command_type,
        subject=subject,
        code=refusal.code,
        field=refusal.field,
        detail=refusal.detail[:_TEXT_CHARS_MAX],
        remedy=refusal.remedy[:_TEXT_CHARS_MAX],
        who=who,
        occurred_at=uow.now,
    )
    uow.emit(fact, topic=FACTS, key=subject, cause=cause)


def content_digest(command: Event) -> bytes:
    """Digest of what a command says; when it was said does not count."""
    content = command.model_dump(mode="json", exclude={"occurred_at"})
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16, person=b"tally-command").digest()


def read_amount(asked: AskedAmount, field: str) -> Money | Refusal:
    """The amount of a command in minor units, or why it is none."""
    try:
        amount = asked.money()
    except MoneyError as error:
        return Refusal(error.code, f"{field}/amount", str(error), "give the amount as a decimal")
    if amount.minor <= 0:
        return Refusal(
            "amount_not_positive", f"{field}/amount", "the amount is zero", "give more than zero"
        )
    return amount
