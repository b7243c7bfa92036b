"""A ledger out of dictionaries, written from the rules and not from the code: the oracle of the tests."""

import copy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tally_ledger.domain import Capture, Expire, Movement, Place, PostLegs, Release


@dataclass
class DictLedger:
    """Balances are (debits, credits) posted and pending per account; answers are kept per id."""

    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    holds: dict[str, dict[str, Any]] = field(default_factory=dict)
    transfers: set[str] = field(default_factory=set)
    answers: dict[str, tuple[bytes, str]] = field(default_factory=dict)

    def apply(self, command: Movement, now: datetime) -> str:
        """The code of the answer: "posted" or why not."""
        if command.id in self.answers:
            asked, answer = self.answers[command.id]
            return answer if asked == command.request_hash else "id_conflict"
        before = copy.deepcopy((self.accounts, self.holds, self.transfers))
        answer = self._try(command, now)
        if answer != "posted":
            self.accounts, self.holds, self.transfers = before
        self.answers[command.id] = (command.request_hash, answer)
        return answer

    def _try(self, command: Movement, now: datetime) -> str:
        ids = [leg.id for leg in command.legs] if isinstance(command, PostLegs) else [command.id]
        seen: set[str] = set()
        for transfer_id in ids:
            if transfer_id in seen:
                return "duplicate_leg"
            if transfer_id in self.transfers:
                return "id_conflict"
            seen.add(transfer_id)
        self.transfers |= seen
        if isinstance(command, PostLegs | Place):
            if isinstance(command, Place) and command.expires_at and command.expires_at <= now:
                return "already_expired"
            for spec in command.accounts:
                there = self.accounts.get(spec.id)
                if there is None:
                    self.accounts[spec.id] = {"spec": spec, "dp": 0, "cp": 0, "dr": 0, "cr": 0}
                elif there["spec"] != spec:
                    return "account_mismatch"
            legs = command.legs if isinstance(command, PostLegs) else (command.leg,)
            for leg in legs:
                answer = self._leg(leg, "p" if isinstance(command, PostLegs) else "r")
                if answer != "posted":
                    return answer
            if isinstance(command, Place):
                self.holds[command.id] = {"leg": command.leg, "left": command.leg.amount,
                                          "due": command.expires_at}  # fmt: skip
            return "posted"
        return self._resolve(command, now)

    def _leg(self, leg: Any, kind: str) -> str:
        if leg.debit not in self.accounts or leg.credit not in self.accounts:
            return "account_unknown"
        if leg.debit == leg.credit:
            return "same_account"
        payer, payee = self.accounts[leg.debit], self.accounts[leg.credit]
        if {payer["spec"].currency, payee["spec"].currency} != {leg.currency}:
            return "currency_mismatch"
        free = payer["cp"] - payer["dp"] - payer["dr"]
        if payer["spec"].guarded and free < leg.amount:
            return "insufficient_funds"
        payer["d" + kind] += leg.amount
        payee["c" + kind] += leg.amount
        return "posted"

    def _resolve(self, command: Capture | Release | Expire, now: datetime) -> str:
        hold = self.holds.get(command.hold_id)
        if hold is None:
            return "hold_unknown"
        if hold["left"] == 0:
            return "hold_not_open"
        amount = hold["left"]
        if isinstance(command, Expire) and (hold["due"] is None or hold["due"] > now):
            return "not_due"
        if isinstance(command, Capture):
            if command.currency != hold["leg"].currency:
                return "currency_mismatch"
            if command.amount > hold["left"]:
                return "capture_exceeds_hold"
            amount = command.amount
        hold["left"] -= amount
        payer, payee = self.accounts[hold["leg"].debit], self.accounts[hold["leg"].credit]
        payer["dr"] -= amount
        payee["cr"] -= amount
        if isinstance(command, Capture):
            payer["dp"] += amount
            payee["cp"] += amount
        return "posted"
