"""Pure decisions: books and command in, `Posted` or `Rejected` out; the books stay as they are."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import assert_never

from tally_ledger.domain.books import Books, Changed, Opened, Posted, Rejected
from tally_ledger.domain.change import decide_change
from tally_ledger.domain.commands import (
    Capture,
    ChangeAccount,
    Expire,
    Malformed,
    Open,
    Place,
    PostLegs,
    Release,
    Request,
    Reverse,
)
from tally_ledger.domain.draft import Draft
from tally_ledger.domain.identity import used_id, used_ids
from tally_ledger.domain.legs import check_alone, move_alone, not_positive, single
from tally_ledger.domain.model import Account, Hold, HoldState, Transfer, TransferKind
from tally_ledger.domain.reversal import decide_reversal
from tally_ledger.domain.timing import wrong_time

_NONE: Mapping[str, Account] = {}


def decide(  # noqa: PLR0911 - one for each kind of request
    books: Books, command: Request, now: datetime
) -> Posted | Changed | Rejected:
    """Decide any request whose id was not answered before."""
    if not books.is_open:
        return _no_ledger(books)
    match command:
        case PostLegs():
            return decide_journal(books, command, now)
        case Place():
            return decide_hold(books, command, now)
        case Capture():
            return decide_capture(books, command)
        case Release():
            return decide_release(books, command)
        case Expire():
            return decide_expiry(books, command, now)
        case Reverse():
            return decide_reversal(books, command, now)
        case ChangeAccount():
            return decide_change(books, command)
        case Malformed():
            return Rejected(command.code, command.detail)
        case _:
            assert_never(command)


def decide_open(books: Books, command: Open, now: datetime) -> Opened | Rejected:
    """Open an account; one that is there already with the same attributes is the answer too."""
    if not books.is_open:
        return _no_ledger(books)
    if command.unreadable is not None:
        return Rejected(*command.unreadable)
    opened = _opened(books, (command.account,), now)
    if isinstance(opened, Rejected):
        return opened
    account_id = command.account.id
    return Opened(opened.get(account_id) or books.accounts[account_id])


def decide_journal(books: Books, command: PostLegs, now: datetime) -> Posted | Rejected:
    """Post all legs in the order given, each on the balances the one before left, or none."""
    legs = command.legs
    refusal = used_ids(books, legs) or wrong_time(command.effective_at, now)
    if refusal is not None:
        return refusal
    if len(legs) == 1 and not command.accounts:
        decision = check_alone(books, legs[0], single(legs[0]))
        return _in_leg(0, decision) if isinstance(decision, Rejected) else decision
    opened = _opened(books, command.accounts, now)
    if isinstance(opened, Rejected):
        return opened
    draft = Draft(books, opened)
    for index, leg in enumerate(legs):
        refusal = draft.refusal(leg)
        if refusal is not None:
            return _in_leg(index, refusal)
        draft.move(single(leg))
    return draft.posted()


def decide_hold(books: Books, command: Place, now: datetime) -> Posted | Rejected:
    """Reserve the amount; funds are checked here, so that no capture can lack them."""
    leg = command.leg
    if command.id in books.transfer_ids:
        return used_id("hold_id", command.id)
    if command.expires_at is not None and command.expires_at <= now:
        return Rejected(
            "already_expired",
            f"expires_at: {command.expires_at.isoformat()} is past; ask for a later time",
        )
    pending = Transfer(
        leg.id,
        TransferKind.PENDING,
        None,
        leg.debit,
        leg.credit,
        leg.currency,
        leg.amount,
        leg.code,
        leg.amount,
        command.expires_at,
    )
    hold = Hold(
        leg.id,
        leg.debit,
        leg.credit,
        leg.currency,
        leg.amount,
        leg.amount,
        HoldState.OPEN,
        command.expires_at,
    )
    if not command.accounts:
        return check_alone(books, leg, pending, hold)
    opened = _opened(books, command.accounts, now)
    if isinstance(opened, Rejected):
        return opened
    draft = Draft(books, opened)
    refusal = draft.refusal(leg)
    if refusal is not None:
        return refusal
    draft.move(pending)
    return draft.posted(hold)


def decide_capture(books: Books, command: Capture) -> Posted | Rejected:
    """Move part or all of what an open hold reserves.

    A capture beyond the remainder is refused, not trimmed: the caller decided on a figure that is
    no longer true. A frozen or closed account does not stop it: the money is on its way already.
    """
    if command.id in books.transfer_ids:
        return used_id("transfer_id", command.id)
    hold = _open_hold(books, command.hold_id)
    if isinstance(hold, Rejected):
        return hold
    if command.currency != hold.currency:
        return Rejected(
            "currency_mismatch",
            f"amount.currency: hold {hold.id} is in {hold.currency}, not {command.currency}",
        )
    if command.amount <= 0:
        return not_positive(command.amount)
    if command.amount > hold.remaining:
        return Rejected(
            "capture_exceeds_hold",
            f"amount: hold {hold.id} reserves {hold.remaining} minor units of {hold.currency}, "
            f"{command.amount} are asked for; capture no more than that",
        )
    return _resolve(books, command, hold, TransferKind.POST, command.amount)


def decide_release(books: Books, command: Release) -> Posted | Rejected:
    """Give back what an open hold still reserves."""
    if command.id in books.transfer_ids:
        return used_id("transfer_id", command.id)
    hold = _open_hold(books, command.hold_id)
    if isinstance(hold, Rejected):
        return hold
    return _resolve(books, command, hold, TransferKind.VOID, hold.remaining)


def decide_expiry(books: Books, command: Expire, now: datetime) -> Posted | Rejected:
    """Give back what an open hold still reserves once its time is over.

    Until its expiry is in the books a hold is open, whatever the clock says: so a replay decides
    the same, and money a rail has already paid can still be captured.
    """
    if command.id in books.transfer_ids:
        return used_id("transfer_id", command.id)
    hold = _open_hold(books, command.hold_id)
    if isinstance(hold, Rejected):
        return hold
    if hold.expires_at is None or hold.expires_at > now:
        return Rejected("not_due", f"hold_id: hold {hold.id} does not expire yet")
    return _resolve(books, command, hold, TransferKind.EXPIRE, hold.remaining)


def _resolve(
    books: Books,
    command: Capture | Release | Expire,
    hold: Hold,
    kind: TransferKind,
    amount: int,
) -> Posted:
    remaining = hold.remaining - amount
    transfer = Transfer(
        command.id,
        kind,
        hold.id,
        hold.debit,
        hold.credit,
        hold.currency,
        amount,
        command.code,
        remaining,
    )
    left = Hold(
        hold.id,
        hold.debit,
        hold.credit,
        hold.currency,
        hold.amount,
        remaining,
        HoldState.OPEN if remaining else _RESOLVED[kind],
        hold.expires_at if remaining else None,
    )
    return move_alone(books, transfer, left)


_RESOLVED: Mapping[TransferKind, HoldState] = {
    TransferKind.POST: HoldState.CAPTURED,
    TransferKind.VOID: HoldState.RELEASED,
    TransferKind.EXPIRE: HoldState.EXPIRED,
}


def _in_leg(index: int, refusal: Rejected) -> Rejected:
    return Rejected(refusal.code, f"legs.{index}.{refusal.detail}")


def _no_ledger(books: Books) -> Rejected:
    return Rejected(
        "ledger_unknown", f"ledger: there is no ledger {books.ledger}; correct its name"
    )


def _open_hold(books: Books, hold_id: str) -> Hold | Rejected:
    hold = books.holds.get(hold_id)
    if hold is None:
        return Rejected(
            "hold_unknown", f"hold_id: no hold {hold_id} was placed in ledger {books.ledger}"
        )
    if hold.state is not HoldState.OPEN:
        return Rejected(
            "hold_not_open", f"hold_id: hold {hold_id} is {hold.state}; nothing is reserved by it"
        )
    return hold


def _opened(
    books: Books, specs: Sequence[Account], now: datetime
) -> Mapping[str, Account] | Rejected:
    """Accounts the command opens; one that is there already with the same attributes is no news."""
    if not specs:
        return _NONE
    opened: dict[str, Account] = {}
    for index, spec in enumerate(specs):
        there = opened.get(spec.id) or books.accounts.get(spec.id)
        if there is not None:
            if not there.same_as(spec):
                return _mismatch(index, spec.id, "has other attributes")
            continue
        if spec.id in books.elsewhere:
            return _mismatch(index, spec.id, "is in another ledger")
        if spec.guarded and spec.no_credit_overdraft:
            return Rejected(
                "account_flags",
                f"open_accounts.{index}: {spec.id} is guarded both ways and could never move; "
                "choose guarded or no_credit_overdraft",
            )
        opened[spec.id] = spec._replace(opened_at=now)
    return opened


def _mismatch(index: int, account_id: str, what: str) -> Rejected:
    return Rejected(
        "account_mismatch",
        f"open_accounts.{index}: account {account_id} exists and {what}; "
        "name it as it was opened or choose another id",
    )
