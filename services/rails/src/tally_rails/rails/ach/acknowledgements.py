"""The bank's acknowledgement of an uploaded file: lines of fields parted by `|`.

    ACK|1|<file identity>|<accepted or rejected>|<reason>
    BATCH|<batch number>|<accepted or rejected>|<reason>
    ENTRY|<trace>|rejected|<reason>
    END|<number of lines, this one included>

The identity is `<origin>-<YYMMDD>-<HHMM>-<modifier>`, or `-` where the bank could not read it. An
entry that is not named shares the outcome of its batch. Without END the file is cut off.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

_ACCEPTED: Final = "accepted"
_REJECTED: Final = "rejected"
_match_reason: Final = re.compile(r"[a-z][a-z0-9_]{0,63}").fullmatch
_match_trace: Final = re.compile(r"[0-9]{15}").fullmatch
_match_number: Final = re.compile(r"[1-9][0-9]{0,6}").fullmatch
DUPLICATE: Final = "duplicate_file"
"""Not a failure: the bank has had a file of this identity, and told about it then."""


class AcknowledgementError(ValueError):
    """An acknowledgement that breaks the format: nothing of it is applied."""

    code: ClassVar[str] = "acknowledgement_unreadable"
    retryable: ClassVar[bool] = False

    def __init__(self, line: int, rule: str) -> None:
        super().__init__(f"acknowledgement line {line}: {rule}; ask the bank for it again")


@dataclass(frozen=True, slots=True)
class FileAck:
    """`reason` is None where the bank accepted. Batches by number, entries by trace: the refused."""

    identity: str | None
    reason: str | None
    batches: Mapping[int, str] = field(default_factory=dict)
    entries: Mapping[str, str] = field(default_factory=dict)

    def refusal_of(self, batch: int, trace: str) -> str | None:
        """Why an entry was refused; None when it was accepted."""
        return self.reason or self.batches.get(batch) or self.entries.get(trace)


def parse_acknowledgement(data: bytes) -> FileAck:
    """Read an acknowledgement; raises AcknowledgementError, whatever the bytes are."""
    lines = [line.removesuffix("\r").split("|") for line in data.decode("latin-1").split("\n")]
    if lines[-1] == [""]:
        lines.pop()
    if len(lines) < 2 or lines[-1] != ["END", str(len(lines))]:  # noqa: PLR2004 - ACK and END
        raise AcknowledgementError(len(lines), f"END|{len(lines)} expected: the file is cut off")
    match lines[0]:
        case ["ACK", "1", identity, outcome, reason]:
            refused = _reason(1, outcome, reason)
        case _:
            raise AcknowledgementError(1, "ACK|1|identity|outcome|reason expected")
    batches, entries = _items(lines[1:-1])
    return FileAck(None if identity == "-" else identity, refused, batches, entries)


def _items(lines: Sequence[Sequence[str]]) -> tuple[dict[int, str], dict[str, str]]:
    batches: dict[int, str] = {}
    entries: dict[str, str] = {}
    for number, line in enumerate(lines, start=2):
        match line:
            case ["BATCH", batch, outcome, reason] if _match_number(batch):
                refused = _reason(number, outcome, reason)
                if refused is not None:
                    batches[int(batch)] = refused
            case ["ENTRY", trace, outcome, reason] if _match_trace(trace):
                refused = _reason(number, outcome, reason)
                if refused is None or trace in entries:
                    raise AcknowledgementError(number, "an entry is named once, when refused")
                entries[trace] = refused
            case _:
                raise AcknowledgementError(number, "a BATCH or ENTRY line expected")
    return batches, entries


def _reason(number: int, outcome: str, reason: str) -> str | None:
    if outcome == _ACCEPTED and not reason:
        return None
    if outcome == _REJECTED and _match_reason(reason):
        return reason
    raise AcknowledgementError(
        number, f"accepted without or rejected with a reason expected: {outcome!a}, {reason!a}"
    )
