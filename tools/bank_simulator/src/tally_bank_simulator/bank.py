"""The bank: picks up uploads, keeps the calendar, delivers files. All methods run on one thread.

A file goes /inbound -> claimed -> book (decision and acknowledgement in one transaction) ->
/outbound -> archive. A process killed anywhere on this way goes on from the same place at the next
start: what is in the book is not decided again, what is not yet delivered is delivered.
"""

from datetime import date, timedelta
from pathlib import Path

from tally_bank_simulator.banking_days import system_date, system_now
from tally_bank_simulator.book import Book
from tally_bank_simulator.errors import ClockBackwardsError, UnknownUploadError
from tally_bank_simulator.faults import CrashPoint, Faults
from tally_bank_simulator.folder import Folder, move
from tally_bank_simulator.planning import plan_existing
from tally_bank_simulator.receiving import Upload, receive
from tally_bank_simulator.rules import ActiveRule, Rule
from tally_bank_simulator.settling import run_day

_CLAIM_SEPARATOR = "~"


class Bank:
    """Owns the book and every file outside /inbound."""

    def __init__(self, folder: Folder, book: Book, faults: Faults, seed: int) -> None:
        self._folder = folder
        self._faults = faults
        self._seed = seed
        self.book = book

    def recover(self) -> None:
        """Finish what an earlier process began, then do the days that passed since."""
        for claimed in sorted(self._folder.claimed.iterdir()):
            self._process(claimed)
        self._run_to(self.today())
        self.turn()

    def turn(self) -> int:
        """Follow the clock and take every file that has arrived; gives how many there were."""
        if self.book.setting("clock") != "fixed" and system_date() > self.today():
            self._run_to(system_date())
        arrived = self._folder.arrived()
        for path in arrived:
            claimed = self._folder.claimed / (
                f"{self._next_upload_id():08d}{_CLAIM_SEPARATOR}{path.name}"
            )
            move(path, claimed)
            self._faults.crash_here(CrashPoint.CLAIMED)
            self._process(claimed)
        self._deliver()
        return len(arrived)

    def today(self) -> date:
        """The banking date the bank works on."""
        return self.book.day() or system_date()

    def set_date(self, day: date) -> None:
        """Fix the clock at a date and do every day up to it.

        It goes back only while no file was ever received.
        """
        if day < self.today() and not self.book.is_empty():
            raise ClockBackwardsError(
                f"date {day} is before {self.today()}, which is in the book: POST /reset first"
            )
        with self.book.transaction():
            self.book.keep("clock", "fixed")
            if self.book.is_empty():
                self.book.keep("banking_date", day.isoformat())
        self._run_to(day)
        self._deliver()

    def follow_system(self) -> None:
        """Let the clock follow the machine's date again, once that is not in the past."""
        if system_date() < self.today() and not self.book.is_empty():
            raise ClockBackwardsError(
                f"the real date is before {self.today()}, which is in the book: POST /reset first"
            )
        with self.book.transaction():
            self.book.keep("clock", "system")
            if self.book.is_empty():
                self.book.keep("banking_date", system_date().isoformat())
        self.turn()

    def add_rule(self, rule: Rule) -> tuple[int, int]:
        """Keep a rule; gives its number and how many booked entries it reached."""
        reached = 0
        with self.book.transaction():
            rule_id = self.book.insert("rules", body=rule.model_dump_json(), uses_left=rule.times)
            if rule.existing:
                active = ActiveRule(rule_id, rule, rule.times)
                reached = plan_existing(self.book, active, self._seed)
        if reached:
            self._run_to(self.today())
            self._deliver()
        return rule_id, reached

    def remove_rule(self, rule_id: int) -> None:
        """Forget one rule; what it planned stays planned."""
        with self.book.transaction():
            self.book.remove_rule(rule_id)

    def clear_rules(self) -> None:
        """Forget all posted rules."""
        with self.book.transaction():
            self.book.write("DELETE FROM rules")

    def use_suffixes(self, *, enabled: bool) -> None:
        """Let the last four characters of an account steer the bank, or not."""
        with self.book.transaction():
            self.book.keep("account_suffixes", "on" if enabled else "off")

    def redeliver(self, upload_id: int) -> str:
        """Put the acknowledgement of an upload into /outbound (again); gives its name."""
        with self.book.transaction():
            touched = self.book.write(
                "UPDATE outfiles SET state = 'waiting' WHERE kind = 'ack' AND upload_id = ?",
                upload_id,
            )
        if not touched:
            raise UnknownUploadError(f"upload_id {upload_id} is unknown: GET /files lists them")
        self._deliver()
        found = self.book.row("SELECT ack_name FROM uploads WHERE upload_id = ?", upload_id)
        assert found is not None
        return str(found["ack_name"])

    def reset(self) -> None:
        """Forget everything: book, rules, files, date."""
        with self.book.transaction():
            self.book.empty()
        self._folder.empty()
        self.turn()

    def _next_upload_id(self) -> int:
        booked = self.book.number("SELECT coalesce(max(upload_id), 0) FROM uploads")
        claimed = (_upload_id(path) for path in self._folder.claimed.iterdir())
        return max(booked, *claimed, 0) + 1

    def _process(self, claimed: Path) -> None:
        upload_id = _upload_id(claimed)
        if self.book.row("SELECT 1 FROM uploads WHERE upload_id = ?", upload_id) is None:
            name = claimed.name.split(_CLAIM_SEPARATOR, 1)[1]
            upload = Upload(upload_id, name, claimed.read_bytes(), self.today(), system_now())
            with self.book.transaction():
                receive(self.book, upload, self._seed)
                self._faults.crash_here(CrashPoint.DECIDING)
            self._faults.crash_here(CrashPoint.DECIDED)
        self._deliver()
        move(claimed, self._folder.archive / claimed.name)
        self._run_to(self.today())
        self._deliver()

    def _run_to(self, last: date) -> None:
        day = self.today()
        while day <= last:
            with self.book.transaction():
                run_day(self.book, day, system_now())
                self._faults.crash_here(CrashPoint.DAY_RUNNING)
            self._faults.crash_here(CrashPoint.DAY_CLOSED)
            day += timedelta(days=1)

    def _deliver(self) -> None:
        for waiting in self.book.waiting():
            self._folder.put(waiting.name, waiting.content)
            self._faults.crash_here(
                CrashPoint.ACK_WRITTEN if waiting.kind == "ack" else CrashPoint.RETURN_WRITTEN
            )
            with self.book.transaction():
                self.book.write(
                    "UPDATE outfiles SET state = 'delivered' WHERE outfile_id = ?",
                    waiting.outfile_id,
                )


def _upload_id(claimed: Path) -> int:
    return int(claimed.name.split(_CLAIM_SEPARATOR, 1)[0])
