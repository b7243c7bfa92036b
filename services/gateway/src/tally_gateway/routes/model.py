"""A command route as data: its address, the command it becomes, and who may send it about what.

The HTTP handlers, the OpenAPI document, the authorisation and the isolation tests all read the same
table. A body is the command less what the gateway knows itself: who acts, when, for which tenant,
and the ids of what is new.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, create_model
from pydantic.fields import FieldInfo

from tally_contracts.base import Event, Who
from tally_contracts.catalogue import catalogue
from tally_gateway.credentials import Caller
from tally_gateway.domain.access import Access, Thing, World
from tally_gateway.sealers import Sealers

FILLED: Final = frozenset({"who", "where", "occurred_at", "tenant", "command_id", "ledger"})
"""Fields of commands that no body has."""

OPERATOR_TENANT: Final = "operator"
"""Tenant of what belongs to the installation itself."""


class Body(BaseModel):
    """A request's body; a field nobody reads is refused, since it was meant to say something."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class About:
    """An id in the path or body, and what the principal must be able to do with whose it is.

    Where the body has `unless`, that is asked about instead. `by_operator`: the operator may too, whatever
    the access.
    """

    field: str
    access: Access = Access.MANAGE
    is_thing: bool = False
    unless: str | None = None
    by_operator: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, checked and about to become a command; `made` are the new ids by field."""

    body: BaseModel
    path: Mapping[str, str]
    caller: Caller
    world: World
    made: Mapping[str, str]
    tenant: str
    now: datetime
    sealers: Sealers
    ledger: str

    def thing(self, name: str) -> Thing:
        """The thing a field names; it was found before."""
        return self.world.things[self.value(name)]

    def value(self, name: str) -> Any:
        """A field of the path or body."""
        return self.path[name] if name in self.path else getattr(self.body, name)


Prepare = Callable[[Asked], Mapping[str, Any]]

Named = Iterable[tuple[str, str]]
"""Where a body names a party (JSON pointer), and its id."""


def no_names(_: BaseModel) -> Named:
    """Of a body that names no party but those its route is about."""
    return ()


def named_at(*places: str) -> Callable[[BaseModel], Named]:
    """Parties that these fields of a body name, each written as `beneficiary.party`.

    A reference that is no party's id is its owner's own word for somebody, and no matter of the tree.
    """

    def found(body: BaseModel) -> Named:
        for place in places:
            value: Any = body
            for name in place.split("."):
                value = getattr(value, name, None)
            under = "/" + place.replace(".", "/")
            if isinstance(value, tuple):
                yield from ((f"{under}/{number}", each) for number, each in enumerate(value))
            elif isinstance(value, str):
                yield under, value

    return found


@dataclass(frozen=True)
class CommandRoute:
    """One command of the API.

    `makes`: ids the gateway gives, as field: prefix. `subject`: the field that says what the
    command is about. `owners`: fields naming the parties, or the things, whose the new thing is.
    `prepare` returns fields it has worked out, and those of `drops` are not in the command.
    `names`: parties beside those of `about` that have to be there, whoever's they are.
    `operation` is a name of its own where two routes lead to one command. `step_up`: a person confirms
    it with a code, since money of theirs leaves by it, or who may take it, or where codes go, is named
    by it; with `once_reached` only a person who has shown a contact to be theirs, whom a code can reach.
    """

    path: str
    command: type[Event]
    tag: str
    summary: str
    scope: str
    subject: str
    example: Mapping[str, Any]
    about: tuple[About, ...] = ()
    makes: Mapping[str, str] = field(default_factory=dict)
    owners: tuple[str, ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    works_out: frozenset[str] = frozenset()
    extra: Mapping[str, Any] = field(default_factory=dict)
    drops: frozenset[str] = frozenset()
    prepare: Prepare | None = None
    names: Callable[[BaseModel], Named] = no_names
    operator_only: bool = False
    method: str = "POST"
    step_up: bool = False
    once_reached: bool = False
    operation: str | None = None
    body: type[BaseModel] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "body", self._body())

    @property
    def name(self) -> str:
        """Its operation id, such as `directory_party_register`."""
        return self.operation or self.command.TYPE.rpartition(".v")[0].replace(".", "_")

    @property
    def path_fields(self) -> tuple[str, ...]:
        """Fields of the command that stand in the address."""
        parts = (part for part in self.path.split("/") if part.startswith("{"))
        return tuple(part[1:-1] for part in parts)

    @property
    def topic(self) -> str:
        """Where the command goes."""
        return TOPIC_OF[self.command.TYPE]

    def key(self, command: Event) -> str:
        """The record's key, by the catalogue: the first of its fields that the command has."""
        for alternative in catalogue()[self.topic].key.split(" or "):
            value: Any = command
            for name in alternative.split("."):
                value = getattr(value, name, None)
            if isinstance(value, str):
                return value
        raise LookupError(f"{self.command.TYPE} has no key of {self.topic}")

    def command_of(self, asked: Asked, command_id: str) -> Event:
        """The command a request asks for; raises a ValidationError with the command's fields."""
        fields: dict[str, Any] = {
            "who": Who(actor=asked.caller.actor, principal=asked.caller.party),
            "where": {"channel": "api"},
            "occurred_at": asked.now,
            "tenant": asked.tenant,
            "command_id": command_id,
            "ledger": asked.ledger,
        }
        fields = {name: fields[name] for name in FILLED & self.command.model_fields.keys()}
        fields |= self.fixed
        fields |= {
            name: getattr(asked.body, name)
            for name in type(asked.body).model_fields
            if name not in self.drops
        }
        fields |= {
            name: value for name, value in asked.path.items() if name not in self.drops
        } | dict(asked.made)
        if self.prepare is not None:
            fields |= self.prepare(asked)
        return self.command.model_validate(fields)

    def _body(self) -> type[BaseModel]:
        absent = FILLED | set(self.path_fields) | self.makes.keys() | self.fixed.keys()
        absent |= self.works_out
        fields: dict[str, Any] = {
            name: (info.annotation, _lenient(info))
            for name, info in self.command.model_fields.items()
            if name not in absent
        }
        title = "".join(part.capitalize() for part in self.name.split("_"))
        model: type[BaseModel] = create_model(title, __base__=Body, **(fields | dict(self.extra)))
        return model


def _lenient(info: FieldInfo) -> FieldInfo:
    """A field that may be null may also be left out."""
    if info.is_required() and type(None) in getattr(info.annotation, "__args__", ()):
        absent = FieldInfo(annotation=info.annotation, default=None)
        absent.metadata = list(info.metadata)
        return absent
    return info


TOPIC_OF: Final[Mapping[str, str]] = MappingProxyType(
    {
        event_type: topic.name
        for topic in catalogue().values()
        for event_type in topic.types
        if ".commands." in topic.name and topic.placeholder is None
    }
)
"""The topic of each command type."""
