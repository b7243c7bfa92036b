"""What every event and command shares: strict scalars, money on the wire, the five Ws."""

from datetime import date
from functools import lru_cache
from typing import Annotated, ClassVar, Self, cast

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import PydanticCustomError

from tally_money import (
    MAX_DIGITS,
    MAX_EXPONENT,
    AssetKind,
    Currency,
    Money,
    MoneyError,
    iso_currencies,
    parse_minor,
)


def _utc_only(value: object) -> object:
    if isinstance(value, str) and not value.endswith("Z"):
        raise PydanticCustomError(
            "time_not_utc", "a time is UTC and ends in Z, e.g. 2026-01-31T08:00:00Z"
        )
    if isinstance(value, int | float):
        raise PydanticCustomError(
            "time_not_utc", "a time is a string in UTC, e.g. 2026-01-31T08:00:00Z"
        )
    return value


def _day_only(value: object) -> object:
    if isinstance(value, str) and len(value) != len("2026-01-31"):
        raise PydanticCustomError("date_format", "a date is YYYY-MM-DD")
    if isinstance(value, int | float):
        raise PydanticCustomError("date_format", "a date is a string YYYY-MM-DD")
    return value


UtcTime = Annotated[
    AwareDatetime,
    BeforeValidator(_utc_only),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": "Z$"}),
]
"""A moment in UTC; on the wire RFC 3339 with `Z`. An offset or a naive time is refused."""

Day = Annotated[date, BeforeValidator(_day_only)]
"""A calendar day, `YYYY-MM-DD`."""

_PRINTABLE = r"^[^\x00-\x1f\x7f]+$"
Text = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=_PRINTABLE)]
"""Free text without control characters, 1 to 500 characters."""

Token = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[!-~]+$")]
"""An opaque reference in printable ASCII without blanks, 1 to 128 characters."""

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")]
"""A lower-case name: a code, a program, a rail, a channel."""

TypeId = Annotated[
    str, StringConstraints(pattern=r"^[a-z]{1,16}_[0-7][0-9a-hjkmnp-tv-z]{25}$", max_length=43)
]
"""A TypeID: prefix, underscore, 26 characters of Crockford base32 (a UUID)."""

Count = Annotated[int, Field(strict=True, ge=0, le=2**53 - 1)]
"""A whole number from 0 to 2**53 - 1, the largest that every JSON reader keeps exact (RFC 8259)."""

Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
"""ISO 3166-1 alpha-2."""


class Shape(BaseModel):
    """A frozen part of an event. Unknown fields are ignored on read; mypy forbids them on write."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Event(Shape):
    """A fact or a command; `TYPE` is its CloudEvents type, `<domain>.<entity>.<fact>.v<major>`."""

    TYPE: ClassVar[str]


_DECIMAL: dict[str, object] = {
    "type": "string",
    "pattern": r"^(0|[1-9][0-9]*)(\.[0-9]+)?$",
    "maxLength": MAX_DIGITS + 1,
}
# A service meets each amount of a payment in a dozen events within a second or two.
_AMOUNTS_KEPT = 4096
_POSITIVE: dict[str, object] = {**_DECIMAL, "not": {"pattern": r"^0(\.0+)?$"}}

AssetCode = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9]{2,11}$")]
"""An ISO 4217 code, or the code of an asset registered with the ledger."""

DecimalText = Annotated[
    str, StringConstraints(pattern=r"^(0|[1-9][0-9]*)(\.[0-9]+)?$", max_length=MAX_DIGITS + 1)
]
"""A decimal string without sign or exponent; in which unit, a field beside it says."""


@lru_cache(maxsize=_AMOUNTS_KEPT)
def _parsed(amount: str, code: str) -> Money:
    """The money of a wire amount; one that is refused is not kept."""
    return Money.parse(amount, code)


class AskedAmount(Shape):
    """An amount above zero in any asset, read leniently and written strictly.

    Whoever produces one keeps to the schema: a decimal string above zero. Whoever reads it takes
    any printable text, so that a wrong amount is refused by the consumer in an answer of its own
    and not set aside unanswered.
    """

    currency: AssetCode
    amount: Annotated[
        str,
        StringConstraints(min_length=1, max_length=128, pattern=r"^[!-~]+$"),
        WithJsonSchema(_POSITIVE),
    ]

    def money(self) -> Money:
        """The same amount in integer minor units.

        Raises a MoneyError for one that is none, and for an asset that is no ISO 4217 currency.
        """
        return _parsed(self.amount, self.currency)

    @classmethod
    def of(cls, money: Money) -> Self:
        """Wire form of money that is already exact; skips the parse that would only repeat it."""
        wire = cls.model_construct(currency=money.currency.code, amount=money.wire_amount)
        return cast("Self", wire)


class AssetAmount(AskedAmount):
    """Money in any asset: a decimal string with at most the asset's decimals, never negative.

    ISO 4217 says the decimals of its currencies; other assets are registered with the ledger and
    have at most 18 of them, which only the ledger can check. Codes of refusals as for `Amount`.
    """

    amount: Annotated[str, WithJsonSchema(_DECIMAL)]

    @field_validator("amount", mode="after")
    @classmethod
    def _reads(cls, amount: str, seen: ValidationInfo) -> str:
        code = seen.data.get("currency")
        if code is not None:
            # A registered asset has 18 decimals or fewer: those written are taken as all it has.
            decimals = min(len(amount.partition(".")[2]), MAX_EXPONENT)
            unit = iso_currencies().get(code) or Currency(code, decimals, AssetKind.CRYPTO)
            try:
                parse_minor(amount, unit)
            except MoneyError as error:
                raise _refusal(error) from error
        return amount


class Amount(AssetAmount):
    """Money on the wire: a decimal string with at most the currency's decimals, never negative.

    Source of the decimals: ISO 4217. Codes of refusals: `unknown_currency`, `amount_format`,
    `too_many_decimals`, `amount_too_large`.
    """

    # On the field, not the model: an instance that takes its place in an event was checked already.
    @field_validator("amount", mode="after")
    @classmethod
    def _reads(cls, amount: str, seen: ValidationInfo) -> str:
        code = seen.data.get("currency")
        if code is not None:
            try:
                _parsed(amount, code)
            except MoneyError as error:
                raise _refusal(error) from error
        return amount


class PositiveAmount(Amount):
    """An amount above zero; zero is refused with `amount_not_positive`."""

    amount: Annotated[str, WithJsonSchema(_POSITIVE)]

    @field_validator("amount", mode="after")
    @classmethod
    def _positive(cls, amount: str) -> str:
        if not amount.strip("0."):
            raise PydanticCustomError("amount_not_positive", "the amount must be above zero")
        return amount


def _refusal(error: MoneyError) -> PydanticCustomError:
    return PydanticCustomError(error.code, "{reason}", {"reason": str(error)})


class Who(Shape):
    """Who acted (`actor`: a person, key or service) and for whom (`principal`: whose right it was)."""

    actor: Token
    principal: Token


class Where(Shape):
    """Through which channel, and in which country where one is known."""

    channel: Slug
    country: Country | None = None


class Why(Shape):
    """The reason money moves. An event without one is refused at the edge (F51)."""

    program: Slug
    event: Token
    reason: Text


class MoneyEvent(Event):
    """An event about money: it names the five Ws; what and when are the event's own fields."""

    who: Who
    where: Where
    why: Why
    occurred_at: UtcTime
