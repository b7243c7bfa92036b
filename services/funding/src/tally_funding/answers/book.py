"""The answers of one unit of work: a repeated command is answered as before, new answers are kept."""

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum, auto

from tally_contracts.base import Event
from tally_funding.answers import store
from tally_funding.answers.refusal import Refusal
from tally_funding.answers.store import Answer
from tally_messaging import Received, UnitOfWork


class Seen(Enum):
    """Whether a command's id was seen before: with the same content, with other content, or never."""

    AGAIN = auto()
    OTHER = auto()
    NEVER = auto()


@dataclass(slots=True)
class AnswerBook:
    """Answers to commands that are published on `topic`."""

    uow: UnitOfWork
    topic: str
    _known: dict[str, Answer] = field(default_factory=dict)
    _new: list[Answer] = field(default_factory=list)

    @classmethod
    async def open(cls, uow: UnitOfWork, topic: str, command_ids: Collection[str]) -> "AnswerBook":
        """The book, with what is known of these commands."""
        return cls(uow, topic, dict(await store.known(uow.conn, sorted(set(command_ids)))))

    def look_up(self, command_id: str, message: Received[Event]) -> Seen:
        """Whether this command came before; if it did, its answer is told again."""
        before = self._known.get(command_id)
        if before is None:
            return Seen.NEVER
        if before.digest != store.digest(message.event):
            return Seen.OTHER
        self.uow.emit(before.event, topic=before.topic, key=before.key, cause=message)
        return Seen.AGAIN

    def keep(self, command_id: str, command: Event, fact: Event, *, key: str, tenant: str) -> None:
        """Note the answer to a command that was never seen before."""
        answer = Answer(command_id, tenant, store.digest(command), self.topic, key, fact)
        self._known[command_id] = answer
        self._new.append(answer)

    async def save(self) -> None:
        """Write the new answers; an id that another unit took meanwhile fails this one."""
        if self._new:
            await store.remember(self.uow.conn, self._new, self.uow.now)


def reused(command_id: str) -> Refusal:
    """The refusal of a command under an id that named another."""
    return Refusal(
        "id_reused",
        "/command_id",
        f"{command_id} named another command before, which stands",
        "give each command an id of its own",
    )
