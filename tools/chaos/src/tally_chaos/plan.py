"""Which fault when: a pure function of the seed and the length, so that a seed says it all."""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from tally_chaos.proxy import LinkFaultKind
from tally_cli.platform import SERVICES

SERVERS = ("kafka", "postgres")
POINTS = ("fetched", "applied", "committed", "sending", "sent")
SESSION_TIMEOUT_MS = 6_000
FAULTS_MIN = 10
_FAULTS_PER_S = 0.76
_PAUSE_MS = SESSION_TIMEOUT_MS + 2_000
REPUBLISHED = (
    "funding.inbound.cards.v1",
    "funding.inbound.invoices.v1",
    "funding.inbound.marketplace.v1",
    "funding.pay_in.v1",
    "ledger.commands.v1",
    "ledger.journals.v1",
    "ledger.holds.v1",
    "payouts.payout.v1",
    "rails.attempts.v1",
)
BANK_FAULTS: Mapping[str, Mapping[str, object]] = {
    # The file is taken in and the client is told that it was not.
    "drop_after_rename": {"times": 2},
    "drop_before_rename": {"times": 2},
    "drop_on_write": {"times": 2},
    "refuse_login": {"times": 3},
    "out_of_space": {"times": 2},
    "slow": {"times": 20, "milliseconds": 400},
}
CRASH_POINTS = ("renamed", "claimed", "deciding", "decided", "ack_written")


class FaultKind(StrEnum):
    """What a fault is done to, and how."""

    KILL = "kill"  # SIGKILL of a service
    KILL_AT = "kill_at"  # the service restarts and kills itself at a named step
    PAUSE = "pause"  # SIGSTOP beyond the session timeout, then SIGCONT: a zombie
    SIGTERM = "sigterm"  # amid batches; it drains and comes back
    ROLLING_RESTART = "rolling_restart"
    REPLICA = "replica"  # a second process of a service, for a while
    KAFKA_KILL = "kafka_kill"
    POSTGRES_KILL = "postgres_kill"
    BACKENDS = "terminate_backends"
    LINK = "link"
    REPUBLISH = "republish"  # a whole topic once more
    BANK_FAULT = "bank_fault"
    BANK_KILL = "bank_kill"


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One fault: when it begins, how long it lasts (0: at once), to whom, and its details."""

    at_ms: int
    kind: FaultKind
    target: str
    lasts_ms: int
    details: Mapping[str, object]

    @property
    def name(self) -> str:
        """What the summary counts: the kind, and for a link its fault."""
        return f"link_{self.details['fault']}" if self.kind is FaultKind.LINK else self.kind.value


@dataclass(frozen=True, slots=True)
class Plan:
    """The faults of a run, by time; `seconds` of faulting under load."""

    seed: int
    seconds: int
    faults: tuple[PlannedFault, ...]

    @property
    def hash(self) -> str:
        """Sixteen hex digits that two runs of the same plan share."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def counts(self) -> Counter[str]:
        """How many faults of each name."""
        return Counter(fault.name for fault in self.faults)


_Drawn = tuple[FaultKind, str, int, Mapping[str, object]]


def make_plan(seed: int, seconds: int) -> Plan:
    """Plan `seconds` of faults: every kind once while they fit, then more by weight.

    From 42 seconds on there are more than 30 faults; a short plan draws its share of the kinds.
    """
    chance = random.Random(f"tally-chaos|{seed}|{seconds}")  # noqa: S311 - repeatable on purpose
    count = max(FAULTS_MIN, round(seconds * _FAULTS_PER_S))
    drawn = list(_every_kind(chance))
    chance.shuffle(drawn)
    del drawn[count:]
    while len(drawn) < count:
        drawn.append(_one_more(chance))
    chance.shuffle(drawn)
    _republish_late(drawn, chance)
    step_ms = seconds * 1000 / count
    faults = [
        PlannedFault(
            at_ms=round((place + chance.uniform(0, 0.8)) * step_ms),
            kind=kind,
            target=target,
            lasts_ms=lasts_ms,
            details=details,
        )
        for place, (kind, target, lasts_ms, details) in enumerate(drawn)
    ]
    return Plan(seed, seconds, tuple(faults))


def _republish_late(drawn: list[_Drawn], chance: random.Random) -> None:
    """Move the second publication of a topic into the later half: early there is little to repeat."""
    half = len(drawn) // 2
    for place, (kind, *_) in enumerate(drawn[:half]):
        if kind is FaultKind.REPUBLISH:
            other = chance.randrange(half, len(drawn))
            drawn[place], drawn[other] = drawn[other], drawn[place]


def _every_kind(chance: random.Random) -> Iterator[_Drawn]:
    yield from (_link(chance, kind) for kind in LinkFaultKind)
    for kind in FaultKind:
        if kind is not FaultKind.LINK:
            yield _draw(chance, kind)
    yield _draw(chance, FaultKind.KILL_AT)


def _one_more(chance: random.Random) -> _Drawn:
    # Restarts of the servers are not among them: a run that is mostly down shows little.
    kinds = {
        FaultKind.KILL: 3,
        FaultKind.KILL_AT: 3,
        FaultKind.LINK: 5,
        FaultKind.PAUSE: 1,
        FaultKind.SIGTERM: 1,
        FaultKind.REPLICA: 1,
        FaultKind.BACKENDS: 1,
        FaultKind.BANK_FAULT: 1,
    }
    return _draw(chance, chance.choices(list(kinds), list(kinds.values()))[0])


def _draw(chance: random.Random, kind: FaultKind) -> _Drawn:  # noqa: PLR0911 - one per kind
    service = chance.choice(SERVICES)
    match kind:
        case FaultKind.LINK:
            return _link(chance, chance.choice(list(LinkFaultKind)))
        case FaultKind.KILL_AT:
            details = {"point": chance.choice(POINTS), "turn": chance.randint(1, 5)}
            return kind, service, 0, details
        case FaultKind.PAUSE:
            return kind, service, _PAUSE_MS, {"beside_replica": chance.random() < 0.5}  # noqa: PLR2004 - a coin
        case FaultKind.REPLICA:
            return kind, service, chance.randint(5_000, 9_000), {}
        case FaultKind.KAFKA_KILL | FaultKind.POSTGRES_KILL:
            return kind, kind.value.partition("_")[0], chance.randint(500, 2_500), {}
        case FaultKind.BACKENDS:
            return kind, "postgres", 0, {}
        case FaultKind.REPUBLISH:
            return kind, chance.choice(REPUBLISHED), 0, {}
        case FaultKind.BANK_FAULT:
            return _bank_fault(chance)
        case FaultKind.BANK_KILL:
            return kind, "bank", chance.randint(200, 2_000), {}
        case FaultKind.ROLLING_RESTART:
            return kind, "all", 0, {}
        case FaultKind.KILL | FaultKind.SIGTERM:
            return kind, service, 0, {}


def _link(chance: random.Random, fault: LinkFaultKind) -> _Drawn:
    details = {
        "fault": fault.value,
        "latency_ms": chance.randint(50, 400),
        "jitter_ms": chance.randint(10, 300),
        "bytes_per_s": chance.randint(8_000, 64_000),
        "close_ms": chance.randint(500, 3_000),
    }
    target = f"{chance.choice(SERVICES)}-{chance.choice(SERVERS)}"
    return FaultKind.LINK, target, chance.randint(1_500, 7_000), details


def _bank_fault(chance: random.Random) -> _Drawn:
    if chance.random() < 0.3:  # noqa: PLR2004 - a crash rather than a misbehaviour
        details: dict[str, object] = {"fault": "crash", "point": chance.choice(CRASH_POINTS)}
        return FaultKind.BANK_FAULT, "bank", 0, {**details, "times": 1}
    name = chance.choice(list(BANK_FAULTS))
    return FaultKind.BANK_FAULT, "bank", 0, {"fault": name, **BANK_FAULTS[name]}
