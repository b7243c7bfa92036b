"""A real simulator process, a real SFTP client, and a NACHA builder of the tests' own."""

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import asyncssh
import httpx
import pytest

USER, PASSWORD_VARIABLE, PASSWORD = "originator", "BANK_PASSWORD", "a password of the tests"
MONDAY = "2026-11-23"
ODFI = "12104288"


@dataclass(frozen=True)
class Pay:
    """One payment of a test file; `seq` is the running part of its trace."""

    account: str = "55550100"
    cents: int = 1250
    seq: int = 1
    code: str = "22"
    routing: str = "231380104"
    individual_id: str = "ID"
    name: str = "Receiver"
    addenda: tuple[str, ...] = ()
    trace_odfi: str = ODFI

    @property
    def trace(self) -> str:
        return f"{self.trace_odfi}{self.seq:07d}"

    def lines(self) -> list[str]:
        flag = "1" if self.addenda else "0"
        entry = (
            f"6{self.code}{self.routing}{self.account:17}{self.cents:010d}"
            f"{self.individual_id:15}{self.name:22}  {flag}{self.trace}"
        )
        texts = [f"705{text:80}{at:04d}{self.seq:07d}" for at, text in enumerate(self.addenda, 1)]
        return [entry, *texts]


@dataclass(frozen=True)
class Batch:
    """A batch whose control is right unless `control` overrides one of its fields."""

    pays: tuple[Pay, ...]
    number: int = 1
    service: str = "220"
    sec: str = "PPD"
    effective: str = "261124"
    odfi: str = ODFI
    control: dict[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        debit = sum(pay.cents for pay in self.pays if pay.code[1] in "6789")
        credit = sum(pay.cents for pay in self.pays) - debit
        parts = {
            "service": self.service,
            "count": f"{sum(1 + len(pay.addenda) for pay in self.pays):06d}",
            "hash": f"{sum(int(pay.routing[:8]) for pay in self.pays) % 10**10:010d}",
            "debit": f"{debit:012d}",
            "credit": f"{credit:012d}",
            "company": "1234567890",
            "blank": " " * 25,
            "odfi": self.odfi,
            "number": f"{self.number:07d}",
        } | self.control
        header = (
            f"5{self.service}{'Payer':16}{'':20}1234567890{self.sec}{'PAYOUT':10}{'':6}"
            f"{self.effective}   1{self.odfi}{self.number:07d}"
        )
        body = [line for pay in self.pays for line in pay.lines()]
        return [header, *body, "8" + "".join(parts.values())]


class Nacha:
    """Builds files; every one gets an identity of its own unless `modifier`, `time` are given."""

    Pay, Batch = Pay, Batch

    def __init__(self) -> None:
        self._minutes = itertools.count()

    def file(
        self,
        *batches: Batch,
        time: str | None = None,
        modifier: str = "A",
        control: dict[str, str] | None = None,
        newline: str = "\n",
        destination: str = "231380104",
    ) -> bytes:
        minute = next(self._minutes)
        time = time or f"{minute // 60 % 24:02d}{minute % 60:02d}"
        body = [line for batch in batches for line in batch.lines()]
        closes = [line for line in body if line[0] == "8"]
        blocks = -(-(len(body) + 2) // 10)
        parts = {
            "batches": f"{len(batches):06d}",
            "blocks": f"{blocks:06d}",
            "count": f"{sum(int(line[4:10]) for line in closes):08d}",
            "hash": f"{sum(int(line[10:20]) for line in closes) % 10**10:010d}",
            "debit": f"{sum(int(line[20:32]) for line in closes):012d}",
            "credit": f"{sum(int(line[32:44]) for line in closes):012d}",
        } | (control or {})
        header = (
            f"101 {destination} 121042882261123{time}{modifier}094101"
            f"{'Bank':23}{'Originator':23}{'':8}"
        )
        trailer = "9" + "".join(parts.values()) + " " * 39
        lines = [header, *body, trailer]
        lines += ["9" * 94] * (blocks * 10 - len(lines))
        return "".join(line + newline for line in lines).encode()

    def pays(self, *pays: Pay, **batch: str) -> bytes:
        """A file of one batch; the pays get traces 1, 2, 3 ... in order."""
        numbered = tuple(replace(pay, seq=at) for at, pay in enumerate(pays, 1))
        return self.file(Batch(numbered, **batch))  # type: ignore[arg-type]


class BankProcess:
    """The simulator as a subprocess on one folder; it can be killed and started again."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self._options = options
        self._process: subprocess.Popen[str] | None = None
        self.ready: dict[str, str | int] = {}

    def start(self) -> None:
        command = [sys.executable, "-m", "tally_bank_simulator.main", "--folder", str(self.folder)]
        command += ["--user", USER, "--password-env", PASSWORD_VARIABLE, *self._options]
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, PASSWORD_VARIABLE: PASSWORD},
            )
        assert self._process.stdout is not None
        self.ready = json.loads(self._process.stdout.readline())

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def stop(self) -> int:
        os.kill(self.pid, signal.SIGTERM)
        return self.wait()

    def wait(self, seconds: int = 15) -> int:
        assert self._process is not None
        code = self._process.wait(seconds)
        assert self._process.stdout is not None
        assert self._process.stdout.read() == "", "stdout carries the ready line and nothing else"
        self._process.stdout.close()
        self._process = None
        return code

    def end(self) -> None:
        if self._process is not None:
            self.kill()

    # The admin API.

    def call(self, method: str, path: str, body: object = None) -> httpx.Response:
        url = f"http://127.0.0.1:{self.ready['admin_port']}{path}"
        # verify=False: plain http, and no second spent on loading certificates for each call.
        return httpx.request(method, url, json=body, timeout=20, verify=False)

    def get(self, path: str) -> dict[str, object]:
        answer = self.call("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, **body: object) -> dict[str, object]:
        answer = self.call("POST", path, body)
        assert answer.is_success, answer.text
        return answer.json()

    def book(self) -> dict[str, dict]:
        """Entries by trace; a trace that was executed twice fails the test."""
        shown = self.get("/book")
        assert shown["repeated_traces"] == []
        return {entry["trace"]: entry for entry in shown["entries"]}

    def states(self) -> dict[str, str]:
        return {trace: entry["state"] for trace, entry in self.book().items()}

    # The SFTP side.

    @asynccontextmanager
    async def sftp(self, **options: object) -> AsyncIterator[asyncssh.SFTPClient]:
        login = {"username": USER, "password": PASSWORD, "client_keys": None} | options
        connection = await asyncssh.connect(
            "127.0.0.1",
            int(self.ready["sftp_port"]),
            known_hosts=asyncssh.import_known_hosts(f"* {self.ready['host_key']}\n"),
            config=None,
            agent_path=None,
            **login,
        )
        try:
            yield await connection.start_sftp_client()
        finally:
            # Not close(): against a hanging bank a polite goodbye would hang as well.
            connection.abort()
            await connection.wait_closed()

    async def upload(self, name: str, content: bytes) -> None:
        async with self.sftp() as client:
            await upload(client, name, content)

    async def outbound(self) -> dict[str, bytes]:
        async with self.sftp() as client:
            names = [name for name in await client.listdir("/outbound") if name[0] != "."]
            return {name: await read(client, f"/outbound/{name}") for name in names}

    async def fetch(self, name: str) -> str:
        """The text of a file in /outbound, once it is there."""
        async with self.sftp() as client:
            return await fetch(client, name)

    async def pay(self, name: str, content: bytes) -> list[str]:
        """Upload and wait for the acknowledgement, given as lines."""
        async with self.sftp() as client:
            await upload(client, name, content)
            text = await fetch(client, f"{name}.ack")
        assert text.endswith("\n")
        lines = text.splitlines()
        assert lines[-1] == f"END|{len(lines)}"
        return lines[:-1]

    async def returns(self) -> list["ReturnFile"]:
        found = await self.outbound()
        return [ReturnFile(name, found[name]) for name in sorted(found) if name.startswith("RET-")]


async def upload(client: asyncssh.SFTPClient, name: str, content: bytes) -> None:
    async with client.open(f"/inbound/{name}.part", "wb") as stream:
        await stream.write(content)
    await client.rename(f"/inbound/{name}.part", f"/inbound/{name}")


async def fetch(client: asyncssh.SFTPClient, name: str) -> str:
    async with asyncio.timeout(20):
        while not await client.exists(f"/outbound/{name}"):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
        return (await read(client, f"/outbound/{name}")).decode()


async def read(client: asyncssh.SFTPClient, path: str) -> bytes:
    async with client.open(path, "rb") as stream:
        return await stream.read()


@dataclass(frozen=True)
class Returned:
    """One entry of a return file, fields by the positions of the specification."""

    batch: str
    entry: str
    addenda: tuple[str, ...]

    code = property(lambda self: self.addenda[-1][3:6])
    kind = property(lambda self: self.addenda[-1][1:3])
    original_trace = property(lambda self: self.addenda[-1][6:21])
    original_rdfi = property(lambda self: self.addenda[-1][27:35])
    corrected = property(lambda self: self.addenda[-1][35:64].rstrip())
    cents = property(lambda self: int(self.entry[29:39]))
    trace = property(lambda self: self.entry[79:94])
    sec = property(lambda self: self.batch[50:53])


class ReturnFile:
    """Parses a return file and checks every count, hash and total in it."""

    def __init__(self, name: str, content: bytes) -> None:
        self.name = name
        lines = content.decode("ascii").split("\n")
        assert lines.pop() == ""
        assert all(len(line) == 94 for line in lines)
        assert len(lines) % 10 == 0
        records = list(itertools.takewhile(lambda line: line != "9" * 94, lines))
        self.header, self.trailer = records[0], records[-1]
        assert self.header[:3] == "101"
        self.items: list[Returned] = []
        closes = self._batches(records[1:-1])
        assert [int(line[87:94]) for line in closes] == list(range(1, len(closes) + 1))
        sums = [
            sum(int(c[a:b]) for c in closes) for a, b in ((4, 10), (10, 20), (20, 32), (32, 44))
        ]
        stated = [int(self.trailer[a:b]) for a, b in ((13, 21), (21, 31), (31, 43), (43, 55))]
        assert stated == [sums[0], sums[1] % 10**10, *sums[2:]]
        assert int(self.trailer[1:7]) == len(closes)
        assert int(self.trailer[7:13]) == len(lines) // 10

    def _batches(self, records: Sequence[str]) -> list[str]:
        closes, opened, body = [], "", []
        for line in records:
            if line[0] == "5":
                opened, body = line, []
            elif line[0] == "8":
                closes.append(line)
                self._check_batch(opened, body, line)
            elif line[0] == "6":
                body.append([line])
            else:
                assert line[0] == "7"
                body[-1].append(line)
        return closes

    def _check_batch(self, opened: str, body: Sequence[Sequence[str]], close: str) -> None:
        items = [Returned(opened, entry, tuple(addenda)) for entry, *addenda in body]
        assert int(close[4:10]) == sum(1 + len(item.addenda) for item in items)
        assert int(close[10:20]) == sum(int(i.entry[3:11]) for i in items) % 10**10
        assert int(close[20:32]) == sum(i.cents for i in items if i.entry[2] == "6")
        assert int(close[32:44]) == sum(i.cents for i in items if i.entry[2] == "1")
        assert close[1:4] == opened[1:4]
        assert close[79:94] == opened[79:94]
        assert close[44:54] == opened[40:50]
        traces = [item.trace for item in items]
        assert traces == sorted(traces)
        for item in items:
            assert item.entry[78] == "1"
            assert item.trace[:8] == opened[79:87] == item.original_rdfi
            assert item.addenda[-1][79:94] == item.trace
        self.items += items


@pytest.fixture
def nacha() -> Nacha:
    return Nacha()


@pytest.fixture(scope="session")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BankProcess]:
    process = BankProcess(tmp_path_factory.mktemp("bank") / "shared")
    process.start()
    yield process
    assert process.stop() == 0


@pytest.fixture
def bank(_shared: BankProcess) -> BankProcess:
    """A running bank with an empty book, on Monday 2026-11-23."""
    _shared.post("/reset", confirm="reset")
    _shared.post("/clock", date=MONDAY)
    return _shared


@pytest.fixture
def new_bank(tmp_path: Path) -> Iterator[Callable[..., BankProcess]]:
    """Starts banks of the test's own, to be killed and restarted; ends what is left."""
    started: list[BankProcess] = []

    def start(*options: str, name: str = "own") -> BankProcess:
        process = BankProcess(tmp_path / name, *options)
        started.append(process)
        process.start()
        process.post("/clock", date=MONDAY)
        return process

    yield start
    for process in started:
        process.end()
