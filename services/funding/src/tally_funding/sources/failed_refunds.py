"""Use case: the processor could not pay a refund out, so that what it took back is given back."""

from tally_funding import store as pay_in_store
from tally_funding.refunds.store import refund_of, want_reinstated
from tally_funding.sources import card_store as store
from tally_funding.sources.cards import CHANNEL, CardPayment
from tally_funding.store import NewCase
from tally_messaging import UnitOfWork
from tally_money import Money
from tally_runtime import derived_id, get_logger

_LOG = get_logger("tally_funding.webhooks")


async def undo_failed(uow: UnitOfWork, pay_in_id: str, payment: CardPayment) -> None:
    """Have the return of each failed refund given back, once; it waits for its return to be told.

    Refunds that were told of together are one return: what is no return's whole amount is a case, and
    from then on a person's. A later refund of the same amount is other money, which is not given back.
    """
    await pay_in_store.lock_pay_ins(uow.conn, [pay_in_id])
    for refund, amount in await store.not_undone(uow.conn, pay_in_id):
        return_id = await refund_of(uow.conn, pay_in_id, amount, CHANNEL)
        if return_id is not None:
            await want_reinstated(uow.conn, return_id, uow.now)
            await store.undo(uow.conn, pay_in_id, refund, return_id)
        elif payment.refunded_minor >= sum(
            failed.amount.minor for failed in payment.failed_refunds.values()
        ):
            await store.hand_over(uow.conn, pay_in_id, refund, uow.now)
            await _open_case(uow, pay_in_id, refund, amount)


async def _open_case(uow: UnitOfWork, pay_in_id: str, refund: str, amount: Money) -> None:
    _LOG.error("card_refund_failed", pay_in_id=pay_in_id, refund=refund, alarm=True)
    case = NewCase(
        derived_id("case", pay_in_id, f"refund:{refund}"),
        pay_in_id,
        "card_refund_failed",
        f"the processor could not pay out {amount} and keeps it for the company; no return of just that "
        "amount stands: compare its books with the pay-in, then enter the money by hand",
        f"refund {refund}",
    )
    await pay_in_store.insert_cases(uow.conn, [case], uow.now)
