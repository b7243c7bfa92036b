"""How the bank treats an entry: by rules posted to the admin API, else by the account's suffix."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType
from typing import Annotated, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tally_bank_simulator.nacha_fields import AMOUNT_CENTS_MAX

CERTAIN = 10_000
_LATE_BANKING_DAYS = 10
_SLUG = r"^[a-z][a-z0-9_]{0,39}$"


class Behaviour(StrEnum):
    """What a rule makes the bank do."""

    REFUSE_FILE = "refuse_file"
    REFUSE_BATCH = "refuse_batch"
    REFUSE_ENTRY = "refuse_entry"
    LOSE_ACK = "lose_ack"
    ACCEPT = "accept"
    RETURN = "return"
    LATE_RETURN = "late_return"
    DOUBLED_RETURN = "doubled_return"
    UNKNOWN_TRACE_RETURN = "unknown_trace_return"
    WRONG_AMOUNT_RETURN = "wrong_amount_return"
    NOTICE_OF_CHANGE = "notice_of_change"


TRUE_RETURNS = frozenset({Behaviour.RETURN, Behaviour.LATE_RETURN, Behaviour.DOUBLED_RETURN})
AFTERWARDS = TRUE_RETURNS | {
    Behaviour.ACCEPT,
    Behaviour.UNKNOWN_TRACE_RETURN,
    Behaviour.WRONG_AMOUNT_RETURN,
    Behaviour.NOTICE_OF_CHANGE,
}
_RETURNS = AFTERWARDS - {Behaviour.ACCEPT, Behaviour.NOTICE_OF_CHANGE}


class Subject(Protocol):
    """What a rule can be matched against."""

    @property
    def trace(self) -> str: ...
    @property
    def routing(self) -> str: ...
    @property
    def account(self) -> str: ...
    @property
    def individual_id(self) -> str: ...
    @property
    def amount_cents(self) -> int: ...


class Match(BaseModel):
    """All given fields must be equal; an empty match is every entry."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    trace: Annotated[str, Field(pattern=r"^[0-9]{15}$")] | None = None
    routing: Annotated[str, Field(pattern=r"^[0-9]{9}$")] | None = None
    account: Annotated[str, Field(min_length=1, max_length=35)] | None = None
    individual_id: Annotated[str, Field(min_length=1, max_length=15)] | None = None
    amount_cents: Annotated[int, Field(ge=0)] | None = None

    def fits(self, subject: Subject) -> bool:
        """Whether the entry has every value this match names."""
        return (
            self.trace in {None, subject.trace}
            and self.routing in {None, subject.routing}
            and self.account in {None, subject.account}
            and self.individual_id in {None, subject.individual_id}
            and self.amount_cents in {None, subject.amount_cents}
        )


class Rule(BaseModel):
    """One behaviour and the entries it is for.

    `chance_bp` is in ten-thousandths and drawn once per key from the seed, so that a run repeats.
    `banking_days_after` counts from settlement. `times` ends the rule after so many uses.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    match: Match = Match()
    behaviour: Behaviour
    chance_bp: Annotated[int, Field(ge=1, le=CERTAIN, strict=True)] = CERTAIN
    times: Annotated[int, Field(ge=1, strict=True)] | None = None
    existing: bool = False
    reason: Annotated[str, Field(pattern=_SLUG)] = "refused"
    code: Annotated[str, Field(pattern=r"^[RC][0-9]{2}$")] | None = None
    before_settlement: bool = False
    banking_days_after: Annotated[int, Field(ge=0, le=250, strict=True)] | None = None
    amount_cents: Annotated[int, Field(ge=0, le=AMOUNT_CENTS_MAX, strict=True)] | None = None
    corrected: Annotated[str, Field(min_length=1, max_length=29, pattern=r"^[ -~]+$")] | None = None
    same_reference: bool = False

    @model_validator(mode="after")
    def _code_fits_behaviour(self) -> Self:
        wanted = "R" if self.behaviour in _RETURNS else None
        if self.behaviour is Behaviour.NOTICE_OF_CHANGE:
            wanted = "C"
        if (self.code or "")[:1] != (wanted or ""):
            raise ValueError(
                f"code: {self.behaviour} takes "
                + (f"a code such as {wanted}01, give one" if wanted else "no code, leave it out")
            )
        if self.existing and self.behaviour not in AFTERWARDS:
            raise ValueError("existing: only returns and notices can reach entries already booked")
        return self

    @property
    def days_after(self) -> int:
        """Banking days from settlement to delivery."""
        if self.banking_days_after is not None:
            return self.banking_days_after
        return _LATE_BANKING_DAYS if self.behaviour is Behaviour.LATE_RETURN else 1


def _returned(code: str, *, before: bool = False, days: int = 1) -> Rule:
    return Rule(
        behaviour=Behaviour.RETURN, code=code, before_settlement=before, banking_days_after=days
    )


def _noticed(code: str) -> Rule:
    return Rule(behaviour=Behaviour.NOTICE_OF_CHANGE, code=code)


SUFFIX_CHARS = 4
SUFFIXES: Mapping[str, Rule] = MappingProxyType(
    {
        "0002": _returned("R02"),
        "0003": _returned("R03", before=True),
        "0004": _returned("R04", before=True),
        "0013": _returned("R13", before=True),
        "0014": _returned("R14", days=2),
        "0015": _returned("R15", days=2),
        "0016": _returned("R16"),
        "0020": _returned("R20"),
        "0023": _returned("R23", days=2),
        "0098": Rule(behaviour=Behaviour.LATE_RETURN, code="R02"),
        "0099": _returned("R99"),
        "0198": _noticed("C01"),
        "0298": _noticed("C02"),
        "0398": _noticed("C03"),
        "0598": _noticed("C05"),
        "0901": Rule(behaviour=Behaviour.REFUSE_ENTRY),
        "0902": Rule(behaviour=Behaviour.DOUBLED_RETURN, code="R02"),
        "0903": Rule(behaviour=Behaviour.UNKNOWN_TRACE_RETURN, code="R02"),
        "0904": Rule(behaviour=Behaviour.WRONG_AMOUNT_RETURN, code="R02"),
    }
)
DEBIT_SUFFIXES: Mapping[str, Rule] = MappingProxyType(
    {
        "0001": _returned("R01"),
        "0005": _returned("R05", days=20),
        "0007": _returned("R07", days=20),
        "0009": _returned("R09"),
        "0010": _returned("R10", days=20),
        "0011": _returned("R11", days=20),
        "0029": _returned("R29"),
    }
)


def rule_of_account(account: str, *, is_credit: bool) -> Rule | None:
    """The behaviour of the account's last four characters, None for a plain account."""
    suffix = account[-SUFFIX_CHARS:]
    found = SUFFIXES.get(suffix)
    return found if found is not None or is_credit else DEBIT_SUFFIXES.get(suffix)


@dataclass(slots=True)
class ActiveRule:
    """A posted rule and how often it may still be used (None = for ever)."""

    rule_id: int
    rule: Rule
    left: int | None


class RuleSet:
    """The posted rules in the order they came; the first that fits is used."""

    def __init__(self, seed: int, rules: Sequence[ActiveRule]) -> None:
        self._seed = seed
        self._rules = rules

    def use_first(
        self, behaviours: Iterable[Behaviour], subjects: Sequence[Subject], key: str
    ) -> ActiveRule | None:
        """The first rule that fits any subject and whose chance falls; counts as one use."""
        wanted = frozenset(behaviours)
        for active in self._rules:
            if active.rule.behaviour not in wanted or active.left == 0:
                continue
            if not any(active.rule.match.fits(subject) for subject in subjects):
                continue
            if self._falls(active, key):
                if active.left is not None:
                    active.left -= 1
                return active
        return None

    def _falls(self, active: ActiveRule, key: str) -> bool:
        return falls(self._seed, f"{active.rule_id}|{key}", active.rule.chance_bp)


def falls(seed: int, key: str, chance_bp: int) -> bool:
    """Whether a chance of `chance_bp` ten-thousandths falls for this key; same seed, same answer."""
    drawn = int.from_bytes(sha256(f"{seed}|{key}".encode()).digest()[:8]) % CERTAIN
    return drawn < chance_bp
