"""Commands about rules that change nothing, and how each command's one fact is told."""

from collections.abc import Awaitable, Sequence
from typing import Final, Protocol

from tally_contracts import funding_rules as wire
from tally_contracts.base import Event, Who
from tally_contracts.directory import OPERATOR
from tally_funding.errors import FundingError, RuleFault
from tally_funding.rules import directory_store
from tally_funding.rules.model import INSTALLATION
from tally_funding.statements.credits import printable
from tally_messaging import Cause, UnitOfWork
from tally_postgres import Connection
from tally_runtime import get_logger

_LOG = get_logger("tally_funding.rules")
TOPIC: Final = "funding.rules.v1"
_FAULTS_MAX: Final = 100


class Refused(FundingError):  # noqa: N818 - an outcome, told as an event
    """Raised before anything is changed; `field` is a JSON pointer into the command."""

    def __init__(
        self,
        code: str,
        field: str | None,
        detail: str,
        remedy: str,
        faults: Sequence[RuleFault] = (),
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.refusal = code
        self.field = field
        self.detail = detail
        self.remedy = remedy
        self.faults = faults


class Command(Protocol):
    """What all commands about rules have."""

    @property
    def tenant(self) -> str: ...
    @property
    def who(self) -> Who: ...


async def tell(
    uow: UnitOfWork,
    command: wire.PublishRule
    | wire.RetireRule
    | wire.LintRule
    | wire.DryRunRule
    | wire.RegisterOwnerKey,
    subject: str,
    outcome: Awaitable[Event],
    cause: Cause,
) -> None:
    """Emit the fact that a command leads to, or its refusal; `subject` is its id and the key."""
    try:
        fact = await outcome
    except Refused as refused:
        _LOG.warning("rule_command_refused", subject=subject, code=refused.refusal)
        fact = wire.RuleRefused(
            command_type=command.TYPE,
            subject=subject,
            tenant=command.tenant,
            code=refused.refusal,
            field=refused.field,
            detail=printable(refused.detail),
            remedy=printable(refused.remedy),
            faults=wire_faults(refused.faults),
            who=command.who,
            occurred_at=uow.now,
        )
    uow.emit(fact, topic=TOPIC, key=subject, cause=cause)


def wire_faults(faults: Sequence[RuleFault]) -> tuple[wire.RuleFault, ...]:
    """The first hundred faults, in texts that an event can hold."""
    return tuple(
        wire.RuleFault(pointer=fault.pointer[:500], code=fault.code, remedy=printable(fault.remedy))
        for fault in faults[:_FAULTS_MAX]
    )


async def company_of(conn: Connection, command: Command) -> str | None:
    """Whose rules below the tenant a command is about; None for those of the tenant itself.

    A party of the tenant's tree speaks of its own rules, the tenant of the tenant's.
    """
    principal = command.who.principal
    if principal != command.tenant:
        places = await directory_store.tenants(conn, [principal])
        if places.get(principal) == command.tenant:
            return principal
    _require_owner_of(command)
    return None


def _require_owner_of(command: Command) -> None:
    """Rules of a tenant are changed by the tenant, those of the installation by the operator."""
    principal = command.who.principal
    if principal == OPERATOR or (principal == command.tenant and command.tenant != INSTALLATION):
        return
    whose = "the operator" if command.tenant == INSTALLATION else command.tenant
    raise Refused(
        "not_your_rules",
        "/who/principal",
        f"{principal} does not own these rules, {whose} does",
        f"act for {whose}",
    )
