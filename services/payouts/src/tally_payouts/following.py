"""Payouts of owners nobody knew, on the way to whoever the money is designated to since (X3)."""

from dataclasses import dataclass, replace
from typing import Protocol

from tally_contracts.funding_claims import DesignationMoved
from tally_payouts.batch import Batch, Tracked, new_payout
from tally_payouts.domain.designation import (
    ENDS_WHOLE,
    arrived,
    decide_follow,
    is_unknown,
)
from tally_payouts.domain.methods import Methods, way_out
from tally_payouts.domain.opening import decide_open
from tally_payouts.domain.payout import Decision
from tally_payouts.domain.policy import permitted
from tally_runtime import derived_id


class TakesUp(Protocol):
    """Keeps what was decided about a payout, and emits what follows."""

    def __call__(self, tracked: Tracked, decision: Decision) -> None: ...


@dataclass(frozen=True, slots=True)
class Following:
    """Works on the batch of one message; `tenant` is whose accounts are meant."""

    batch: Batch
    tenant: str
    take_up: TakesUp

    def moved(self, event: DesignationMoved) -> None:
        """Money has another owner: the payouts that waited for it follow."""
        for wire in event.amounts:
            amount = wire.money()
            key = (event.owner, amount.currency.code)
            known = self.batch.designations.get(key)
            self.batch.designate(arrived(known, event.owner, event.to_owner, amount))
        all_there_was = ENDS_WHOLE.get(event.reason_code, False)
        for key in sorted(self.batch.claimable):
            if key[0] == event.owner:
                waiting = [self.batch.payouts[one] for one in self.batch.claimable[key]]
                # What came after the movement was asked for is not in it, and follows.
                in_it = [one for one in waiting if one.opened_before(event.asked_at)]
                for tracked in in_it:
                    self.follow(tracked, whole=all_there_was)
                for tracked in waiting:
                    self.follow(tracked)

    def follow(self, tracked: Tracked, *, whole: bool = False) -> None:
        """Let a payout that waits under a former owner end, and go on under the new one."""
        order = tracked.payout.order
        if not is_unknown(order.owner):
            return
        known = self.batch.designations.get(order.wallet_key)
        code = order.amount.currency.code
        to_owner = "" if known is None else known.to_owner
        account = derived_id("acc", self.tenant, f"wallet/{to_owner}/{code}")
        followed = decide_follow(tracked.payout, known, account, whole=whole)
        if followed is None:
            return
        policy, version = self.batch.policy_of(tracked), tracked.payout.policy_version
        self.take_up(tracked, followed.decision)
        if followed.successor is None or followed.designation is None:
            return
        self.batch.designate(followed.designation)
        payout_id = derived_id("po", tracked.payout.id, to_owner)
        new = replace(new_payout(payout_id, followed.successor), policy_version=version)
        # With the circumstances of the payout before it: the same money, for the same reason.
        successor = Tracked(tracked.payout, tracked.context)
        methods = self.batch.methods.get(new.order.wallet_key, Methods(to_owner, code))
        successor.payout = replace(tracked.payout, order=new.order)
        decision = decide_open(new, permitted(policy, successor.request, way_out(methods)))
        successor.payout = decision.payout
        self.batch.payouts[new.id] = successor
        self.take_up(successor, decision)
        self.follow(successor)
