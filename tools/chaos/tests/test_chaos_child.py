"""A child comes back whenever it ends, until it is ended; its own exits are told from ordered ones."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from tally_chaos.child import Child, ChildNotReady
from tally_chaos.history import History
from tally_runtime import SystemClock

PROGRAM = """
import os, sys, time
print("ready", os.environ.get("FIRST", ""), flush=True)
if os.environ.get("FIRST"):
    sys.exit(3)
time.sleep(60)
"""


@pytest.fixture
async def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Child]:
    (tmp_path / "sleeper_of_chaos.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with History(tmp_path / "history.jsonl", SystemClock()) as history:
        child = Child("sleeper", ("sleeper_of_chaos",), {}, tmp_path / "log", history)
        try:
            yield child
        finally:
            await child.end()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for is in another process
            await asyncio.sleep(0.02)


async def test_a_killed_child_comes_back_and_its_end_is_not_its_own(child: Child) -> None:
    child.begin()
    await child.ready(20)
    assert child.send(signal.SIGKILL)
    await until(lambda: child.starts == 2)
    await child.ready(20)
    assert child.own_exits == []


async def test_a_child_that_ends_by_itself_is_counted_and_comes_back(child: Child) -> None:
    child.once = {"FIRST": "yes"}
    child.begin()
    await until(lambda: child.starts == 2)
    await child.ready(20)
    assert child.own_exits == [3]


async def test_an_ended_child_is_gone_even_if_it_was_stopped(child: Child) -> None:
    before = {process.pid for process in psutil.Process().children()}
    child.begin()
    await child.ready(20)
    (process,) = (one for one in psutil.Process().children() if one.pid not in before)
    child.send(signal.SIGSTOP)
    await child.end()
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    assert not child.send(signal.SIGKILL)


async def test_a_child_that_never_says_ready_is_reported_with_its_log(child: Child) -> None:
    child.arguments = ("no_such_module_of_chaos",)
    child.begin()
    with pytest.raises(ChildNotReady, match="log"):
        await child.ready(1)


def test_a_process_that_follows_its_parent_dies_with_it(tmp_path: Path) -> None:
    follower = (
        "import time; from tally_chaos.orphan import end_with_parent; end_with_parent();"
        "print('up', flush=True); time.sleep(60)"
    )
    parent = (
        "import subprocess, sys, time;"
        f"p = subprocess.Popen([sys.executable, '-c', {follower!r}], stdout=subprocess.PIPE);"
        "p.stdout.readline(); print(p.pid, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE)
    assert process.stdout is not None
    follower_pid = int(process.stdout.readline())
    os.kill(follower_pid, signal.SIGSTOP)
    process.kill()
    process.wait()
    process.stdout.close()
    try:
        psutil.Process(follower_pid).wait(20)
    except psutil.NoSuchProcess:
        return
