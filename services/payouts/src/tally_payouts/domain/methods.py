"""A payee's methods: one per owner and currency in force, every choice kept as a version."""

from dataclasses import dataclass, replace
from enum import StrEnum

from tally_payouts.domain.designation import is_unknown
from tally_payouts.domain.opening import NoRoute
from tally_payouts.domain.payout import Route

NO_METHOD = NoRoute("no_method")


class InstrumentState(StrEnum):
    """EXPECTED: named by a choice before the rails service has registered it."""

    EXPECTED = "expected"
    REGISTERED = "registered"
    REFUSED = "refused"


class MethodState(StrEnum):
    """AWAITING: its instrument is not usable yet. REFUSED: it is not the payee's to use."""

    AWAITING = "awaiting"
    ACTIVE = "active"
    DISABLED = "disabled"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Instrument:
    """What is known here of details the rails service holds."""

    id: str
    state: InstrumentState = InstrumentState.EXPECTED
    rail: str | None = None
    owner: str | None = None
    currency: str | None = None
    settlement_account: str | None = None


@dataclass(frozen=True, slots=True)
class Method:
    """One choice. `superseded`: a later choice stands in its place for good."""

    owner: str
    currency: str
    version: int
    rail: str
    instrument: str
    state: MethodState
    reason_code: str | None = None
    settlement_account: str | None = None
    superseded: bool = False


@dataclass(frozen=True, slots=True)
class Methods:
    """The choices of one owner in one currency that may still matter, oldest first.

    `versions` counts all choices ever made.
    """

    owner: str
    currency: str
    versions: int = 0
    choices: tuple[Method, ...] = ()


def decide_choice(
    methods: Methods, rail: str, instrument: Instrument, rails: frozenset[str]
) -> Methods:
    """Add a choice; it takes effect at once when the instrument can be used.

    An unknown rail, or an instrument of another owner, rail or currency, leaves the method in
    force as it is.
    """
    version = methods.versions + 1
    choice = Method(
        methods.owner, methods.currency, version, rail, instrument.id, MethodState.AWAITING
    )
    if rail in rails:
        choice = _judge(choice, instrument)
    else:
        choice = replace(choice, state=MethodState.REFUSED, reason_code="rail_unknown")
    choices = methods.choices
    if choice.state is not MethodState.REFUSED:
        choices = tuple(
            replace(c, superseded=True) if c.state is MethodState.AWAITING else c for c in choices
        )
    return _settled(replace(methods, versions=version, choices=(*choices, choice)))


def decide_instrument(methods: Methods, instrument: Instrument) -> Methods:
    """The instrument was registered or refused: bring the choices that name it up to date."""
    choices = tuple(
        _judge(choice, instrument) if choice.instrument == instrument.id else choice
        for choice in methods.choices
    )
    return _settled(replace(methods, choices=choices))


def judged(before: Methods, after: Methods) -> list[Method]:
    """The choices that another state or another reason came to, oldest first."""
    stood = {choice.version: (choice.state, choice.reason_code) for choice in before.choices}
    return [c for c in after.choices if stood[c.version] != (c.state, c.reason_code)]


def way_out(methods: Methods) -> Route | NoRoute:
    """The method in force, or why there is none: nobody chooses for an owner nobody knows."""
    if is_unknown(methods.owner):
        return NO_METHOD
    standing = [c for c in methods.choices if not c.superseded]
    for choice in reversed(standing):
        if choice.state is MethodState.ACTIVE:
            return Route(choice.version, choice.rail, choice.instrument, choice.settlement_account)
        if choice.state is MethodState.DISABLED:
            return NoRoute(choice.reason_code or "method_disabled")
    if standing and standing[-1].reason_code is not None:
        return NoRoute(standing[-1].reason_code)
    return NO_METHOD


def _judge(choice: Method, instrument: Instrument) -> Method:
    if choice.superseded or choice.state in {MethodState.REFUSED, MethodState.DISABLED}:
        return choice
    active = choice.state is MethodState.ACTIVE
    if instrument.state is InstrumentState.REFUSED:
        if active:
            return replace(choice, state=MethodState.DISABLED, reason_code="method_disabled")
        return replace(choice, reason_code="instrument_refused")
    if active:
        return choice
    if instrument.state is InstrumentState.EXPECTED:
        return replace(choice, reason_code="instrument_not_registered")
    theirs = (instrument.owner, instrument.rail, instrument.currency)
    if theirs != (choice.owner, choice.rail, choice.currency):
        return replace(choice, state=MethodState.REFUSED, reason_code="instrument_mismatch")
    return replace(
        choice,
        state=MethodState.ACTIVE,
        reason_code=None,
        settlement_account=instrument.settlement_account,
    )


def _settled(methods: Methods) -> Methods:
    """Whatever is older than the method in force is superseded, and refusals once answered."""
    in_force = max(
        (
            c.version
            for c in methods.choices
            if not c.superseded and c.state in {MethodState.ACTIVE, MethodState.DISABLED}
        ),
        default=0,
    )
    last = methods.versions
    return replace(
        methods,
        choices=tuple(
            replace(c, superseded=True)
            if c.version < in_force or (c.state is MethodState.REFUSED and c.version < last)
            else c
            for c in methods.choices
        ),
    )
