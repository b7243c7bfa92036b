"""What one command or fact is worked on with, and what will be told of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from tally_contracts import kyc as wire
from tally_contracts.base import Event, Who
from tally_kyc.domain.policy import PartyKind, Policy, in_force
from tally_kyc.domain.tasks import WAITING, Task, TaskState
from tally_kyc.domain.world import Party, World

IDENTITY: Final = "kyc.identity.v1"
TASK_PREFIX: Final = "task"


@dataclass(frozen=True, slots=True)
class Told:
    """A fact to publish."""

    key: str
    event: Event


@dataclass(slots=True)
class Desk:
    """One message's. The first fact told is a command's answer; `new_id` makes an id of a prefix."""

    world: World
    policies: Sequence[Policy]
    who: Who
    now: datetime
    new_id: Callable[[str], str]
    told: list[Told] = field(default_factory=list)

    @property
    def policy(self) -> Policy:
        """The version in force."""
        return in_force(self.policies, self.now)

    def said(self, tenant: str) -> dict[str, Any]:
        """What every fact says beside its own fields."""
        return {"tenant": tenant, "who": self.who, "occurred_at": self.now}

    def tell(self, key: str, event: Event) -> None:
        """Publish a fact once the batch is committed."""
        self.told.append(Told(key, event))

    def tell_of(
        self, task: Task, party: Party, fact: type[wire.TaskFact], **fields: object
    ) -> None:
        """Publish a fact of a task, and keep the task as it is now."""
        self.world.tasks.put(task.task_id, task)
        event = fact.model_validate(
            {
                **self.said(party.tenant),
                "task_id": task.task_id,
                "party_id": party.party_id,
                "kind": task.kind,
                "who_must_act": who_must_act(task, party),
                **fields,
            }
        )
        self.tell(party.party_id, event)


def who_must_act(task: Task, party: Party) -> str | None:
    """Who moves a task on; nobody, once it is decided."""
    if task.state not in WAITING:
        return None
    if task.state is not TaskState.OPEN:
        return "operator"
    return "payee" if party.kind is PartyKind.PERSON else "company"
