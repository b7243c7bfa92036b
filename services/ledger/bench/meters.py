# ruff: noqa: INP001 - a part of a script
"""Time, CPU of both sides, WAL; and what the figures were taken on."""

import gc
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

from tally_testkit.interpreter import interpreter

Admin = psycopg.Connection[tuple[Any, ...]]
_SHOWN = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_compression",
    "shared_buffers",
    "max_wal_size",
)


@dataclass(frozen=True)
class Spent:
    """What a stretch of work took."""

    seconds: float
    client_cpu_s: float
    server_cpu_s: float
    wal_bytes: int


class Meter:
    """From its making to `read`. Server CPU is of all Postgres processes; WAL has full page images."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin
        pid = int(one(admin, "SELECT pg_backend_pid()"))
        self._postmaster = psutil.Process(psutil.Process(pid).ppid())
        # The prepared input is no part of what a service holds.
        gc.collect()
        gc.freeze()
        self._wal, self._server = self._wal_position(), self._server_cpu()
        self._client, self._start = time.process_time(), time.perf_counter()

    def read(self) -> Spent:
        seconds = time.perf_counter() - self._start
        client = time.process_time() - self._client
        spent = Spent(
            seconds, client, self._server_cpu() - self._server, self._wal_position() - self._wal
        )
        gc.unfreeze()
        return spent

    def _wal_position(self) -> int:
        return int(one(self._admin, "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint"))

    def _server_cpu(self) -> float:
        """Seconds of the postmaster and its children, ended ones too (proc(5), fields 14 to 17)."""
        total = 0
        for process in (self._postmaster, *self._postmaster.children()):
            try:
                text = Path(f"/proc/{process.pid}/stat").read_text()
            except FileNotFoundError:
                continue
            fields = text.rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
            if process == self._postmaster:
                total += int(fields[13]) + int(fields[14])
        return total / os.sysconf("SC_CLK_TCK")


def one(admin: Admin, query: str) -> Any:
    """The one value of a query."""
    row = admin.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def machine(admin: Admin) -> dict[str, Any]:
    """What the figures were taken on, and with what settings."""
    return {
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "load_before": os.getloadavg()[0],
        **interpreter(),
        **{name: one(admin, f"SHOW {name}") for name in _SHOWN},
    }
