"""`bellpull check` for a gateway with RabbitMQ: what is wrong there is named with what to do, running or not."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bellpull.cli.check_gateway import look
from bellpull.contract.routing import agent_key, agent_queue
from tests.cli.command import bellpull
from tests.e2e.brokered import RIGHTS, WEB, Brokered, brokered, heard
from tests.gateway.brokers import unbind
from tests.gateway.process import ask, eventually
from tests.gateway.topologies import GATEWAY, Installed, installed
from tests.parts.front import free_port
from tests.parts.rabbitmq import Broker


@pytest.fixture
def installation(broker: Broker) -> Iterator[Installed]:
    with installed(broker, "checked", RIGHTS, GATEWAY) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path, installation: Installed) -> Brokered:
    return brokered(tmp_path, installation)


def findings(folder: Brokered, what: str) -> list[tuple[bool, str, str]]:
    """Return whether it is well, what was found, and what to do, of each finding about `what`."""
    found = look(folder.path / "gateway.yaml")
    return [(each.ok, each.found, each.do) for each in found if each.what == what]


def test_a_broker_that_is_well(folder: Brokered, installation: Installed) -> None:
    """It is looked at as the gateway does: no agent hears anything of it but that a way is open."""
    port = installation.broker.port
    assert findings(folder, "queue.rabbitmq") == [
        (True, "broker-password", ""),
        (
            True,
            f"127.0.0.1:{port}, virtual host checked: takes what {GATEWAY} publishes, and has the queues of 1 agents",
            "",
        ),
    ]
    ended = bellpull("check", cwd=folder.path, env={"OLD_SECRET": "old one"})
    assert "has the queues of 1 agents" in ended.out
    assert (ended.code, ended.err) == (0, "")
    assert heard(folder, installation) == []


def _no_queue(_: Brokered, installation: Installed) -> None:
    installation.broker.ask("DELETE", "queues/checked/bellpull.agent.web-1")


def _not_bound(_: Brokered, installation: Installed) -> None:
    unbind(installation.broker, "checked", agent_queue(WEB), agent_key(WEB))


def _no_exchange(_: Brokered, installation: Installed) -> None:
    installation.broker.ask("DELETE", "exchanges/checked/bellpull.events")


def _wrong_password(folder: Brokered, _: Installed) -> None:
    folder.write("broker-password", "hunter2")


def _no_password(folder: Brokered, _: Installed) -> None:
    (folder.path / "broker-password").unlink()


def _other_vhost(folder: Brokered, _: Installed) -> None:
    config = (folder.path / "gateway.yaml").read_text()
    folder.write("gateway.yaml", config.replace("/checked'", "/other'"))


def _nobody_there(folder: Brokered, installation: Installed) -> None:
    config = (folder.path / "gateway.yaml").read_text()
    folder.write("gateway.yaml", config.replace(f":{installation.broker.port}/", f":{free_port()}/"))


def _no_key(folder: Brokered, _: Installed) -> None:
    (folder.path / "seal.jwk").unlink()


SET_UP = "bellpull broker setup"
LOGIN = "see that the virtual host in url, username and password are those of the set-up"
AWAY = "is it running, and is the port in queue.rabbitmq.url right? It may listen on another address only"
WRONG: dict[str, tuple[Callable[[Brokered, Installed], None], str, str]] = {
    "an agent without a queue": (_no_queue, "agent web-1 has no queue, or it is not bound", SET_UP),
    "an agent whose queue is not bound": (_not_bound, "agent web-1 has no queue, or it is not bound", SET_UP),
    "nothing set up": (_no_exchange, "the exchange bellpull.events is not there, or may not be published to", SET_UP),
    "a wrong password": (_wrong_password, f"does not let {GATEWAY} in", LOGIN),
    "no password": (_no_password, "broker-password cannot be read", LOGIN),
    "another virtual host": (_other_vhost, f"does not open vhost other to {GATEWAY}: there is none", LOGIN),
    "nobody there": (_nobody_there, "connection refused", AWAY),
    "no sealing key": (_no_key, "not asked, for want of the sealing key", "see seal.key above"),
}


@pytest.mark.parametrize(("break_it", "problem", "advice"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_with_a_broker(
    folder: Brokered,
    installation: Installed,
    break_it: Callable[[Brokered, Installed], None],
    problem: str,
    advice: str,
) -> None:
    break_it(folder, installation)
    *_, (ok, found, do) = findings(folder, "queue.rabbitmq")
    assert not ok
    assert problem in found
    assert do == advice
    assert "hunter2" not in found


def test_what_a_running_gateway_says_of_itself_is_shown(
    folder: Brokered, installation: Installed, tmp_path: Path
) -> None:
    config = (tmp_path / "gateway.yaml").read_text()
    folder.write("gateway.yaml", config.replace('console: "127.0.0.1:0"', f'console: "127.0.0.1:{free_port()}"'))
    _no_queue(folder, installation)
    with folder.running() as gateway:
        with eventually("it knows") as again:
            while "no queue" not in ask(f"{gateway.console}/readyz").body.decode():
                again.again()
        running = findings(folder, "running")
    assert (True, f"{gateway.console}/readyz answers 200: degraded", "") in running
    assert (False, "agent web-1 has no queue, or it is not bound: run: bellpull broker setup", "") in running
