"""What the parser makes of a record: something to apply, something to set aside, or nothing to us."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel

from tally_messaging.envelope import Cause, Envelope


class EventModel(BaseModel):
    """The shape this library needs of an event: a Pydantic model that knows its CloudEvents type."""

    TYPE: ClassVar[str]


class Record(Protocol):
    """A record as aiokafka hands it over."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


@dataclass(frozen=True, slots=True)
class UnfetchedRecord:
    """A record no broker handed over: not published, or known from a log of another installation."""

    topic: str
    value: bytes | None
    partition: int = 0
    offset: int = 0
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()


E_co = TypeVar("E_co", bound=BaseModel, covariant=True)


@dataclass(slots=True)
class Received(Generic[E_co]):
    """A record that parsed: the event, its envelope, and where it came from.

    Nothing changes one; it is not frozen because a frozen one takes twice as long to make, and there
    is one for each record.
    """

    event: E_co
    envelope: Envelope
    record: Record
    event_key: uuid.UUID
    body_hash: bytes
    _cause: Cause | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def topic(self) -> str:
        return self.record.topic

    @property
    def cause(self) -> Cause:
        """What events that follow from this one inherit."""
        if self._cause is None:
            correlation_id, _, tenant, actor, traceparent = self.envelope.cause
            self._cause = Cause(correlation_id, self.envelope.id, tenant, actor, traceparent)
        return self._cause


@dataclass(frozen=True, slots=True)
class Refused:
    """A record nobody may apply: why, in which field, and its bytes as they came."""

    code: str
    field: str | None
    detail: str
    record: Record


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record on a shared topic that this consumer has no use for; no type if it was not read."""

    event_type: str
    record: Record
