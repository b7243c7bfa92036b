"""The topic catalogue: every topic, who owns, writes and reads it, and how it is kept."""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

RAILS: tuple[str, ...] = ("ach", "wallet")
_RETENTION_MS = {"14d": 14 * 24 * 3600 * 1000}
MAX_RECORD_BYTES = 1024 * 1024


class Topic(BaseModel):
    """One topic, or a family of topics where the name has a `{placeholder}`.

    `groups`: which of a service's consumer groups read it, where it is not the one named after it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9_.{}]+\.v[0-9]+$")
    owner: str
    public: bool = False
    key: str
    partitions: int = Field(ge=1, le=96)
    retention: Literal["14d", "compact"]
    compatibility: Literal["full"]
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    types: tuple[str, ...] = Field(min_length=1)

    @property
    def placeholder(self) -> str | None:
        """The family's variable part, e.g. `source`; None for a single topic."""
        return self.name.partition("{")[2].partition("}")[0] or None

    def named(self, value: str) -> str:
        """The name of one member of the family."""
        if self.placeholder is None:
            raise ValueError(f"{self.name} is not a family of topics")
        return self.name.replace("{" + self.placeholder + "}", value)

    def groups_of(self, service: str) -> tuple[str, ...]:
        """The consumer groups of a service that read this topic."""
        if service not in self.consumers:
            return ()
        return self.groups.get(service, (service,))

    def config(self) -> Mapping[str, str]:
        """Broker settings of the topic."""
        common = {"max.message.bytes": str(MAX_RECORD_BYTES)}
        if self.retention == "compact":
            return {**common, "cleanup.policy": "compact", "min.compaction.lag.ms": "86400000"}
        return {
            **common,
            "cleanup.policy": "delete",
            "retention.ms": str(_RETENTION_MS[self.retention]),
        }


@cache
def catalogue() -> Mapping[str, Topic]:
    """Every topic or family by name, from the YAML files beside this module."""
    topics: dict[str, Topic] = {}
    folder = files("tally_contracts") / "topics"
    for page in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not page.name.endswith(".yaml"):
            continue
        for row in yaml.safe_load(page.read_text(encoding="utf-8")):
            topic = Topic.model_validate(row)
            if topic.name in topics:
                raise ValueError(f"{page.name}: topic {topic.name} is declared twice")
            topics[topic.name] = topic
    return topics


def topic(name: str) -> Topic:
    """The catalogue's entry for an exact topic name or a family's name."""
    return catalogue()[name]


def further_groups(service: str) -> tuple[str, ...]:
    """The consumer groups of a service beside the one named after it."""
    found = {group for entry in catalogue().values() for group in entry.groups_of(service)}
    return tuple(sorted(found - {service}))


def expand(sources: Iterable[str], rails: Iterable[str] = RAILS) -> Mapping[str, Topic]:
    """Every real topic: families expanded by the installation's sources and rails."""
    values = {"source": tuple(sources), "rail": tuple(rails)}
    real: dict[str, Topic] = {}
    for entry in catalogue().values():
        if entry.placeholder is None:
            real[entry.name] = entry
        else:
            real.update({entry.named(value): entry for value in values[entry.placeholder]})
    return real
