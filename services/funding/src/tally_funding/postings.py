"""Decisions as the ledger's commands: accounts, legs, and ids that a replay makes again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Protocol

from tally_contracts.base import PositiveAmount, Where, Who, Why
from tally_contracts.ledger import AccountSpec, Leg, PostJournal
from tally_funding.domain import PartOfPayIn
from tally_money import Money
from tally_runtime import derived_id

_PATH_CHARS_MAX = 128
_ACCOUNTS_KEPT = 4096
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
class Designated:
    """A part of a pay-in and the wallet that will hold it."""

    part: PartOfPayIn
    wallet: AccountSpec


# Three of a payment's four accounts are a source's, a company's and the platform's, and nearly always the same.
@lru_cache(maxsize=_ACCOUNTS_KEPT)
def _account(tenant: str, purpose: str, whose: str, code: str, owner: str) -> AccountSpec:
    path = f"{purpose}/{whose}/{code}"
    account_id = derived_id("acc", tenant, path)
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


@dataclass(frozen=True, slots=True)
class Books:
    """Where postings go: the tenant whose accounts they are, and the ledger that keeps them."""

    tenant: str
    ledger: str

    def pay_in_id(self, source: str, external_id: str) -> str:
        return derived_id("pin", self.tenant, source, external_id)

    def account(self, purpose: str, whose: str, code: str, *, owner: str) -> AccountSpec:
        """The account of this purpose; the same words name the same account everywhere."""
        return _account(self.tenant, purpose, whose, code, owner)

    def clearing(self, source: str, code: str) -> AccountSpec:
        return self.account("clearing", source, code, owner=OPERATOR)

    def suspense(self, source: str, code: str) -> AccountSpec:
        return self.account("suspense", source, code, owner=OPERATOR)

    def wallet(self, owner: str, code: str) -> AccountSpec:
        return self.account("wallet", owner, code, owner=owner)

    def designate(self, parts: Sequence[PartOfPayIn]) -> tuple[Designated, ...]:
        """Each part with the wallet that will hold it."""
        return tuple(
            Designated(part, self.wallet(part.owner, part.amount.currency.code)) for part in parts
        )

    def allocation_journal(
        self,
        pay_in_id: str,
        source: str,
        designated: Sequence[Designated],
        about: About,
        now: datetime,
    ) -> PostJournal:
        """One leg per part, from the source's clearing account to the owner's wallet."""
        clearing = self.clearing(source, designated[0].part.amount.currency.code)
        legs = tuple(
            _leg(
                derived_id("trf", pay_in_id, "allocation", str(position)),
                clearing,
                share.wallet,
                share.part.amount,
                "allocation",
            )
            for position, share in enumerate(designated)
        )
        accounts = (clearing, *(share.wallet for share in designated))
        journal_id = allocation_journal_id(pay_in_id)
        return self._journal(journal_id, pay_in_id, about, now, accounts, legs)

    def suspense_journal(
        self, pay_in_id: str, source: str, amount: Money, about: About, now: datetime
    ) -> PostJournal:
        """One leg for the whole pay-in, from the source's clearing account to its suspense."""
        code = amount.currency.code
        clearing, suspense = self.clearing(source, code), self.suspense(source, code)
        leg = _leg(derived_id("trf", pay_in_id, "suspense"), clearing, suspense, amount, "suspense")
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


def _leg(
    transfer_id: str, debit: AccountSpec, credit: AccountSpec, amount: Money, code: str
) -> Leg:
    # Not validated: ids and amounts are exact already, and this is most of a booking's work.
    return Leg.model_construct(
        id=transfer_id,
        debit=debit.id,
        credit=credit.id,
        amount=PositiveAmount.of(amount),
        code=code,
    )


def allocation_journal_id(pay_in_id: str) -> str:
    return derived_id("jrn", pay_in_id, "allocation")


def suspense_journal_id(pay_in_id: str) -> str:
    return derived_id("jrn", pay_in_id, "suspense")
