"""Wire models to domain commands: amounts become minor units, contents become hashes."""

from collections.abc import Mapping

from tally_contracts.base import AskedAmount
from tally_contracts.ledger import (
    AccountSpec,
    CaptureHold,
    CloseAccount,
    FreezeAccount,
    OpenAccount,
    PlaceHold,
    PostJournal,
    ReleaseHold,
    ReverseJournal,
    UnfreezeAccount,
)
from tally_contracts.ledger_batches import PostBatch
from tally_ledger.content import (
    OPERATIONS,
    WireChange,
    WireMovement,
    content_of,
    context_of,
    hashed,
    movement_context,
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

WireCommand = WireMovement | WireChange | OpenAccount
Units = Mapping[str, Currency]

UNKNOWN_CURRENCY = "currency_unknown"


class Unreadable(Exception):  # noqa: N818 - told as a refusal, never raised to a caller of the service
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
    context = movement_context(event)
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
    except Unreadable as error:
        return Malformed(
            OPERATIONS[type(event)],
            id_of(event),
            event.reference,
            error.code,
            error.detail,
            event.occurred_at,
            context,
            content_of(event, context),
        )


def currencies_of(event: WireCommand | PostBatch) -> set[str]:
    """The codes of every asset a command names."""
    match event:
        case PostBatch():
            return {item.leg.amount.currency for item in event.items}
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
                minor_of(leg.amount, units, index),
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
        content_of(event, context),
    )


def _place(event: PlaceHold, context: Context, units: Units) -> Place:
    leg = Leg(
        event.hold_id,
        event.debit,
        event.credit,
        event.amount.currency,
        minor_of(event.amount, units),
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
        content_of(event, context),
    )


def _capture(event: CaptureHold, context: Context, units: Units) -> Capture:
    return Capture(
        event.transfer_id,
        event.reference,
        event.hold_id,
        event.amount.currency,
        minor_of(event.amount, units),
        event.code,
        event.occurred_at,
        context,
        content_of(event, context),
    )


def _release(event: ReleaseHold, context: Context) -> Release:
    return Release(
        event.transfer_id,
        event.reference,
        event.hold_id,
        event.code,
        event.occurred_at,
        context,
        content_of(event, context),
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
                    minor_of(leg.amount, units, index),
                    leg.code,
                )
                for index, leg in enumerate(event.legs)
            ]
        ),
        event.effective_at,
        context,
        content_of(event, context),
    )


def _change(event: WireChange) -> Request:
    """A change of flags; its channel is the ledger, since the command names none."""
    operation = OPERATIONS[type(event)]
    context = context_of(event.who, event.why)
    direction = "" if isinstance(event, CloseAccount) else event.direction
    content = hashed(operation, event.ledger, event.account, context, [event.change_id, direction])
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


def _open(event: OpenAccount, units: Units) -> Open:
    try:
        return Open(_account(event.account, units, "account"))
    except Unreadable as error:
        spec = event.account
        account = Account(spec.id, spec.currency, spec.owner, spec.purpose, spec.path, spec.guarded)
        return Open(account, (error.code, error.detail))


def minor_of(asked: AskedAmount, units: Units, index: int | None = None) -> int:
    """Minor units, of whatever sign; raises Unreadable where there are none."""
    text = asked.amount
    try:
        unit = units.get(asked.currency)
        if unit is not None:
            return -parse_minor(text[1:], unit) if text[0] == "-" else parse_minor(text, unit)
    except MoneyError as error:
        raise Unreadable(error.code, f"{_field(index)}amount: {error}") from error
    raise _unknown(f"{_field(index)}amount.currency", asked.currency)


def _field(index: int | None) -> str:
    return "" if index is None else f"legs.{index}."


def _unknown(field: str, code: str) -> Unreadable:
    return Unreadable(
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
            raise Unreadable(error.code, f"{field}.balance_limit: {error}") from error
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
