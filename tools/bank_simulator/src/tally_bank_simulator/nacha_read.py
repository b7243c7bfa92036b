"""Reads what an originator uploads, as strictly as a bank does.

Records are exactly 94 printable ASCII characters, ended by LF or CRLF or by nothing at all, in
blocks of ten. What breaks the file as a whole raises FileRefusedError; what breaks one batch or one
entry is kept on it as `problem`, so that the rest can still be executed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from tally_bank_simulator.errors import FileRefusedError
from tally_bank_simulator.nacha_fields import (
    BLOCK_LINES,
    CREDIT_CODES,
    DEBIT_CODES,
    HASH_MODULUS,
    PAD_RECORD,
    PRENOTE_CODES,
    RECORD_CHARS,
    REMITTANCE_CODES,
    is_digits,
    is_routing,
    read_yymmdd,
)

FILE_BYTES_MAX = 256 * 1024 * 1024
_HOURS, _MINUTES = 24, 60
_SERVICE_CLASSES = frozenset({"200", "220", "225"})
_ADDENDA_MAX = {"PPD": 1, "CCD": 1, "WEB": 1, "TEL": 0, "CTX": 9999, "IAT": 14}
_ZERO_ALLOWED_IN = frozenset({"CCD", "CTX"})
_IAT_MANDATORY = ("10", "11", "12", "13", "14", "15", "16")
_IAT_OPTIONAL_MAX = {"17": 2, "18": 5}


@dataclass(frozen=True, slots=True)
class Entry:
    """One type 6 record with its addenda; amounts in cents, `problem` is a reason slug."""

    transaction_code: str
    routing: str
    account: str
    amount_cents: int
    individual_id: str
    name: str
    trace: str
    raw: str
    addenda: tuple[str, ...]
    problem: str | None

    @property
    def is_credit(self) -> bool:
        """Whether money goes to the receiver."""
        return self.transaction_code in CREDIT_CODES


@dataclass(frozen=True, slots=True)
class Batch:
    """Records 5 to 8; `effective` None means as soon as possible."""

    number: int
    sec: str
    odfi: str
    effective: date | None
    header: str
    control: str
    entries: tuple[Entry, ...]
    problem: str | None


@dataclass(frozen=True, slots=True)
class PaymentFile:
    """A file whose records, order, counts and totals hold together."""

    identity: str
    destination: str
    origin: str
    header: str
    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True)
class _Figures:
    """What a control record states: lines of type 6 and 7, hash, debits, credits."""

    lines: int
    entry_hash: int
    debit_cents: int
    credit_cents: int


def read_file(data: bytes) -> PaymentFile:
    """Read and check a whole file; FileRefusedError names the first thing that is wrong."""
    records = _split(data)
    identity = _read_identity(records[0])
    try:
        end = _trailer_at(records)
        batches = tuple(_read_batches(records[1:end], first_line=2))
        _check_trailer(records, end, batches)
    except FileRefusedError as refusal:
        raise FileRefusedError(refusal.code, refusal.line, identity) from refusal
    header = records[0]
    return PaymentFile(identity, header[3:13].strip(), header[13:23].strip(), header, batches)


def _split(data: bytes) -> list[str]:
    if not data.strip():
        raise FileRefusedError("empty_file", 0)
    if len(data) > FILE_BYTES_MAX:
        raise FileRefusedError("file_too_large", 0)
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FileRefusedError("not_ascii", line) from error
    text = text.replace("\r\n", "\n").removesuffix("\n")
    if "\n" in text:
        records = text.split("\n")
    else:
        records = [text[at : at + RECORD_CHARS] for at in range(0, len(text), RECORD_CHARS)]
    for line, record in enumerate(records, 1):
        if len(record) != RECORD_CHARS:
            raise FileRefusedError("bad_record_length", line)
        if not record.isprintable():
            raise FileRefusedError("bad_character", line)
    return records


def _read_identity(header: str) -> str:
    """`<origin>-<yymmdd>-<hhmm>-<modifier>`, the time `0000` where the header leaves it blank."""
    origin, created, time, modifier = (
        header[13:23].strip(),
        header[23:29],
        header[29:33],
        header[33],
    )
    time = "0000" if not time.strip() else time
    valid = (
        header[:3] == "101"
        and is_routing(header[3:13].strip())
        and origin.isalnum()
        and read_yymmdd(created) is not None
        and is_digits(time)
        and int(time[:2]) < _HOURS
        and int(time[2:]) < _MINUTES
        and (modifier.isdigit() or ("A" <= modifier <= "Z"))
        and header[34:40] == "094101"
    )
    if not valid:
        raise FileRefusedError("bad_file_header", 1)
    return f"{origin}-{created}-{time}-{modifier}"


def _trailer_at(records: Sequence[str]) -> int:
    end = len(records)
    while end and records[end - 1] == PAD_RECORD:
        end -= 1
    if not end or records[end - 1][0] != "9":
        raise FileRefusedError("bad_record_order", end)
    return end - 1


def _read_batches(records: Sequence[str], first_line: int) -> Iterator[Batch]:
    at = 0
    previous_number = 0
    while at < len(records):
        line = first_line + at
        if records[at][0] != "5":
            raise FileRefusedError("bad_record_order", line)
        close = at + 1
        while close < len(records) and records[close][0] in "67":
            close += 1
        if close == len(records) or records[close][0] != "8":
            raise FileRefusedError("bad_record_order", first_line + close)
        header, control = records[at], records[close]
        if not is_digits(header[87:94]):
            raise FileRefusedError("bad_batch_header", line)
        if not is_digits(control[4:44]):
            raise FileRefusedError("bad_batch_control", first_line + close)
        number = int(header[87:94])
        if number <= previous_number:
            raise FileRefusedError("batch_number_not_ascending", line)
        previous_number = number
        yield _read_batch(number, header, records[at + 1 : close], control, line + 1)
        at = close + 1


def _read_batch(
    number: int, header: str, body: Sequence[str], control: str, first_line: int
) -> Batch:
    sec = header[50:53]
    groups: list[list[str]] = []
    for offset, record in enumerate(body):
        if record[0] == "6":
            groups.append([record])
        elif groups:
            groups[-1].append(record)
        else:
            raise FileRefusedError("bad_record_order", first_line + offset)
    effective = read_yymmdd(header[69:75])
    entries: tuple[Entry, ...] = ()
    problem = _header_problem(header, effective) or _unreadable(groups)
    if problem is None:
        entries = tuple(_read_entry(sec, header[79:87], group) for group in groups)
        problem = _batch_problem(header, entries, control)
    return Batch(number, sec, header[79:87], effective, header, control, entries, problem)


def _header_problem(header: str, effective: date | None) -> str | None:
    if header[1:4] not in _SERVICE_CLASSES:
        return "bad_service_class"
    if header[50:53] not in _ADDENDA_MAX:
        return "bad_sec_code"
    if not header[40:50].strip() or not header[53:63].strip() or not header[4:20].strip():
        # An IAT batch may leave its indicator (4-20) blank; the other two are mandatory for all.
        blank_indicator_only = header[50:53] == "IAT" and header[40:50].strip()
        if not (blank_indicator_only and header[53:63].strip()):
            return "bad_batch_header"
    if effective is None and header[69:75].strip():
        return "bad_effective_date"
    if not is_digits(header[79:87]):
        return "bad_odfi"
    return None


def _unreadable(groups: Sequence[Sequence[str]]) -> str | None:
    """A figure without which neither the totals nor the order can be told."""
    if not groups:
        return "batch_without_entries"
    for entry, *_ in groups:
        if not (is_digits(entry[1:12]) and is_digits(entry[29:39]) and is_digits(entry[79:94])):
            return "bad_field"
    return None


def _read_entry(sec: str, odfi: str, group: Sequence[str]) -> Entry:
    raw, addenda = group[0], tuple(group[1:])
    if sec == "IAT":
        account = raw[39:74]
        name = addenda[0][46:81] if addenda else ""
        individual_id = addenda[5][3:18] if len(addenda) >= len(_IAT_MANDATORY) else ""
    else:
        account, individual_id = raw[12:29], raw[39:54]
        name = raw[58:74] if sec == "CTX" else raw[54:76]
    return Entry(
        transaction_code=raw[1:3],
        routing=raw[3:12],
        account=account.strip(),
        amount_cents=int(raw[29:39]),
        individual_id=individual_id.strip(),
        name=name.strip(),
        trace=raw[79:94],
        raw=raw,
        addenda=addenda,
        problem=_entry_problem(sec, odfi, raw, account, name)
        or _addenda_problem(sec, raw, addenda),
    )


def _entry_problem(sec: str, odfi: str, raw: str, account: str, name: str) -> str | None:
    code, amount = raw[1:3], int(raw[29:39])
    if code not in CREDIT_CODES and code not in DEBIT_CODES:
        return "bad_transaction_code"
    if not is_routing(raw[3:12]):
        return "bad_routing"
    if not account.strip():
        return "account_missing"
    if not name.strip():
        return "name_missing"
    if code in PRENOTE_CODES and amount:
        return "amount_not_zero"
    may_be_zero = code in PRENOTE_CODES or (code in REMITTANCE_CODES and sec in _ZERO_ALLOWED_IN)
    if not amount and not may_be_zero:
        return "amount_zero"
    if raw[79:87] != odfi:
        return "trace_odfi_mismatch"
    return None


def _addenda_problem(sec: str, raw: str, addenda: Sequence[str]) -> str | None:
    if raw[78] != ("1" if addenda else "0") or len(addenda) > _ADDENDA_MAX[sec]:
        return "bad_addenda"
    if any(record[87:94] != raw[87:94] for record in addenda):
        return "bad_addenda"
    kinds = [record[1:3] for record in addenda]
    if sec == "IAT":
        stated = raw[12:16]
        optional = kinds[len(_IAT_MANDATORY) :]
        fits = (
            tuple(kinds[: len(_IAT_MANDATORY)]) == _IAT_MANDATORY
            and all(kind in _IAT_OPTIONAL_MAX for kind in optional)
            and optional == sorted(optional)
            and all(optional.count(kind) <= most for kind, most in _IAT_OPTIONAL_MAX.items())
        )
    else:
        stated = raw[54:58] if sec == "CTX" else f"{len(addenda):04d}"
        fits = all(kind == "05" for kind in kinds) and all(
            record[83:87] == f"{at:04d}" for at, record in enumerate(addenda, 1)
        )
    if not fits or not is_digits(stated) or int(stated) != len(addenda):
        return "bad_addenda"
    return None


def _batch_problem(header: str, entries: Sequence[Entry], control: str) -> str | None:
    if header[1:4] != control[1:4]:
        return "service_class_mismatch"
    if header[40:50] != control[44:54]:
        return "company_mismatch"
    if header[79:94] != control[79:94]:
        return "batch_number_mismatch"
    traces = [entry.trace for entry in entries]
    if any(later <= earlier for earlier, later in pairwise(traces)):
        return "trace_not_ascending"
    codes = {entry.transaction_code for entry in entries}
    if (header[1:4] == "220" and codes & DEBIT_CODES) or (
        header[1:4] == "225" and codes & CREDIT_CODES
    ):
        return "service_class_mismatch"
    counted = _Figures(
        lines=sum(1 + len(entry.addenda) for entry in entries),
        entry_hash=sum(int(entry.routing[:8]) for entry in entries) % HASH_MODULUS,
        debit_cents=sum(e.amount_cents for e in entries if e.transaction_code[1] in "6789"),
        credit_cents=sum(e.amount_cents for e in entries if e.transaction_code[1] not in "6789"),
    )
    return _difference(_batch_figures(control), counted)


def _batch_figures(control: str) -> _Figures:
    return _Figures(
        int(control[4:10]), int(control[10:20]), int(control[20:32]), int(control[32:44])
    )


def _difference(stated: _Figures, counted: _Figures) -> str | None:
    if stated.lines != counted.lines:
        return "entry_addenda_count_mismatch"
    if stated.entry_hash != counted.entry_hash:
        return "entry_hash_mismatch"
    if stated.debit_cents != counted.debit_cents:
        return "debit_total_mismatch"
    if stated.credit_cents != counted.credit_cents:
        return "credit_total_mismatch"
    return None


def _check_trailer(records: Sequence[str], end: int, batches: Sequence[Batch]) -> None:
    trailer, line = records[end], end + 1
    if not is_digits(trailer[1:55]):
        raise FileRefusedError("bad_file_control", line)
    if not batches:
        raise FileRefusedError("file_without_batches", line)
    if int(trailer[1:7]) != len(batches):
        raise FileRefusedError("batch_count_mismatch", line)
    blocks, rest = divmod(len(records), BLOCK_LINES)
    if rest or int(trailer[7:13]) != blocks:
        raise FileRefusedError("block_count_mismatch", line)
    parts = [_batch_figures(batch.control) for batch in batches]
    counted = _Figures(
        lines=sum(part.lines for part in parts),
        entry_hash=sum(part.entry_hash for part in parts) % HASH_MODULUS,
        debit_cents=sum(part.debit_cents for part in parts),
        credit_cents=sum(part.credit_cents for part in parts),
    )
    stated = _Figures(
        int(trailer[13:21]), int(trailer[21:31]), int(trailer[31:43]), int(trailer[43:55])
    )
    reason = _difference(stated, counted)
    if reason is not None:
        raise FileRefusedError(reason, line)
