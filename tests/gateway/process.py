"""The gateway as a process of its own, started as a user starts it."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from bellpull.runtime.jose import Ed25519Signer, dump_private, generate, public_jwk
from tests.gateway.github import SECRET, headers

__all__ = ["TOKEN", "Answer", "Folder", "Gateway", "ask", "deliver", "eventually"]

TOKEN: Final = "bpa_web-1_" + "0123456789abcdef" * 4
NOTHING: Final[Mapping[str, str]] = {}
_PROGRAM: Final = ("-m", "bellpull")
_CONFIG: Final = """\
installation: acme
data: data
seal: {key: {file: seal.jwk}}
listen: {hooks: "127.0.0.1:0", agents: "127.0.0.1:0", console: "127.0.0.1:0"}
journal: {unsafe: true}
sources:
  - name: github
    provider: github
    secrets: [{file: github-secret}, {env: OLD_SECRET}]
    repositories: [github.com/acme/*]
"""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str]

    def json(self) -> Any:
        return json.loads(self.body)


def ask(url: str, body: bytes | None = None, fields: Mapping[str, str] = NOTHING, *, read: bool = True) -> Answer:
    """Ask; errors of HTTP are answers."""
    request = urllib.request.Request(url, data=body, headers=dict(fields))  # noqa: S310 - http, to ourselves
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - the same
            return Answer(answer.status, answer.read() if read else b"", dict(answer.headers))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read(), dict(error.headers))


def deliver(
    url: str, value: Any, changes: Mapping[str, str] = NOTHING, *, secret: bytes = SECRET, delivery: str = "d1"
) -> Answer:
    """Deliver a push as GitHub does."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    fields = {key.decode(): field.decode() for key, field in headers(body, secret=secret)}
    return ask(f"{url}/hooks/github", body, fields | {"X-GitHub-Delivery": delivery} | dict(changes))


@contextmanager
def eventually(what: str, within_s: float = 20.0) -> Iterator["Eventually"]:
    """Yield something that says, at most for so long, that it is worth looking again."""
    yield Eventually(what, time.monotonic() + within_s)


class Eventually:
    def __init__(self, what: str, until: float) -> None:
        self._what = what
        self._until = until

    def again(self) -> bool:
        """Wait a moment."""
        assert time.monotonic() < self._until, self._what
        time.sleep(0.05)
        return True


class Folder:
    """A gateway's configuration, made anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seal: Ed25519Signer = generate()
        self.write("gateway.yaml", _CONFIG)
        self.write("github-secret", SECRET + b"\n")
        self.write("seal.jwk", dump_private(self.seal))

    def write(self, name: str, content: bytes | str) -> None:
        path = self.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(0o600)

    def enroll(self) -> None:
        record = {
            "agent": "web-1",
            "environments": ["production"],
            "repositories": ["github.com/acme/site"],
            "token": {"sha256": sha256(TOKEN.encode()).hexdigest()},
            "keys": [public_jwk(generate().public)],
        }
        self.write("agents/web-1.yaml", json.dumps(record))

    def rows(self) -> list[tuple[str, str, str]]:
        """Return event id, ref and commit of what the journal's file holds, read from outside."""
        with closing(sqlite3.connect(self.path / "data" / "journal.db")) as disk:
            return disk.execute("SELECT event_id, ref, commit_id FROM events ORDER BY seq").fetchall()

    def change(self, name: str, statement: str) -> None:
        """Change a database file while no gateway runs."""
        with closing(sqlite3.connect(self.path / "data" / name)) as disk, disk:
            disk.execute(statement)

    def everything(self) -> bytes:
        """Return what the gateway wrote anywhere: its data, and what it said."""
        files = [path for path in (self.path / "data").rglob("*") if path.is_file()]
        return b"".join(path.read_bytes() for path in [*files, self.path / "stderr"])

    def lines(self) -> list[dict[str, Any]]:
        """Return the log of all runs."""
        return [
            json.loads(line)
            for line in (self.path / "stderr").read_bytes().splitlines(keepends=True)
            if line.endswith(b"\n")
        ]

    @contextmanager
    def running(self, *, program: Sequence[str] = _PROGRAM, **environment: str) -> Iterator["Gateway"]:
        """Run the gateway until the context ends; it listens when this yields."""
        gateway = Gateway(self, environment, program)
        try:
            gateway.wait_until_it_listens()
            yield gateway
        finally:
            gateway.process.kill()
            gateway.process.wait(10)


class Gateway:
    """A gateway that runs."""

    def __init__(self, folder: Folder, environment: Mapping[str, str], program: Sequence[str] = _PROGRAM) -> None:
        self.folder = folder
        command = [sys.executable, *program, "gateway", "--config", str(folder.path / "gateway.yaml")]
        with (folder.path / "stderr").open("ab") as stderr:
            self._begins_at = stderr.tell()
            self.process = subprocess.Popen(
                command,
                stderr=stderr,
                stdin=subprocess.DEVNULL,
                env=os.environ | {"OLD_SECRET": "old one"} | dict(environment),
            )
        self.hooks = self.agents = self.console = ""

    def wait_until_it_listens(self) -> None:
        with eventually("the gateway listens") as look:
            while not (lines := self._said("listening")):
                assert self.process.poll() is None, (self.folder.path / "stderr").read_text()
                look.again()
        self.hooks, self.agents, self.console = (
            f"http://{lines[0][name]}" for name in ("hooks", "agents", "console")
        )

    def _said(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.folder.lines() if line["event"] == event and line["pid"] == self.process.pid]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(20)
