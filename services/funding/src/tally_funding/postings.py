"""Decisions as the ledger's commands: accounts, legs, and ids that a replay makes again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tally_contracts.base import Amount, PositiveAmount, Where, Who, Why
from tally_contracts.funding import Allocation
from tally_contracts.ledger import AccountSpec, Leg, PostJournal
from tally_funding.domain import PartOfPayIn
from tally_money import Money
from tally_runtime import derived_id

_PATH_CHARS_MAX = 128
OPERATOR = "platform"
"""Owner of clearing and suspense accounts."""


class About(Protocol):
    """Whatever names who moved money, where and why."""

    @property
    def who(self) -> Who: ...
    @property
    def where(self) -> Where: ...
    @property
    def why(self) -> Why: ...


@dataclass(frozen=True, slots=True)
class Books:
    """Where postings go: the tenant whose accounts they are, and the ledger that keeps them."""

    tenant: str
    ledger: str

    def pay_in_id(self, source: str, external_id: str) -> str:
        return derived_id("pin", self.tenant, source, external_id)

    def account(self, purpose: str, whose: str, code: str, *, owner: str) -> AccountSpec:
        """The account of this purpose; the same words name the same account everywhere."""
        path = f"{purpose}/{whose}/{code}"
        account_id = self._account_id(purpose, whose, code)
        return AccountSpec(
            id=account_id,
            owner=owner,
            purpose=purpose,
            # A path is for reading only, and has to fit.
            path=path if len(path) <= _PATH_CHARS_MAX else f"{purpose}/{account_id}",
            currency=code,
            # A clearing account runs ahead of or behind its source by nature.
            guarded=purpose != "clearing",
        )

    def _account_id(self, purpose: str, whose: str, code: str) -> str:
        return derived_id("acc", self.tenant, f"{purpose}/{whose}/{code}")

    def clearing(self, source: str, code: str) -> AccountSpec:
        return self.account("clearing", source, code, owner=OPERATOR)

    def suspense(self, source: str, code: str) -> AccountSpec:
        return self.account("suspense", source, code, owner=OPERATOR)

    def wallet(self, owner: str, code: str) -> AccountSpec:
        return self.account("wallet", owner, code, owner=owner)

    def allocations(self, parts: Sequence[PartOfPayIn]) -> tuple[Allocation, ...]:
        """Each part with the wallet that will hold it."""
        return tuple(
            Allocation(
                account=self._account_id("wallet", part.owner, part.amount.currency.code),
                owner=part.owner,
                role=part.role,
                amount=Amount.of(part.amount),
                pay_out=part.pay_out,
            )
            for part in parts
        )

    def allocation_journal(
        self,
        pay_in_id: str,
        source: str,
        parts: Sequence[PartOfPayIn],
        about: About,
        now: datetime,
    ) -> PostJournal:
        """One leg per part, from the source's clearing account to the owner's wallet."""
        code = parts[0].amount.currency.code
        clearing = self.clearing(source, code)
        wallets = [self.wallet(part.owner, code) for part in parts]
        legs = tuple(
            Leg(
                id=derived_id("trf", pay_in_id, "allocation", str(position)),
                debit=clearing.id,
                credit=wallet.id,
                amount=PositiveAmount.of(part.amount),
                code="allocation",
            )
            for position, (part, wallet) in enumerate(zip(parts, wallets, strict=True))
        )
        journal_id = allocation_journal_id(pay_in_id)
        return self._journal(journal_id, pay_in_id, about, now, (clearing, *wallets), legs)

    def suspense_journal(
        self, pay_in_id: str, source: str, amount: Money, about: About, now: datetime
    ) -> PostJournal:
        """One leg for the whole pay-in, from the source's clearing account to its suspense."""
        code = amount.currency.code
        clearing, suspense = self.clearing(source, code), self.suspense(source, code)
        leg = Leg(
            id=derived_id("trf", pay_in_id, "suspense"),
            debit=clearing.id,
            credit=suspense.id,
            amount=PositiveAmount.of(amount),
            code="suspense",
        )
        journal_id = suspense_journal_id(pay_in_id)
        return self._journal(journal_id, pay_in_id, about, now, (clearing, suspense), (leg,))

    def _journal(  # noqa: PLR0917 - a command, field by field
        self,
        journal_id: str,
        pay_in_id: str,
        about: About,
        now: datetime,
        accounts: Sequence[AccountSpec],
        legs: tuple[Leg, ...],
    ) -> PostJournal:
        return PostJournal(
            who=about.who,
            where=about.where,
            why=about.why,
            occurred_at=now,
            journal_id=journal_id,
            ledger=self.ledger,
            reference=pay_in_id,
            open_accounts=tuple({account.id: account for account in accounts}.values()),
            legs=legs,
            effective_at=now,
        )


def allocation_journal_id(pay_in_id: str) -> str:
    return derived_id("jrn", pay_in_id, "allocation")


def suspense_journal_id(pay_in_id: str) -> str:
    return derived_id("jrn", pay_in_id, "suspense")
