"""The simulator's folder on disk: who may hold it, and files that appear whole or not at all."""

import fcntl
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from tally_bank_simulator.errors import FolderInUseError

TEMPORARY_SUFFIX = ".part"


@dataclass(frozen=True, slots=True)
class Folder:
    """Where everything lies; only `sftp` is seen by the originator.

    `claimed` holds uploads being decided, `archive` those done with, `drafts` files on their way
    to `outbound`.
    """

    root: Path

    @property
    def sftp(self) -> Path:
        return self.root / "sftp"

    @property
    def inbound(self) -> Path:
        return self.sftp / "inbound"

    @property
    def outbound(self) -> Path:
        return self.sftp / "outbound"

    @property
    def claimed(self) -> Path:
        return self.root / "claimed"

    @property
    def archive(self) -> Path:
        return self.root / "archive"

    @property
    def drafts(self) -> Path:
        return self.root / "drafts"

    @property
    def book(self) -> Path:
        return self.root / "book.sqlite3"

    @property
    def host_key(self) -> Path:
        return self.root / "host_key"

    def create(self) -> None:
        """Make the folders that are missing."""
        for part in (self.inbound, self.outbound, self.claimed, self.archive, self.drafts):
            part.mkdir(parents=True, exist_ok=True)

    def lock(self) -> int:
        """Hold the folder while the process lives; FolderInUseError if another one does."""
        held = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(held)
            raise FolderInUseError(
                f"--folder {self.root} is held by another simulator: stop it or name another folder"
            ) from error
        return held

    def arrived(self) -> list[Path]:
        """The renamed uploads in /inbound, oldest first."""
        found = [
            (entry.stat().st_mtime_ns, entry.name)
            for entry in os.scandir(self.inbound)
            if entry.is_file() and not entry.name.endswith(TEMPORARY_SUFFIX)
        ]
        return [self.inbound / name for _, name in sorted(found)]

    def put(self, name: str, content: bytes) -> None:
        """Put a file into /outbound: written and synced elsewhere, then renamed."""
        draft = self.drafts / name
        with draft.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        move(draft, self.outbound / name)

    def empty(self) -> None:
        """Remove every file of originator and bank; the host key stays."""
        for part in (self.inbound, self.outbound, self.claimed, self.archive, self.drafts):
            shutil.rmtree(part)
        self.create()


def sync(path: Path) -> None:
    """Force a file or a directory to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def move(source: Path, target: Path) -> None:
    """Rename and make the rename durable."""
    source.replace(target)
    sync(target.parent)
    if source.parent != target.parent:
        sync(source.parent)
