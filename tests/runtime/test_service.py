"""Real signals to real processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bellpull.runtime.config import ConfigError
from bellpull.runtime.service import INTERRUPTED

PROGRAM = """
import asyncio, sys
from pathlib import Path
from bellpull.runtime import logs, service
from bellpull.runtime.config import ConfigError, Problem

logs.configure("test")

async def drains(stop):
    print("ready", flush=True)
    await stop.wait()
    print("drained", flush=True)

async def hangs(stop):
    print("ready", flush=True)
    await stop.wait()
    print("draining", flush=True)
    await asyncio.sleep(3600)

async def ends(stop):
    pass

async def fails(error):
    async with asyncio.TaskGroup() as outer:
        async def inner():
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(raises(error))
                tasks.create_task(asyncio.sleep(3600))
        outer.create_task(inner())

async def raises(error):
    raise error

async def cannot_listen(stop):
    await fails(OSError(98, "the listener hooks cannot have 127.0.0.1:80"))

async def fatal(stop):
    await fails(service.Fatal("the journal is damaged", code=74))

async def misconfigured(stop):
    await fails(ConfigError(Path("a.yaml"), [Problem(path="x", problem="is missing")]))

async def defect(stop):
    await fails(ZeroDivisionError("oops"))

sys.exit(service.run(globals()[sys.argv[1]]))
"""


@contextmanager
def _started(name: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_a_program_to_drain(number: signal.Signals) -> None:
    with _started("drains") as process:
        assert _line(process) == "ready"
        process.send_signal(number)
        assert _line(process) == "drained"
        assert process.wait(20) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(number: signal.Signals) -> None:
    with _started("hangs") as process:
        assert _line(process) == "ready"
        process.send_signal(number)
        assert _line(process) == "draining"
        process.send_signal(number)
        assert process.wait(20) == INTERRUPTED


ENDINGS = {
    "by itself": ("ends", 0, ""),
    "an address": ("cannot_listen", 1, "the listener hooks cannot have 127.0.0.1:80"),
    "a code of its own": ("fatal", 74, "the journal is damaged"),
}


@pytest.mark.parametrize(("name", "code", "said"), ENDINGS.values(), ids=ENDINGS.keys())
def test_an_end_that_a_person_can_mend_is_one_line(name: str, code: int, said: str) -> None:
    with _started(name) as process:
        _, stderr = process.communicate(timeout=20)
    assert process.returncode == code
    assert stderr.count("\n") == (1 if said else 0)
    assert said in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize(("name", "said"), [("misconfigured", "a.yaml: x: is missing"), ("defect", "oops")])
def test_what_is_for_the_caller_is_raised(name: str, said: str) -> None:
    with _started(name) as process:
        _, stderr = process.communicate(timeout=20)
    assert process.returncode == 1
    assert said in stderr
    assert "Traceback" in stderr
    assert (ConfigError.__name__ in stderr) == (name == "misconfigured")


def test_this_process_keeps_its_own_handlers() -> None:
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, os.getpid()
