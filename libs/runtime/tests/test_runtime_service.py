import asyncio
import os
import signal
import subprocess
import sys
import textwrap

import pytest
import structlog

from tally_runtime import BackgroundTasks, TaskCrashed, run_all, run_service


class App:
    """An app whose every step can be told to misbehave."""

    def __init__(
        self, name: str = "app", *, start_error: Exception | None = None, stop_takes_s: float = 0.0,
        stop_error: Exception | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.calls: list[str] = []
        self.started = asyncio.Event()
        self._start_error = start_error
        self._stop_takes_s = stop_takes_s
        self._stop_error = stop_error

    async def start(self) -> None:
        self.calls.append("start")
        if self._start_error is not None:
            raise self._start_error
        self.started.set()

    async def stop(self) -> None:
        self.calls.append("stop")
        await asyncio.sleep(self._stop_takes_s)
        if self._stop_error is not None:
            raise self._stop_error
        self.calls.append("stopped")


class LoopingApp(App):
    """An app with a background loop that can be made to crash."""

    def __init__(self, name: str = "looping") -> None:
        super().__init__(name)
        self.tasks = BackgroundTasks(name)
        self.break_it = asyncio.Event()

    async def start(self) -> None:
        self.tasks.start("relay", self._loop())
        await super().start()

    async def watch(self) -> None:
        await self.tasks.watch()

    async def stop(self) -> None:
        await self.tasks.stop()
        await super().stop()

    async def _loop(self) -> None:
        await self.break_it.wait()
        raise ValueError("lane lost")


async def signal_after(started: asyncio.Event, *numbers: signal.Signals) -> None:
    await started.wait()
    for number in numbers:
        os.kill(os.getpid(), number)
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_signal_lets_work_finish_and_exits_with_0(number: signal.Signals) -> None:
    app = App(stop_takes_s=0.05)
    code, _ = await asyncio.gather(run_service(app), signal_after(app.started, number))
    assert code == 0
    assert app.calls == ["start", "stop", "stopped"]


async def test_work_over_the_graceful_timeout_is_cut_and_exits_with_1() -> None:
    slow, quick = App("slow", stop_takes_s=30), App("quick")
    with structlog.testing.capture_logs() as logs:
        code, _ = await asyncio.gather(
            run_all((slow, quick), graceful_timeout_s=0.1),
            signal_after(slow.started, signal.SIGTERM),
        )
    assert code == 1
    assert slow.calls == ["start", "stop"]
    assert quick.calls == ["start", "stop", "stopped"]
    events = [line["event"] for line in logs]
    assert "stop_timed_out" in events
    assert ("app_stop_cut_short", "slow") in [(line["event"], line.get("app")) for line in logs]


async def test_a_second_signal_aborts_the_stop_at_once() -> None:
    app = App(stop_takes_s=30)
    code, _ = await asyncio.wait_for(
        asyncio.gather(run_service(app), signal_after(app.started, signal.SIGTERM, signal.SIGINT)),
        timeout=5,
    )
    assert code == 128 + signal.SIGINT
    assert app.calls == ["start", "stop"]


async def test_a_crashed_background_task_stops_the_process_with_1_and_says_which() -> None:
    looping, other = LoopingApp(), App("other")
    looping.break_it.set()
    with structlog.testing.capture_logs() as logs:
        code = await asyncio.wait_for(run_all((other, looping)), timeout=5)
    assert code == 1
    assert other.calls == ["start", "stop", "stopped"]
    (failure,) = [line for line in logs if line["event"] == "app_failed"]
    assert (failure["app"], failure["phase"]) == ("looping", "run")
    assert "task relay of looping raised ValueError: lane lost" in str(failure["exc_info"])


async def test_a_failed_start_stops_what_was_begun_and_exits_with_1() -> None:
    first, broken = App("first"), App("broken", start_error=OSError("port in use"))
    never = App("never")
    with structlog.testing.capture_logs() as logs:
        code = await run_all((first, broken, never))
    assert code == 1
    assert first.calls == ["start", "stop", "stopped"]
    assert broken.calls == ["start", "stop", "stopped"]
    assert never.calls == []
    (failure,) = [line for line in logs if line["event"] == "app_failed"]
    assert (failure["app"], failure["phase"]) == ("broken", "start")


async def test_a_signal_during_start_stops_without_waiting_for_the_start() -> None:
    class Slow(App):
        async def start(self) -> None:
            await super().start()
            await asyncio.sleep(30)

    slow, never = Slow(), App("never")
    code, _ = await asyncio.wait_for(
        asyncio.gather(run_all((slow, never)), signal_after(slow.started, signal.SIGTERM)),
        timeout=5,
    )
    assert code == 0
    assert slow.calls == ["start", "stop", "stopped"]
    assert never.calls == []


async def test_an_error_while_stopping_exits_with_1_and_the_others_stop() -> None:
    bad, good = App("bad", stop_error=OSError("gone")), App("good")
    code, _ = await asyncio.gather(run_all((bad, good)), signal_after(bad.started, signal.SIGTERM))
    assert code == 1
    assert good.calls == ["start", "stop", "stopped"]


async def test_ready_is_called_once_everything_started_and_until_ends_the_run() -> None:
    first, second, done = App("first"), App("second"), asyncio.Event()

    async def ready() -> None:
        assert first.calls == second.calls == ["start"]
        done.set()

    assert await asyncio.wait_for(run_all((first, second), ready, until=done), timeout=5) == 0
    assert first.calls == second.calls == ["start", "stop", "stopped"]


async def test_cancelling_the_run_still_stops_the_apps() -> None:
    app = App()
    run = asyncio.create_task(run_service(app))
    await app.started.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert app.calls == ["start", "stop", "stopped"]


async def test_a_background_task_that_ends_by_itself_is_a_crash() -> None:
    async def ends() -> None:
        return None

    tasks = BackgroundTasks("ledger")
    tasks.start("consume", ends())
    with pytest.raises(TaskCrashed, match="task consume of ledger ended by itself"):
        await asyncio.wait_for(tasks.watch(), timeout=5)
    await tasks.stop()


async def test_tasks_stopped_on_purpose_are_no_crash() -> None:
    tasks = BackgroundTasks("ledger")
    cleaned = asyncio.Event()

    async def loops() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    tasks.start("consume", loops())
    await asyncio.sleep(0)
    await tasks.stop()
    assert cleaned.is_set()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(tasks.watch(), timeout=0.05)


def test_a_whole_process_runs_on_uvloop_and_returns_the_exit_code() -> None:
    code = textwrap.dedent("""
        import asyncio, os, signal, sys
        from tally_runtime import configure_logging, run_process, run_service

        configure_logging("app")

        class App:
            name = "app"
            async def start(self):
                print(type(asyncio.get_running_loop()).__module__, flush=True)
                os.kill(os.getpid(), signal.SIGTERM)
            async def stop(self):
                print("stopped", flush=True)

        sys.exit(run_process(lambda: run_service(App())))
    """)
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30
    )
    assert done.stdout.split() == ["uvloop", "stopped"]
