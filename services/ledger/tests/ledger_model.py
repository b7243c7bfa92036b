"""A ledger out of dictionaries, written from the rules and not from the code: the oracle of the tests."""

import copy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tally_ledger.domain import (
    Capture,
    ChangeAccount,
    Expire,
    Malformed,
    Place,
    PostLegs,
    Release,
    Request,
    Reverse,
)


@dataclass
class DictLedger:
    """Balances are (debits, credits) posted and pending per account; answers are kept per id."""

    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    holds: dict[str, dict[str, Any]] = field(default_factory=dict)
    transfers: set[str] = field(default_factory=set)
    answers: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    journals: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)

    def apply(self, command: Request, now: datetime) -> str:
        """The code of the answer: "posted" or why not."""
        if command.id in self.answers:
            asked, answer = self.answers[command.id]
            return answer if asked == command.request_hash else "id_conflict"
        before = copy.deepcopy((self.accounts, self.holds, self.transfers, self.journals))
        answer = self._try(command, now)
        if answer != "posted":
            self.accounts, self.holds, self.transfers, self.journals = before
        self.answers[command.id] = (command.request_hash, answer)
        return answer

    def _try(self, command: Request, now: datetime) -> str:  # noqa: PLR0911, PLR0912
        if isinstance(command, Malformed):
            return command.code
        if isinstance(command, ChangeAccount):
            return self._change(command)
        many = isinstance(command, PostLegs | Reverse)
        ids = [leg.id for leg in command.legs] if many else [command.id]
        seen: set[str] = set()
        for transfer_id in ids:
            if transfer_id in seen:
                return "duplicate_leg"
            if transfer_id in self.transfers:
                return "id_conflict"
            seen.add(transfer_id)
        self.transfers |= seen
        if isinstance(command, PostLegs | Reverse):
            if command.effective_at > now + timedelta(days=1):
                return "effective_in_future"
            if command.effective_at < now - timedelta(days=3653):
                return "effective_too_old"
        if isinstance(command, Reverse):
            return self._reverse(command)
        if isinstance(command, PostLegs | Place):
            if isinstance(command, Place) and command.expires_at and command.expires_at <= now:
                return "already_expired"
            for spec in command.accounts:
                there = self.accounts.get(spec.id)
                if there is None:
                    self.accounts[spec.id] = {
                        "spec": spec, "dp": 0, "cp": 0, "dr": 0, "cr": 0,
                        "in": False, "out": False, "closed": False,
                    }  # fmt: skip
                elif there["spec"] != spec:
                    return "account_mismatch"
            legs = command.legs if isinstance(command, PostLegs) else (command.leg,)
            for leg in legs:
                answer = self._leg(leg, "p" if isinstance(command, PostLegs) else "r")
                if answer != "posted":
                    return answer
                self._note(command.id, leg, "moved" if isinstance(command, PostLegs) else "held")
            if isinstance(command, Place):
                self.holds[command.id] = {"leg": command.leg, "left": command.leg.amount,
                                          "due": command.expires_at}  # fmt: skip
            return "posted"
        return self._resolve(command, now)

    def _leg(self, leg: Any, kind: str) -> str:  # noqa: PLR0911
        if leg.debit not in self.accounts or leg.credit not in self.accounts:
            return "account_unknown"
        if leg.debit == leg.credit:
            return "same_account"
        payer, payee = self.accounts[leg.debit], self.accounts[leg.credit]
        if {payer["spec"].currency, payee["spec"].currency} != {leg.currency}:
            return "currency_mismatch"
        if payer["closed"] or payee["closed"]:
            return "account_closed"
        if payer["out"] or payee["in"]:
            return "account_frozen"
        if leg.amount <= 0:
            return "amount_not_positive"
        free = payer["cp"] - payer["dp"] - payer["dr"]
        if payer["spec"].guarded and free < leg.amount:
            return "insufficient_funds"
        comes_to = payee["cp"] + payee["cr"] + leg.amount - payee["dp"]
        if payee["spec"].no_credit_overdraft and comes_to > 0:
            return "credit_overdraft"
        if payee["spec"].max_balance is not None and comes_to > payee["spec"].max_balance:
            return "balance_limit_exceeded"
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
            if command.amount <= 0:
                return "amount_not_positive"
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
            leg = hold["leg"]._replace(id=command.id, amount=amount)
            self._note(command.id, leg, "moved")
        else:
            self.journals[command.id] = {}
        return "posted"

    def _note(self, journal: str, leg: Any, what: str) -> None:
        """What could be reversed of a journal, by its transfers' ids."""
        self.journals.setdefault(journal, {})[leg.id] = {"leg": leg, "what": what,
                                                         "left": leg.amount}  # fmt: skip

    def _reverse(self, command: Reverse) -> str:
        if command.target not in self.journals:
            return "journal_unknown"
        target = self.journals[command.target]
        for part in command.legs:
            there = target.get(part.target)
            if there is None or there["what"] != "moved":
                return "not_reversible"
            was = there["leg"]
            if part.currency == was.currency and part.amount > there["left"]:
                return "reversal_exceeds_target"
            other_way = was._replace(
                id=part.id, debit=was.credit, credit=was.debit, amount=part.amount,
                currency=part.currency,
            )  # fmt: skip
            answer = self._leg(other_way, "p")
            if answer != "posted":
                return answer
            there["left"] -= part.amount
            self._note(command.id, other_way, "reversal")
        return "posted"

    def _change(self, command: ChangeAccount) -> str:
        account = self.accounts.get(command.account)
        if account is None:
            return "account_unknown"
        if account["closed"]:
            return "account_closed"
        if command.operation == "close":
            if account["dp"] != account["cp"] or account["dr"] or account["cr"]:
                return "account_not_settled"
            account["closed"] = True
        if command.frozen_in is not None:
            account["in"] = command.frozen_in
        if command.frozen_out is not None:
            account["out"] = command.frozen_out
        return "posted"
