"""Building a file of credits from payment instructions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar, Final

from tally_bankfiles.nacha.addenda import Addenda05
from tally_bankfiles.nacha.batch_records import BatchHeader
from tally_bankfiles.nacha.codes import AccountType, ServiceClass
from tally_bankfiles.nacha.entry_records import Entry
from tally_bankfiles.nacha.file_records import FileHeader
from tally_bankfiles.nacha.model import AchFile, Batch

MAX_SEQUENCE: Final = 9_999_999
"""Seven digits of a trace number."""


class TraceSequenceError(ValueError):
    """The batch would run past the last trace sequence: begin again at 1 in a new batch."""

    code: ClassVar[str] = "trace_sequence_exhausted"
    retryable: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who sends: the bank's and the company's ids as the bank's agreement states them.

    `odfi_identification` is the first eight digits of the bank's routing number.
    """

    immediate_destination: str
    immediate_destination_name: str
    immediate_origin: str
    immediate_origin_name: str
    odfi_identification: str
    company_name: str
    company_identification: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """One payment out; texts must already be ASCII and fit (see `to_ach_text`)."""

    routing: str
    account: str
    account_type: AccountType = AccountType.CHECKING
    amount_minor: int
    individual_id: str
    name: str
    discretionary_data: str = ""
    addenda: tuple[Addenda05, ...] = ()


_CREDIT_CODES: Final = (
    (AccountType.CHECKING, 22),
    (AccountType.SAVINGS, 32),
    (AccountType.GENERAL_LEDGER, 42),
    (AccountType.LOAN, 52),
)


def build_credit_file(
    origin: Origin,
    credits_out: Sequence[Credit],
    *,
    effective_date: date,
    id_modifier: str,
    created_at: datetime,
    first_sequence: int = 1,
    sec: str = "PPD",
    description: str = "PAYMENT",
) -> AchFile:
    """One file with one batch of credits, in the given order.

    The n-th entry gets trace `odfi_identification` + (`first_sequence` + n), so the caller knows
    each key before anything is sent. `created_at` is written as the wall time of its own zone.
    Nothing is checked here but the sequence (TraceSequenceError); `write_file` checks the rest.
    """
    last = first_sequence + len(credits_out) - 1
    if first_sequence < 1 or last > MAX_SEQUENCE:
        raise TraceSequenceError(
            f"traces {first_sequence} to {last} do not fit 1 to {MAX_SEQUENCE}; start a new batch "
            "at sequence 1 or split the entries"
        )
    header = BatchHeader(
        service_class_code=int(ServiceClass.CREDITS),
        company_name=origin.company_name,
        company_identification=origin.company_identification,
        standard_entry_class_code=sec,
        company_entry_description=description,
        originating_dfi_identification=origin.odfi_identification,
        batch_number=1,
        effective_entry_date=effective_date,
    )
    entries = _entries(origin.odfi_identification, credits_out, first_sequence)
    return AchFile(_file_header(origin, id_modifier, created_at), (Batch(header, entries),))


def _file_header(origin: Origin, id_modifier: str, created_at: datetime) -> FileHeader:
    return FileHeader(
        immediate_destination=origin.immediate_destination,
        immediate_origin=origin.immediate_origin,
        file_creation_date=created_at.date(),
        file_creation_time=created_at.time().replace(second=0, microsecond=0),
        file_id_modifier=id_modifier,
        immediate_destination_name=origin.immediate_destination_name,
        immediate_origin_name=origin.immediate_origin_name,
    )


def _entries(odfi: str, credits_out: Iterable[Credit], first: int) -> tuple[Entry, ...]:
    codes = dict(_CREDIT_CODES)
    return tuple(
        Entry(
            transaction_code=codes[credit.account_type],
            routing=credit.routing,
            account=credit.account,
            amount_minor=credit.amount_minor,
            individual_id=credit.individual_id,
            name=credit.name,
            trace=f"{odfi}{sequence:07}",
            discretionary_data=credit.discretionary_data,
            addenda=credit.addenda,
        )
        for sequence, credit in enumerate(credits_out, start=first)
    )
