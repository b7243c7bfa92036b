"""What one consumer group does with each event type: declared once, checked when declared."""

import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel

from tally_messaging.parser import Expected
from tally_messaging.records import Received
from tally_messaging.unit_of_work import UnitOfWork

E = TypeVar("E", bound=BaseModel)
EachHandler = Callable[[UnitOfWork, Received[E]], Awaitable[None]]
FoldHandler = Callable[[UnitOfWork, Sequence[Received[Any]]], Awaitable[None]]
Worth = Callable[[Any], int]
"""How many ordinary events an event is worth in work, one or more, by what it holds."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """One topic as this consumer reads it.

    `ordered`: behind a record set aside, later records of the same key wait for the operator.
    `untrusted`: written by others, so event ids count within the topic and unknown types are refused.
    `types`: the types this topic carries; the router's other types are unknown on it, so that nobody
    can slip a fact of one topic in on another. None: whatever the router handles.
    `wants` tells by a record's key, before anything else of it is read, whether it is this consumer's
    business: where groups share a topic out by key. It sees null keys too and must not raise.
    `glance` spares reading most of what `heeds` turns down: a record of a type it names is skipped
    unread if the type's pattern finds nothing in its bytes. It must find something in whatever
    `heeds` would take in, however the JSON is spaced; escapes are seen to by the parser. What cannot
    be read and holds nothing of note is skipped like the rest, not set aside.
    `heeds` tells by the event once it is read; what it turns down enters no inbox, and a batch of
    nothing else opens no transaction. It must decide by the event alone, the same every time.
    """

    topic: str
    ordered: bool = True
    untrusted: bool = False
    types: Collection[str] | None = None
    wants: Callable[[bytes | None], bool] | None = None
    glance: Mapping[str, re.Pattern[bytes]] = field(default_factory=dict)
    heeds: Callable[[BaseModel], bool] | None = None


class Router:
    """The handlers of one consumer; `consumer` is its group id and its name in the inbox.

    `patient`: neither money in nor a payment waits for it, so its batches may be fewer and fuller.
    """

    def __init__(
        self, consumer: str, subscriptions: Sequence[Subscription], *, patient: bool = False
    ) -> None:
        self.consumer = consumer
        self.patient = patient
        self.subscriptions = tuple(subscriptions)
        self._handlers: dict[type[BaseModel], FoldHandler] = {}
        self._models: dict[str, type[BaseModel]] = {}
        self._worth: dict[type[BaseModel], Worth] = {}
        self._expected: Mapping[str, Expected] | None = None

    def each(self, model: type[E]) -> Callable[[EachHandler[E]], EachHandler[E]]:
        """Handle events of this type one at a time, in order."""

        def register(handler: EachHandler[E]) -> EachHandler[E]:
            async def one_by_one(uow: UnitOfWork, messages: Sequence[Received[Any]]) -> None:
                for message in messages:
                    await handler(uow, message)

            self._add(model, one_by_one)
            return handler

        return register

    def fold(self, *models: type[BaseModel]) -> Callable[[FoldHandler], FoldHandler]:
        """Handle events of these types together: the handler gets them all at once, in order."""

        def register(handler: FoldHandler) -> FoldHandler:
            for model in models:
                self._add(model, handler)
            return handler

        return register

    def bundles(self, model: type[BaseModel], worth: Worth) -> None:
        """Events of this type hold many things to do: a few are as good as a full batch of others."""
        self._worth[model] = worth

    def worth(self, events: Sequence[BaseModel]) -> int:
        """How many ordinary events these are worth in work."""
        worth = self._worth
        if not worth:
            return len(events)
        return sum(
            1 if (measure := worth.get(type(event))) is None else measure(event) for event in events
        )

    def expected(self) -> Mapping[str, Expected]:
        """What the parser is told, by topic."""
        if self._expected is not None:
            return self._expected
        self._expected = {
            subscription.topic: Expected(
                models={
                    name: model
                    for name, model in self._models.items()
                    if subscription.types is None or name in subscription.types
                },
                open_to_unknown=not subscription.untrusted,
                untrusted=subscription.untrusted,
                wants=subscription.wants,
                glance={name.encode(): seen for name, seen in subscription.glance.items()},
                heeds=subscription.heeds,
            )
            for subscription in self.subscriptions
        }
        return self._expected

    def ordered_topics(self) -> frozenset[str]:
        """Topics on which a record set aside holds up later ones of its key."""
        return frozenset(s.topic for s in self.subscriptions if s.ordered)

    @property
    def event_types(self) -> frozenset[str]:
        """CloudEvents types this consumer handles."""
        return frozenset(self._models)

    async def dispatch(self, uow: UnitOfWork, messages: Sequence[Received[BaseModel]]) -> None:
        """Hand runs of messages with the same handler to it, keeping the order of arrival."""
        start = 0
        while start < len(messages):
            handler = self._handlers[type(messages[start].event)]
            end = start + 1
            while end < len(messages) and self._handlers[type(messages[end].event)] is handler:
                end += 1
            await handler(uow, messages[start:end])
            start = end

    def _add(self, model: type[BaseModel], handler: FoldHandler) -> None:
        event_type = getattr(model, "TYPE", None)
        if not isinstance(event_type, str):
            raise TypeError(f"{model.__name__} has no TYPE: only events and commands are handled")
        if model in self._handlers:
            raise ValueError(f"{self.consumer}: {event_type} has a handler already")
        self._handlers[model] = handler
        self._models[event_type] = model
        self._expected = None
