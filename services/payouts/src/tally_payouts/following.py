"""Payouts of owners nobody knew, on the way to whoever the money is designated to since (X3)."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from tally_contracts.funding_claims import DesignationMoved
from tally_money import Money
from tally_payouts.batch import Batch, Tracked, new_payout
from tally_payouts.domain.designation import (
    ENDS_WHOLE,
    Designation,
    Release,
    arrived,
    decide_follow,
    is_restricted,
    is_unknown,
)
from tally_payouts.domain.opening import decide_open
from tally_payouts.domain.payout import Decision
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
            asked_at = event.asked_at or event.occurred_at
            if is_restricted(event.owner):
                so_far = self.batch.releases.get(key, {}).get(asked_at)
                total = amount if so_far is None else so_far.left + amount
                self.batch.release(key, Release(asked_at, total))
                amount = Money(0, amount.currency)
            known = self.batch.designations.get(key)
            self.batch.designate(arrived(known, event.owner, event.to_owner, amount, asked_at))
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
        known, release = self._money_of(tracked)
        code = order.amount.currency.code
        to_owner = "" if known is None else known.to_owner
        account = derived_id("acc", self.tenant, f"wallet/{to_owner}/{code}")
        followed = decide_follow(
            # A release moves all there is: what it does not cover has no other to wait for.
            tracked.payout,
            known,
            account,
            whole=whole or release is not None,
        )
        if followed is None:
            return
        policy, version = self.batch.policy_of(tracked), tracked.payout.policy_version
        self.take_up(tracked, followed.decision)
        left = followed.designation
        if followed.successor is None or left is None:
            return
        if release is None:
            self.batch.designate(left)
        else:
            self.batch.release(order.wallet_key, replace(release, left=left.left))
        payout_id = derived_id("po", tracked.payout.id, to_owner)
        new = replace(new_payout(payout_id, followed.successor), policy_version=version)
        # With the circumstances of the payout before it: the same money, for the same reason.
        context = replace(tracked.context, came_at=_latest(tracked.came_at, left.asked_at))
        successor = Tracked(tracked.payout, context)
        successor.payout = replace(tracked.payout, order=new.order)
        way = self.batch.way(new.order.wallet_key, policy, successor.request)
        decision = decide_open(new, way)
        successor.payout = decision.payout
        self.batch.payouts[new.id] = successor
        self.take_up(successor, decision)
        self.follow(successor)

    def _money_of(self, tracked: Tracked) -> tuple[Designation | None, Release | None]:
        """What a payout may take: of restricted money, of the one release that its own is in."""
        order, came_at = tracked.payout.order, tracked.came_at
        known = self.batch.designations.get(order.wallet_key)
        if known is None or not is_restricted(order.owner):
            return known, None
        releases = self.batch.releases.get(order.wallet_key, {}).values()
        since = [one for one in releases if came_at is None or one.asked_at >= came_at]
        if not since:
            return None, None
        release = min(since, key=lambda one: one.asked_at)
        return replace(known, left=release.left), release


def _latest(*moments: datetime | None) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)
