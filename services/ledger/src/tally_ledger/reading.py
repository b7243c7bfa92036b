"""Wire models to domain commands: amounts become minor units, contents become hashes."""

import hashlib
from collections.abc import Mapping

from tally_contracts import ledger as wire
from tally_contracts.base import AskedAmount, Who, Why
from tally_contracts.ledger import (
    AccountSpec,
    CaptureHold,
    CloseAccount,
    FreezeAccount,
    OpenAccount,
    PlaceHold,
    PostJournal,
    RegisterAsset,
    ReleaseHold,
    ReversalLeg,
    ReverseJournal,
    UnfreezeAccount,
)
from tally_ledger.domain import (
    Account,
    Capture,
    ChangeAccount,
    Command,
    Context,
    Leg,
    Malformed,
    Open,
    Place,
    PostLegs,
    Release,
    Request,
    Reversal,
    Reverse,
)
from tally_money import Currency, MoneyError, parse_minor

WireHold = PlaceHold | CaptureHold | ReleaseHold
WireMovement = PostJournal | ReverseJournal | WireHold
WireChange = FreezeAccount | UnfreezeAccount | CloseAccount
WireCommand = WireMovement | WireChange | OpenAccount
Units = Mapping[str, Currency]

UNKNOWN_CURRENCY = "currency_unknown"
OPERATIONS: Mapping[type[WireMovement | WireChange], str] = {
    PostJournal: PostLegs.operation,
    ReverseJournal: Reverse.operation,
    PlaceHold: Place.operation,
    CaptureHold: Capture.operation,
    ReleaseHold: Release.operation,
    FreezeAccount: "freeze",
    UnfreezeAccount: "unfreeze",
    CloseAccount: "close",
}
_CHANGES_CHANNEL = "ledger"


class _Unreadable(Exception):  # noqa: N818 - it never leaves this module
    """Something in a request that no books can hold."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def command_of(event: WireCommand, units: Units) -> Command:
    """The command as the domain knows it; `units` are the assets whose amounts can be read.

    A request with an amount that cannot be read becomes one that is refused.
    """
    if isinstance(event, OpenAccount):
        return _open(event, units)
    if isinstance(event, FreezeAccount | UnfreezeAccount | CloseAccount):
        return _change(event)
    context = Context(
        event.who.actor,
        event.who.principal,
        event.where.channel,
        event.where.country,
        event.why.program,
        event.why.event,
        event.why.reason,
    )
    try:
        match event:
            case PostJournal():
                return _journal(event, context, units)
            case PlaceHold():
                return _place(event, context, units)
            case CaptureHold():
                return _capture(event, context, units)
            case ReleaseHold():
                return _release(event, context)
            case ReverseJournal():
                return _reverse(event, context, units)
    except _Unreadable as error:
        return Malformed(
            OPERATIONS[type(event)],
            id_of(event),
            event.reference,
            error.code,
            error.detail,
            event.occurred_at,
            context,
            _content(event, context),
        )


def currencies_of(event: WireCommand) -> set[str]:
    """The codes of every asset a command names."""
    match event:
        case PostJournal():
            codes = {leg.amount.currency for leg in event.legs}
            return codes | {spec.currency for spec in event.open_accounts}
        case ReverseJournal():
            return {leg.amount.currency for leg in event.legs}
        case PlaceHold():
            return {event.amount.currency, *(spec.currency for spec in event.open_accounts)}
        case CaptureHold():
            return {event.amount.currency}
        case OpenAccount():
            return {event.account.currency}
        case _:
            return set()


def id_of(event: WireMovement | WireChange) -> str:
    """The request's idempotency id."""
    match event:
        case PostJournal() | ReverseJournal():
            return event.journal_id
        case PlaceHold():
            return event.hold_id
        case CaptureHold() | ReleaseHold():
            return event.transfer_id
        case _:
            return event.change_id


def _journal(event: PostJournal, context: Context, units: Units) -> PostLegs:
    legs = tuple(
        [
            Leg(
                leg.id,
                leg.debit,
                leg.credit,
                leg.amount.currency,
                _minor(leg.amount, units, index),
                leg.code,
            )
            for index, leg in enumerate(event.legs)
        ]
    )
    accounts = _accounts(event.open_accounts, units)
    return PostLegs(
        event.journal_id,
        event.reference,
        accounts,
        legs,
        event.effective_at,
        context,
        _content(event, context),
    )


def _place(event: PlaceHold, context: Context, units: Units) -> Place:
    leg = Leg(
        event.hold_id,
        event.debit,
        event.credit,
        event.amount.currency,
        _minor(event.amount, units),
        event.code,
    )
    return Place(
        event.hold_id,
        event.reference,
        _accounts(event.open_accounts, units),
        leg,
        event.expires_at,
        event.occurred_at,
        context,
        _content(event, context),
    )


def _capture(event: CaptureHold, context: Context, units: Units) -> Capture:
    return Capture(
        event.transfer_id,
        event.reference,
        event.hold_id,
        event.amount.currency,
        _minor(event.amount, units),
        event.code,
        event.occurred_at,
        context,
        _content(event, context),
    )


def _release(event: ReleaseHold, context: Context) -> Release:
    return Release(
        event.transfer_id,
        event.reference,
        event.hold_id,
        event.code,
        event.occurred_at,
        context,
        _content(event, context),
    )


def _reverse(event: ReverseJournal, context: Context, units: Units) -> Reverse:
    return Reverse(
        event.journal_id,
        event.reference,
        event.reverses,
        tuple(
            [
                Reversal(
                    leg.id,
                    leg.reverses,
                    leg.amount.currency,
                    _minor(leg.amount, units, index),
                    leg.code,
                )
                for index, leg in enumerate(event.legs)
            ]
        ),
        event.effective_at,
        context,
        _content(event, context),
    )


def _change(event: WireChange) -> Request:
    """A change of flags; its channel is the ledger, since the command names none."""
    operation = OPERATIONS[type(event)]
    context = context_of(event.who, event.why)
    direction = "" if isinstance(event, CloseAccount) else event.direction
    content = _hash(operation, event.ledger, event.account, context, [event.change_id, direction])
    if direction not in {"", "in", "out", "both"}:
        return Malformed(
            operation,
            event.change_id,
            event.account,
            "direction_unknown",
            f"direction: {direction} is none of in, out, both",
            event.occurred_at,
            context,
            content,
        )
    freezes = operation == "freeze"
    return ChangeAccount(
        operation,
        event.change_id,
        event.account,
        freezes if direction in {"in", "both"} else None,
        freezes if direction in {"out", "both"} else None,
        True if operation == "close" else None,
        context,
        content,
    )


def context_of(who: Who, why: Why) -> Context:
    """Who and why of a command that moves no money and comes through no channel of its own."""
    return Context(
        who.actor, who.principal, _CHANGES_CHANNEL, None, why.program, why.event, why.reason
    )


def _open(event: OpenAccount, units: Units) -> Open:
    try:
        return Open(_account(event.account, units, "account"))
    except _Unreadable as error:
        spec = event.account
        account = Account(spec.id, spec.currency, spec.owner, spec.purpose, spec.path, spec.guarded)
        return Open(account, (error.code, error.detail))


def _minor(asked: AskedAmount, units: Units, index: int | None = None) -> int:
    """Minor units, of whatever sign; raises _Unreadable where there are none."""
    text = asked.amount
    try:
        unit = units.get(asked.currency)
        if unit is not None:
            return -parse_minor(text[1:], unit) if text[0] == "-" else parse_minor(text, unit)
    except MoneyError as error:
        raise _Unreadable(error.code, f"{_field(index)}amount: {error}") from error
    raise _unknown(f"{_field(index)}amount.currency", asked.currency)


def _field(index: int | None) -> str:
    return "" if index is None else f"legs.{index}."


def _unknown(field: str, code: str) -> _Unreadable:
    return _Unreadable(
        UNKNOWN_CURRENCY,
        f"{field}: {code} is no ISO 4217 currency with minor units and was not registered; "
        "register the asset or correct the code",
    )


def _accounts(specs: tuple[AccountSpec, ...], units: Units) -> tuple[Account, ...]:
    return tuple(
        [_account(spec, units, f"open_accounts.{index}") for index, spec in enumerate(specs)]
    )


def _account(spec: AccountSpec, units: Units, field: str) -> Account:
    unit = units.get(spec.currency)
    if unit is None:
        raise _unknown(f"{field}.currency", spec.currency)
    limit = None
    if spec.balance_limit is not None:
        try:
            limit = parse_minor(spec.balance_limit, unit)
        except MoneyError as error:
            raise _Unreadable(error.code, f"{field}.balance_limit: {error}") from error
    return Account(
        spec.id,
        spec.currency,
        spec.owner,
        spec.purpose,
        spec.path,
        spec.guarded,
        no_credit_overdraft=spec.no_credit_overdraft,
        aggregated=spec.aggregated,
        max_balance=limit,
    )


def _content(event: WireMovement, context: Context) -> bytes:
    """The hash of a movement, from what it says and not from how it was read.

    So a request has one content for ever, whether its amounts could be read or not.
    """
    match event:
        case PostJournal():
            parts = [event.journal_id, event.effective_at.isoformat()]
            parts += _specs(event.open_accounts)
            for leg in event.legs:
                parts += _leg(leg)
        case PlaceHold():
            expires_at = event.expires_at
            parts = ["" if expires_at is None else expires_at.isoformat()]
            parts += _specs(event.open_accounts)
            parts += (event.hold_id, event.debit, event.credit)
            parts += (*_text(event.amount), event.code)
        case CaptureHold():
            parts = [event.transfer_id, event.hold_id, *_text(event.amount), event.code]
        case ReleaseHold():
            parts = [event.transfer_id, event.hold_id, event.code]
        case ReverseJournal():
            parts = [event.journal_id, event.reverses, event.effective_at.isoformat()]
            for back in event.legs:
                parts += _reversal(back)
    return _hash(OPERATIONS[type(event)], event.ledger, event.reference, context, parts)


def _leg(leg: wire.Leg) -> tuple[str, ...]:
    return leg.id, leg.debit, leg.credit, *_text(leg.amount), leg.code


def _reversal(leg: ReversalLeg) -> tuple[str, ...]:
    return leg.id, leg.reverses, *_text(leg.amount), leg.code


def _text(asked: AskedAmount) -> tuple[str, str]:
    """Currency and amount, without the noughts that change nothing: 1.50 is 1.5."""
    text = asked.amount
    return asked.currency, text.rstrip("0").rstrip(".") if "." in text else text


def _specs(specs: tuple[AccountSpec, ...]) -> list[str]:
    parts = [str(len(specs))]
    for spec in specs:
        parts += (
            spec.id,
            spec.currency,
            spec.owner,
            spec.purpose,
            spec.path,
            f"{spec.guarded}{spec.no_credit_overdraft}{spec.aggregated}",
            spec.balance_limit or "",
        )
    return parts


def registration_hash(event: RegisterAsset) -> bytes:
    """The hash of a registration."""
    parts = [event.registration_id, str(event.scale), event.kind]
    context = context_of(event.who, event.why)
    return _hash("register", event.ledger, event.asset, context, parts)


def _hash(operation: str, ledger: str, reference: str, context: Context, parts: list[str]) -> bytes:
    """SHA-256 over all the request says but `occurred_at`: a sender may ask again at a later time.

    U+001F cannot occur in a field, and lists are preceded by their length, so no two requests
    have the same text.
    """
    text = "\x1f".join((operation, ledger, reference, *(part or "" for part in context), *parts))
    return hashlib.sha256(text.encode()).digest()
