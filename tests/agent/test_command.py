"""A command after a change, as a real process: its surroundings, its ends, and what is told of it."""

import json
import os
import signal
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep

import pytest
from structlog.testing import capture_logs

from agent.adapters.command import Command
from agent.ports.target import CommandError
from bellpull.contract.text import CommitId, SyncName

COMMIT = CommitId("c" * 40)


def python(program: str, *arguments: str, timeout_s: float = 20, report_output: bool = False) -> Command:
    return Command(
        argv=(sys.executable, "-c", textwrap.dedent(program), *arguments),
        timeout_s=timeout_s,
        sync=SyncName("default/site"),
        report_output=report_output,
    )


def failure(command: Command, path: Path) -> str:
    with pytest.raises(CommandError) as failed:
        command.run(path, COMMIT)
    assert not failed.value.permanent
    return str(failed.value)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_its_surroundings_are_small_and_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No shell, nothing to read, no descriptor or variable of the agent; a session of its own; in the target."""
    monkeypatch.setenv("BELLPULL_TOKEN", "secret")
    program = """
        import json, os, sys
        fds = [fd for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")]
        print(json.dumps([sys.argv[1:], dict(os.environ), sys.stdin.read(), os.getcwd(), os.getsid(0) == os.getpid(),
                          os.getpgid(0) == os.getpid(), len(fds)]), file=open(sys.argv[1], "w"))
    """
    with (tmp_path / "open").open("wb") as held:
        os.set_inheritable(held.fileno(), False)
        python(program, str(tmp_path / "seen"), "$HOME; *").run(tmp_path, COMMIT)
    arguments, environment, read, folder, session, group, descriptors = json.loads((tmp_path / "seen").read_text())
    environment.pop("LC_CTYPE", None)  # the interpreter's own
    assert environment == {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "BELLPULL_SYNC": "default/site",
        "BELLPULL_COMMIT": COMMIT,
        "BELLPULL_PATH": str(tmp_path),
    }
    assert (arguments[1], read, folder, session, group) == ("$HOME; *", "", str(tmp_path), True, True)
    assert descriptors <= 4


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("raise SystemExit(3)", "ended with exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", "was ended by SIGKILL"),
    ],
)
def test_how_it_failed_is_said(tmp_path: Path, program: str, reason: str) -> None:
    assert failure(python(program), tmp_path) == f"CommandFailed: {sys.executable} {reason}"


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    command = Command(argv=("no-such-program", "secret"), timeout_s=1, sync=SyncName("default/site"))
    assert failure(command, tmp_path) == "CommandFailed: no-such-program cannot be started: No such file or directory"


def test_its_output_stays_in_the_log_unless_the_sync_says_otherwise(tmp_path: Path) -> None:
    """R47: the last 2 KiB in the agent's own log; in the message only where asked for, within its 1 KiB."""
    program = "import sys; print('x' * 100_000, flush=True); print('the end', file=sys.stderr); raise SystemExit(1)"
    with capture_logs() as logged:
        assert "the end" not in failure(python(program), tmp_path)
    output = next(line for line in logged if line["event"] == "command ended")["output"]
    assert (len(output), output[-8:]) == (2048, "\nthe end")
    told = failure(python(program, report_output=True), tmp_path)
    assert told.endswith("the end")
    assert len(told.encode()) < 1024


def test_its_time_is_bounded_with_all_it_started(tmp_path: Path) -> None:
    """SIGTERM to the whole group; what is left of it is killed."""
    program = """
        import os, signal, subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c",
            "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(99)"],
            stdout=subprocess.PIPE)
        child.stdout.readline()
        open(sys.argv[1], "w").write(f"{os.getpid()} {child.pid}")
        time.sleep(99)
    """
    begun = monotonic()
    said = failure(python(program, str(tmp_path / "pids"), timeout_s=1), tmp_path)
    assert said == f"CommandTimedOut: {sys.executable} ran for over 1 s, and was ended"
    assert monotonic() - begun < 20
    for pid in map(int, (tmp_path / "pids").read_text().split()):
        for _ in range(100):
            if not is_alive(pid):
                break
            sleep(0.05)
        assert not is_alive(pid)


def test_what_it_leaves_running_is_not_waited_for(tmp_path: Path) -> None:
    """A daemon that keeps the output open does not hold up the Sync, and lives."""
    program = """
        import subprocess, sys
        print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]).pid, flush=True)
    """
    begun = monotonic()
    with capture_logs() as logged:
        python(program, timeout_s=50).run(tmp_path, COMMIT)
    assert monotonic() - begun < 30
    pid = int(next(line for line in logged if line["event"] == "command ended")["output"])
    assert is_alive(pid)
    os.kill(pid, signal.SIGKILL)


def test_closing_its_output_does_not_end_it(tmp_path: Path) -> None:
    program = "import os, sys, time; os.close(1); os.close(2); time.sleep(0.5); open(sys.argv[1], 'w').close()"
    python(program, str(tmp_path / "done")).run(tmp_path, COMMIT)
    assert (tmp_path / "done").exists()


def test_an_agent_that_stops_lets_it_finish_within_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may go on for a while; what does not end is ended, said so, and owed."""
    monkeypatch.setattr("agent.adapters.command._STOPPING_S", 1.5)
    stopping = threading.Event()
    stopping.set()

    def slow(seconds: float) -> Command:
        command = python("import sys, time; time.sleep(float(sys.argv[1]))", str(seconds))
        return Command(argv=command.argv, timeout_s=command.timeout_s, sync=command.sync, stopping=stopping.is_set)

    slow(0.2).run(tmp_path, COMMIT)
    assert failure(slow(60), tmp_path).startswith("CommandStopped: ")


def test_the_seventeenth_command_waits_for_its_turn(tmp_path: Path) -> None:
    """Sixteen run at once; its own time begins with its turn, and who no longer wants it waits no more."""
    held, going, over = tmp_path / "held", tmp_path / "going", threading.Event()
    held.touch()
    going.mkdir()
    program = """
        import os, sys, time
        open(os.path.join(sys.argv[1], "going", str(os.getpid())), "w").close()
        while os.path.exists(os.path.join(sys.argv[1], "held")): time.sleep(0.02)
    """

    def abandoned() -> None:
        if over.is_set():
            raise InterruptedError

    with ThreadPoolExecutor(17) as threads:
        command = python(program, str(tmp_path))
        running = [threads.submit(command.run, tmp_path, COMMIT) for _ in range(16)]
        _until(lambda: len(list(going.iterdir())) == 16)
        last = threads.submit(python(program, str(tmp_path), timeout_s=0.1).run, tmp_path, COMMIT, abandoned)
        sleep(0.5)
        assert (len(list(going.iterdir())), last.done()) == (16, False)
        over.set()
        with pytest.raises(InterruptedError):
            last.result(timeout=10)
        stopped = replace(command, stopping=lambda: True)
        assert (
            failure(stopped, tmp_path) == f"CommandStopped: {sys.executable} had not begun when the agent had to end"
        )
        held.unlink()
        for each in running:
            each.result(timeout=20)
    command.run(tmp_path, COMMIT)


def _until(so: Callable[[], bool]) -> None:
    end = monotonic() + 20
    while not so():
        assert monotonic() < end
        sleep(0.02)
