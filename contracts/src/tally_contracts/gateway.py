"""Codes that a person confirms a debit with, made by the public API (F5)."""

from typing import ClassVar, Final

from tally_contracts.base import Event, Slug, Text, Token, TypeId, UtcTime, Who

STEP_UP_CODE: Final = ("step_up", "code")
"""Where a sealed code belongs: table and column; its row is the challenge, its tenant the challenge's."""


class StepUpIssued(Event):
    """A person is asked to confirm what was asked in their name; `sealed_code` is for who delivers it.

    `party` is the person. `asked` says in words what the code stands for: it is shown with the code.
    """

    TYPE: ClassVar[str] = "gateway.step_up.issued.v1"

    challenge_id: TypeId
    party: Token
    tenant: Token
    command_type: Token
    asked: Text
    expires_at: UtcTime
    sealed_code: Text
    who: Who
    occurred_at: UtcTime


class StepUpAlarmRaised(Event):
    """Somebody with a person's credentials does not know the code: a human being should look.

    `code`: attempts_used_up (more may come). Nothing was debited.
    """

    TYPE: ClassVar[str] = "gateway.step_up.alarm_raised.v1"

    challenge_id: TypeId
    party: Token
    tenant: Token
    command_type: Token
    asked: Text
    code: Slug
    who: Who
    occurred_at: UtcTime
