"""Money in: what upstream systems publish, and what became of it."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, StrictBool, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from tally_contracts.base import (
    Amount,
    Count,
    Country,
    Day,
    Event,
    MoneyEvent,
    PositiveAmount,
    Shape,
    Slug,
    Text,
    Token,
    TypeId,
    UtcTime,
    Who,
)
from tally_contracts.owners import OF_CONTACT, OF_EVENT


class Beneficiary(Shape):
    """For whom the money is: exactly one of a party, a contact token, or an event nobody claimed yet.

    `event_reference` designates money to a payee who is unknown even by contact (X3).
    """

    party: Token | None = None
    contact: Token | None = None
    event_reference: Token | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        named = [
            name for name in (self.party, self.contact, self.event_reference) if name is not None
        ]
        if len(named) != 1:
            raise PydanticCustomError(
                "beneficiary_ambiguous",
                "name exactly one of party, contact, event_reference",
            )
        return self

    @property
    def owner(self) -> str:
        """The opaque owner reference of the wallet this beneficiary's money goes to."""
        if self.party is not None:
            return self.party
        if self.contact is not None:
            return f"{OF_CONTACT}{self.contact}"
        return f"{OF_EVENT}{self.event_reference}"


class Originator(Shape):
    """Who paid: an opaque reference of the source's own, and a country. Never a name or an account."""

    reference: Token
    country: Country | None = None


class FundingReceived(MoneyEvent):
    """Published by an upstream system: this money is here, for this beneficiary, for this reason.

    `(source of the topic, external_id)` identifies the money; `ce_id` identifies the record. The
    same money announced twice under two record ids is one pay-in.
    """

    TYPE: ClassVar[str] = "funding.inbound.received.v1"

    external_id: Token
    amount: PositiveAmount
    originator: Originator
    company: Token
    beneficiary: Beneficiary | None = None
    kind: Slug = "payables"
    value_date: Day
    references: dict[Slug, Text] = Field(
        default_factory=dict, max_length=16, json_schema_extra={"additionalProperties": False}
    )


class PayInReceived(MoneyEvent):
    """A pay-in was booked as received; its allocation is under way."""

    TYPE: ClassVar[str] = "funding.pay_in.received.v1"

    pay_in_id: TypeId
    source: Slug
    external_id: Token
    amount: Amount
    originator: Originator
    company: Token
    beneficiary: Beneficiary | None
    value_date: Day


class Allocation(Shape):
    """One share of a pay-in, and the wallet that holds it.

    `role`: beneficiary, aggregator, company (more may come). `pay_out`: a rule says pay at once.
    """

    account: TypeId
    owner: Token
    role: Slug
    amount: Amount
    pay_out: StrictBool


class PayInAllocated(MoneyEvent):
    """The ledger holds every share of the pay-in; the shares sum to its amount exactly (F23).

    `kind` is the kind of value as it was announced: payables, payroll, incentives, loyalty (more
    may come); a program's policy may close endpoints to it.
    """

    TYPE: ClassVar[str] = "funding.pay_in.allocated.v1"

    pay_in_id: TypeId
    journal_id: TypeId
    source: Slug
    external_id: Token
    company: Token
    amount: Amount
    rule: Token
    allocations: Annotated[tuple[Allocation, ...], Field(min_length=1, max_length=64)]
    kind: Slug | None = None


class PayInSuspended(MoneyEvent):
    """The pay-in matched nothing and stands in suspense with a case (F14).

    `reason_code`: unknown_program, no_beneficiary, rule_exceeds_amount, ledger_rejected (more may
    come). `remedy` says what a person can do.
    """

    TYPE: ClassVar[str] = "funding.pay_in.suspended.v1"

    pay_in_id: TypeId
    case_id: TypeId
    journal_id: TypeId
    source: Slug
    external_id: Token
    amount: Amount
    reason_code: Slug
    remedy: Text


Base64 = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]+={0,2}$", max_length=900_000)]


class ImportStatement(Event):
    """Command: import a bank statement file (camt.053, camt.054, BAI2, MT940), whole or not at all.

    `content` is the file, gzip-compressed, in base64; at most 32 MiB once unpacked.
    """

    TYPE: ClassVar[str] = "funding.statement.import.v1"

    import_id: TypeId
    file_name: Text
    content: Base64
    who: Who


class StatementImported(Event):
    """Every entry of the statement is a pay-in or was known already; replay changes nothing."""

    TYPE: ClassVar[str] = "funding.statement.imported.v1"

    import_id: TypeId
    file_name: Text
    statement_ids: tuple[Text, ...]
    pay_ins: Count
    already_known: Count
    ignored_entries: Count
    occurred_at: UtcTime


class StatementRefused(Event):
    """The file changed nothing: what is wrong, on which line, and what to do."""

    TYPE: ClassVar[str] = "funding.statement.refused.v1"

    import_id: TypeId
    file_name: Text
    code: Slug
    line: Count | None
    field: Text
    remedy: Text
    occurred_at: UtcTime
