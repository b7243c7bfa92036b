"""Builds the return files the bank leaves for the originator: addenda 99 (return) and 98 (NOC).

An item keeps the records of the original payment and changes what a return changes: transaction
code, receiver (now the originator's bank), trace, addenda. Amounts are integer cents.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby

from tally_bank_simulator.nacha_fields import (
    BLOCK_LINES,
    CREDIT_CODES,
    HASH_MODULUS,
    PAD_RECORD,
    RECORD_CHARS,
    check_digit,
    write_yymmdd,
)

_IAT_MANDATORY_ADDENDA = 7
_MODIFIERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


@dataclass(frozen=True, slots=True)
class ReturnItem:
    """One return or notice of change.

    `batch_header`, `entry` and `addenda` are the original records; `trace` is the item's own,
    `original_trace` what its addenda names; `corrected` is set for a notice of change only.
    """

    batch_header: str
    entry: str
    addenda: tuple[str, ...]
    code: str
    amount_cents: int
    trace: str
    original_trace: str
    corrected: str | None

    @property
    def is_notice(self) -> bool:
        """Whether this is a notice of change, which moves no money."""
        return self.corrected is not None


@dataclass(frozen=True, slots=True)
class FileHeading:
    """Who writes to whom, when, and the how-manieth file of the day (from 1)."""

    file_header: str
    on: date
    at: datetime
    nth: int


def build_return_file(heading: FileHeading, items: Sequence[ReturnItem]) -> bytes:
    """A complete NACHA file, padded to blocks of ten, one batch per returning bank and company."""
    ordered = sorted(items, key=_batch_key)
    lines = [_file_header(heading)]
    controls: list[str] = []
    for number, (_, group) in enumerate(groupby(ordered, key=_batch_key), 1):
        batch, control = _batch(number, sorted(group, key=lambda item: item.trace), heading.on)
        lines += batch
        controls.append(control)
    blocks = -(-(len(lines) + 1) // BLOCK_LINES)
    lines.append(_file_control(controls, blocks))
    lines += [PAD_RECORD] * (blocks * BLOCK_LINES - len(lines))
    assert all(len(line) == RECORD_CHARS for line in lines)
    return ("\n".join(lines) + "\n").encode("ascii")


def _batch_key(item: ReturnItem) -> tuple[str, str, bool]:
    header = item.batch_header
    return item.entry[3:11], header[4:69] + header[79:87], item.is_notice


def _file_header(heading: FileHeading) -> str:
    """The originator's header turned round: its destination writes to its origin."""
    original = heading.file_header
    created = write_yymmdd(heading.on) + heading.at.strftime("%H%M")
    modifier = _MODIFIERS[(heading.nth - 1) % len(_MODIFIERS)]
    parties = original[13:23] + original[3:13]
    names = original[63:86] + original[40:63]
    return f"101{parties}{created}{modifier}094101{names}{'':8}"


def _batch(number: int, items: Sequence[ReturnItem], on: date) -> tuple[list[str], str]:
    header = items[0].batch_header
    returning_bank = items[0].entry[3:11]
    sec = "COR" if items[0].is_notice else header[50:53]
    kinds = {item.entry[1:3] in CREDIT_CODES for item in items}
    service_class = "200" if len(kinds) > 1 else ("220" if True in kinds else "225")
    sequence = f"{number:07d}"
    heading = (
        f"5{service_class}{header[4:50]}{sec}{header[53:69]}{write_yymmdd(on)}"
        f"{on.timetuple().tm_yday:03d}1{returning_bank}{sequence}"
    )
    lines = [heading]
    for item in items:
        lines += _item(item)
    originator_bank = header[79:87]
    entry_hash = int(originator_bank) * len(items) % HASH_MODULUS
    credit = sum(item.amount_cents for item in items if item.entry[1:3] in CREDIT_CODES)
    debit = sum(item.amount_cents for item in items) - credit
    control = (
        f"8{service_class}{len(lines) - 1:06d}{entry_hash:010d}{debit:012d}{credit:012d}"
        f"{header[40:50]}{'':25}{returning_bank}{sequence}"
    )
    return [*lines, control], control


def _item(item: ReturnItem) -> list[str]:
    original = item.entry
    sec = item.batch_header[50:53]
    code = original[1] + ("1" if original[1:3] in CREDIT_CODES else "6")
    receiver = item.batch_header[79:87]
    account, rest = original[12:29], original[39:78]
    carried: list[str] = []
    info = f"{'':44}"
    if sec == "IAT":
        carried = [record[:87] + item.trace[8:] for record in item.addenda[:_IAT_MANDATORY_ADDENDA]]
        account = f"{len(carried) + 1:04d}" + account[4:]
        info = f"{original[29:39]}{'':34}"
    elif sec == "CTX":
        rest = f"{rest[:15]}0001{rest[19:]}"
    entry = (
        f"6{code}{receiver}{check_digit(receiver)}{account}{item.amount_cents:010d}{rest}"
        f"1{item.trace}"
    )
    start = f"7{'98' if item.is_notice else '99'}{item.code}{item.original_trace}{'':6}"
    if item.corrected is not None:
        info = f"{item.corrected[:29]:29}{'':15}"
    return [entry, *carried, f"{start}{original[3:11]}{info}{item.trace}"]


def _file_control(controls: Sequence[str], blocks: int) -> str:
    lines = sum(int(control[4:10]) for control in controls)
    entry_hash = sum(int(control[10:20]) for control in controls) % HASH_MODULUS
    debit = sum(int(control[20:32]) for control in controls)
    credit = sum(int(control[32:44]) for control in controls)
    return (
        f"9{len(controls):06d}{blocks:06d}{lines:08d}{entry_hash:010d}{debit:012d}{credit:012d}"
        f"{'':39}"
    )
