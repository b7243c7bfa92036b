"""What of a payment somebody sees who is not let into all of it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from tally_portfolio.domain.projection import PayIn, Payout
from tally_portfolio.domain.time_line import Payment, Step, TimeLine


@dataclass(frozen=True, slots=True)
class Insight:
    """Whose things somebody sees: these parties', or everybody's if None."""

    parties: frozenset[str] | None

    def sees(self, party: str | None) -> bool:
        """Whether this party's things are seen."""
        return self.parties is None or party in self.parties

    def whole(self, pay_in: PayIn) -> bool:
        """Whether all of a pay-in is seen: it is the company's; payees see their shares."""
        return self.sees(pay_in.company)

    def of_payout(self, payout: Payout) -> bool:
        """Whether a payout is seen: by whoever is paid, and by whoever is responsible."""
        return self.sees(payout.owner) or self.sees(payout.company)

    def of_payment(self, payment: Payment) -> Payment:
        """The payment with the payouts that are seen; of others not even that they are due."""
        if self.parties is None:
            return payment
        pay_in = payment.pay_in
        if pay_in is not None and not self.whole(pay_in):
            pay_in = replace(pay_in, payouts_expected=None)
        return replace(
            payment,
            pay_in=pay_in,
            payouts=tuple(payout for payout in payment.payouts if self.of_payout(payout)),
        )

    def of_line(self, line: TimeLine, accounts_seen: Collection[str]) -> TimeLine:
        """The time line of the payment as `of_payment` leaves it."""
        if self.parties is None:
            return line
        payment = self.of_payment(line.payment)
        subjects = {payout.payout_id for payout in payment.payouts}
        subjects |= {payment.payment_id, *accounts_seen}
        whole = payment.pay_in is None or self.whole(payment.pay_in)
        if whole:
            subjects.update(line.returns)
        return replace(
            line,
            payment=payment,
            steps=tuple(
                step if whole or step.hop.subject != payment.payment_id else _bare(step)
                for step in line.steps
                if step.hop.subject in subjects
            ),
            accounts={
                account_id: account
                for account_id, account in line.accounts.items()
                if account_id in accounts_seen
            },
            set_aside=(),
        )


class Share(NamedTuple):
    """What an allocation gave to one owner."""

    account: str
    owner: str
    role: str
    amount: str
    currency: str
    pay_out: bool


def shares_of(steps: Sequence[Step]) -> tuple[Share, ...]:
    """The shares a payment was divided into, as its hops tell them."""
    return tuple(
        Share(account, owner, role, amount, str(step.hop.summary["currency"]), pay_out)
        for step in steps
        if isinstance(rows := step.hop.summary.get("allocations"), list)
        for account, owner, role, amount, pay_out in rows
    )


def parties_of(payments: Collection[Payment]) -> set[str]:
    """Every party that payments name."""
    named = {p.owner for payment in payments for p in payment.payouts}
    named |= {p.company for payment in payments for p in payment.payouts}
    for payment in payments:
        if payment.pay_in is not None:
            named |= {
                name for name in (payment.pay_in.company, payment.pay_in.owner) if name is not None
            }
    return named


def _bare(step: Step) -> Step:
    """That something happened, when and why; not how much, nor to whom."""
    summary = {
        name: value for name, value in step.hop.summary.items() if name in {"where", "why", "state"}
    }
    return replace(step, hop=step.hop._replace(summary=summary))
