"""Decides an uploaded file: refuse it, or execute its entries, and say so in an acknowledgement."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256

from tally_bank_simulator.banking_days import banking_day_from
from tally_bank_simulator.book import Book
from tally_bank_simulator.errors import FileRefusedError
from tally_bank_simulator.nacha_read import Batch, Entry, PaymentFile, read_file
from tally_bank_simulator.planning import plan_rows
from tally_bank_simulator.rules import AFTERWARDS, Behaviour, RuleSet, rule_of_account

ACCEPTED, REJECTED = "accepted", "rejected"


@dataclass(frozen=True, slots=True)
class Upload:
    """A claimed file: its number, its name in /inbound and when it came."""

    upload_id: int
    name: str
    data: bytes
    on: date
    at: datetime


def receive(book: Book, upload: Upload, seed: int) -> None:
    """Book the upload and its acknowledgement; runs inside a transaction of `book`."""
    try:
        content = read_file(upload.data)
    except FileRefusedError as refusal:
        _refuse(book, upload, refusal.identity, refusal.code, refusal.line)
        return
    if _is_known(book, content.identity):
        _refuse(book, upload, content.identity, "duplicate_file")
        return
    _Decision(book, upload, content, seed).run()


def _is_known(book: Book, identity: str) -> bool:
    found = book.row("SELECT 1 FROM uploads WHERE identity = ? AND first = 1", identity)
    return found is not None


def _refuse(
    book: Book, upload: Upload, identity: str | None, reason: str, line: int | None = None
) -> None:
    # A second file under a known identity is a duplicate whatever else is wrong with it.
    first = identity is not None and not _is_known(book, identity)
    if identity is not None and not first:
        reason = "duplicate_file"
    acknowledgement = [f"ACK|1|{identity or '-'}|{REJECTED}|{reason}"]
    ack_name = _keep_upload(book, upload, identity, first=first, reason=reason, line=line)
    _keep_ack(book, upload, ack_name, acknowledgement, lost=False)


def _keep_upload(
    book: Book,
    upload: Upload,
    identity: str | None,
    *,
    first: bool,
    reason: str = "",
    line: int | None = None,
    header: str = "",
) -> str:
    ack_name, nth = f"{upload.name}.ack", 1
    while book.row("SELECT 1 FROM uploads WHERE ack_name = ?", ack_name):
        nth += 1
        ack_name = f"{upload.name}.{nth}.ack"
    book.insert(
        "uploads",
        upload_id=upload.upload_id,
        name=upload.name,
        sha256=sha256(upload.data).hexdigest(),
        bytes=len(upload.data),
        identity=identity,
        first=int(first),
        header=header,
        received_at=upload.at.isoformat(),
        received_on=upload.on.isoformat(),
        outcome=REJECTED if reason else ACCEPTED,
        reason=reason,
        line=line,
        ack_name=ack_name,
    )
    return ack_name


def _keep_ack(
    book: Book, upload: Upload, ack_name: str, lines: Sequence[str], *, lost: bool
) -> None:
    text = "".join(f"{line}\n" for line in (*lines, f"END|{len(lines) + 1}"))
    book.insert(
        "outfiles",
        name=ack_name,
        kind="ack",
        upload_id=upload.upload_id,
        created_on=upload.on.isoformat(),
        content=text.encode("ascii"),
        state="withheld" if lost else "waiting",
    )


class _Decision:
    """One readable, new file on its way into the book."""

    def __init__(self, book: Book, upload: Upload, content: PaymentFile, seed: int) -> None:
        self._book = book
        self._upload = upload
        self._content = content
        self._active = book.rules()
        self._rules = RuleSet(seed, self._active)
        self._by_suffix = book.setting("account_suffixes") != "off"
        self._seen: set[str] = set()
        self._next_entry = book.number("SELECT coalesce(max(entry_id), 0) + 1 FROM entries")
        self._entry_rows: list[dict[str, object]] = []
        self._plan_rows: list[dict[str, object]] = []

    def run(self) -> None:
        """Decide file, batches and entries, in this order."""
        identity = self._content.identity
        subjects = [entry for batch in self._content.batches for entry in batch.entries]
        refused = self._rules.use_first({Behaviour.REFUSE_FILE}, subjects, identity)
        if refused is not None:
            _refuse(self._book, self._upload, identity, refused.rule.reason)
        else:
            self._accept(identity, subjects)
        self._book.keep_uses(self._active)

    def _accept(self, identity: str, subjects: Sequence[Entry]) -> None:
        ack_name = _keep_upload(
            self._book, self._upload, identity, first=True, header=self._content.header
        )
        lines = [f"ACK|1|{identity}|{ACCEPTED}|"]
        for batch in self._content.batches:
            lines += self._decide_batch(batch)
        self._book.insert_many("entries", self._entry_rows)
        self._book.insert_many("plans", self._plan_rows)
        lost = self._rules.use_first({Behaviour.LOSE_ACK}, subjects, identity)
        _keep_ack(self._book, self._upload, ack_name, lines, lost=lost is not None)

    def _decide_batch(self, batch: Batch) -> list[str]:
        key = f"{self._content.identity}|{batch.number}"
        reason = batch.problem
        if reason is None:
            refused = self._rules.use_first({Behaviour.REFUSE_BATCH}, batch.entries, key)
            reason = None if refused is None else refused.rule.reason
        outcome = ACCEPTED if reason is None else REJECTED
        batch_id = self._book.insert(
            "batches",
            upload_id=self._upload.upload_id,
            number=batch.number,
            header=batch.header,
            outcome=outcome,
            reason=reason or "",
        )
        lines = [f"BATCH|{batch.number}|{outcome}|{reason or ''}"]
        if reason is None:
            settles_on = banking_day_from(max(batch.effective or self._upload.on, self._upload.on))
            for entry in batch.entries:
                lines += self._decide_entry(batch_id, batch.sec, settles_on, entry)
        return lines

    def _decide_entry(self, batch_id: int, sec: str, settles_on: date, entry: Entry) -> list[str]:
        by_account = None
        if self._by_suffix:
            by_account = rule_of_account(entry.account, is_credit=entry.is_credit)
        reason = entry.problem
        if reason is None and entry.trace in self._seen:
            reason = "duplicate_trace"
        self._seen.add(entry.trace)
        if reason is None:
            refused = self._rules.use_first({Behaviour.REFUSE_ENTRY}, [entry], entry.trace)
            rule = by_account if refused is None else refused.rule
            if rule is not None and rule.behaviour is Behaviour.REFUSE_ENTRY:
                reason = rule.reason
        entry_id = self._next_entry
        self._next_entry += 1
        on = self._upload.on.isoformat()
        self._entry_rows.append(
            {
                "entry_id": entry_id,
                "batch_id": batch_id,
                "trace": entry.trace,
                "routing": entry.routing,
                "account": entry.account,
                "amount_cents": entry.amount_cents,
                "individual_id": entry.individual_id,
                "name": entry.name,
                "direction": "credit" if entry.is_credit else "debit",
                "transaction_code": entry.transaction_code,
                "sec": sec,
                "settles_on": settles_on.isoformat(),
                "raw": entry.raw,
                "addenda": "\n".join(entry.addenda),
                "state": ACCEPTED if reason is None else REJECTED,
                "reason": reason or "",
                "received_on": on,
                "changed_on": on,
            }
        )
        if reason is not None:
            return [f"ENTRY|{entry.trace}|{REJECTED}|{reason}"]
        active = self._rules.use_first(AFTERWARDS, [entry], entry.trace)
        rule = by_account if active is None else active.rule
        if rule is not None and rule.behaviour is not Behaviour.REFUSE_ENTRY:
            self._plan_rows += plan_rows(
                entry_id, rule, sec=sec, received_on=self._upload.on, settles_on=settles_on
            )
        return []
