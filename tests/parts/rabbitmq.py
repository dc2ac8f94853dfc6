"""Debian's RabbitMQ: a node of the tests' own, with its own name, ports, folder, cookie and port mapper.

Nothing of a node that this machine may have is touched: the program is run as whoever runs the tests, not through
the wrapper that switches to the system's user, and its port mapper (epmd) is another than the system's. What is
asked of the node beyond AMQP goes through its management API, as with an installation's own.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

import orjson
import pytest

from tests import parts
from tests.parts.front import free_port

__all__ = ["GET", "NAME", "PASSWORD", "USER", "Broker", "broker", "find", "install", "rabbitmq", "rabbitmq_program"]

NAME: Final = "rabbitmq"
GET: Final = "apt-get install rabbitmq-server"
USER: Final = "guest"
PASSWORD: Final = "guest"
_PLACE: Final = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The program itself; the one in the path wants to be the system's user."""
_START_S: Final = 90.0
_STOP_S: Final = 30.0
_CONFIG: Final = """\
listeners.tcp.default = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management}
log.file.level = info
log.console = false
disk_free_limit.absolute = 10MB
"""


def find() -> Path | None:
    """Return the program."""
    return _PLACE if _PLACE.exists() and shutil.which("epmd") else None


def install() -> None:
    """Get it from Debian; its service is not started."""
    parts.apt_install("rabbitmq-server")


class Broker:
    """A node, with the management plug-in.

    Args:
        program: what `rabbitmq_program` found.
        folder: for all that it writes; made if need be. What was declared durable there is there again after `start`.
        config: lines for `rabbitmq.conf`; others may be set before the next start.
        plugins: that are switched on besides that of the management API.
        base: where it listens, with places for the ports `amqp` and `management`.
    """

    def __init__(
        self, program: Path, folder: Path, config: str = "", *, plugins: Sequence[str] = (), base: str = _CONFIG
    ) -> None:
        self.folder = folder
        self._program = program
        self.config = config
        self._base = base
        self._plugins = plugins
        self._amqp, self._management, self._distribution, self._mapper = (free_port() for _ in range(4))
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def port(self) -> int:
        """Where AMQP is spoken, on 127.0.0.1."""
        return self._amqp

    @property
    def management(self) -> str:
        """Where the management API is, without a slash at the end."""
        return f"http://127.0.0.1:{self._management}"

    def url(self, vhost: str = "/") -> str:
        """Return the AMQP URL of a virtual host, without user."""
        return f"amqp://127.0.0.1:{self._amqp}/{quote(vhost, safe='')}"

    def start(self) -> None:
        """Start it, and return once it serves. Blocks."""
        self.folder.mkdir(parents=True, exist_ok=True)
        plugins = ",".join(["rabbitmq_management", *self._plugins])
        (self.folder / "plugins").write_text(f"[{plugins}].\n")
        config = self._base.format(amqp=self._amqp, management=self._management)
        (self.folder / "rabbitmq.conf").write_text(config + self.config)
        environment = os.environ | self._environment()
        mapper = ["epmd", "-address", "127.0.0.1", "-port", str(self._mapper)]
        self._processes = [self._run(mapper, environment)]
        _wait_for("the port mapper", lambda: _listens(self._mapper), self._alive)
        self._processes.append(self._run([str(self._program)], environment))
        _wait_for("RabbitMQ", self._serves, self._alive)

    def stop(self) -> None:
        """Stop it in good order. Blocks."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as a machine that loses its power does. Blocks."""
        self._end(signal.SIGKILL)

    def ask(self, method: str, path: str, value: object = None) -> Any:
        """Ask the management API for `/api/PATH`; returns the JSON that it answers with, none for an empty answer.

        Raises:
            HTTPError: it answered with an error.
        """
        login = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        body = None if value is None else orjson.dumps(value)
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        request = Request(f"{self.management}/api/{path}", body, headers, method=method)  # noqa: S310 - our own
        with urlopen(request, timeout=_STOP_S) as answer:  # noqa: S310 - the same
            said = answer.read()
        return orjson.loads(said) if said else None

    @contextmanager
    def vhost(self, name: str) -> Iterator[str]:
        """Make a virtual host of this name that is gone at the end, with all that is in it. Blocks."""
        path = f"vhosts/{quote(name, safe='')}"
        self.ask("PUT", path)
        try:
            yield name
        finally:
            self.ask("DELETE", path)

    def close_connections(self, vhost: str) -> None:
        """Close all connections to a virtual host, of which there is one at least. Blocks."""
        while not (known := self.ask("GET", f"vhosts/{quote(vhost, safe='')}/connections")):
            time.sleep(0.2)  # the API learns of a connection a little later
        for each in known:
            self.ask("DELETE", f"connections/{quote(each['name'], safe='')}")

    def rabbitmqctl(self, folder: Path) -> None:
        """Make a program `rabbitmqctl` in `folder` that speaks to this node, wherever it is run. Blocks."""
        known = {name: value for name, value in self._environment().items() if name.startswith(("HOME", "ERL_EPMD"))}
        said = "".join(f"export {name}={value}\n" for name, value in known.items())
        node = self._environment()["RABBITMQ_NODENAME"]
        program = folder / "rabbitmqctl"
        program.write_text(f'#!/bin/sh\n{said}exec {_PLACE.with_name("rabbitmqctl")} -q -n {node} "$@" </dev/null\n')
        program.chmod(0o755)

    def log(self) -> str:
        """Return what it logged. Blocks."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("log/*.log")))

    def _environment(self) -> dict[str, str]:
        folder = self.folder
        return {
            "HOME": str(folder),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._mapper),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "config"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_NODENAME": f"bellpull{self._amqp}@localhost",
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }

    def _run(self, command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        """Start one in a process group of its own: the program is a script with the node below it."""
        with (self.folder / "said").open("ab") as said:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def _alive(self) -> str | None:
        """Return why it is of no use to wait any longer."""
        ended = [process.args for process in self._processes if process.poll() is not None]
        said = (self.folder / "said").read_text(errors="replace")
        return f"{ended} ended:\n{said}\n{self.log()[-4000:]}" if ended else None

    def _serves(self) -> bool:
        try:
            return _listens(self._amqp) and bool(self.ask("GET", "overview"))
        except HTTPError as error:
            return error.code == HTTPStatus.UNAUTHORIZED  # it has other users than the usual one
        except (URLError, OSError):
            return False

    def _end(self, how: signal.Signals) -> None:
        """End the node, then its port mapper; a node that does not end by itself is killed."""
        *mapper, node = self._processes
        with suppress(ProcessLookupError):
            node.send_signal(how) if how is signal.SIGTERM else os.killpg(node.pid, how)
        with suppress(subprocess.TimeoutExpired):
            node.wait(_STOP_S)
        for process in (node, *mapper):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(_STOP_S)
        self._processes = []


def _wait_for(what: str, is_there: Any, dead: Any) -> None:
    end = time.monotonic() + _START_S
    while not is_there():
        assert (why := dead()) is None, why
        assert time.monotonic() < end, f"{what} did not start within {_START_S:g} s"
        time.sleep(0.05)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="session")
def rabbitmq_program() -> Path:
    """The program; a test that has none is skipped."""
    return parts.need(sys.modules[__name__])


@pytest.fixture(scope="session")
def broker(rabbitmq_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A node for all tests that do not break it; each has a virtual host of its own."""
    broker = Broker(rabbitmq_program, tmp_path_factory.mktemp("rabbitmq"))
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def rabbitmq(rabbitmq_program: Path, tmp_path: Path) -> Iterator[Broker]:
    """A node of this test's own, to be stopped, killed and started again."""
    broker = Broker(rabbitmq_program, tmp_path / "rabbitmq")
    broker.start()
    yield broker
    broker.kill()
