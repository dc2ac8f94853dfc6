"""The how-to for RabbitMQ, done as it is written, and its tables held to what is made."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bellpull.contract.text import Name
from gateway.core.things import Permission, TopicPermission
from tests.console import Console, section
from tests.gateway.topologies import made
from tests.parts.rabbitmq import PASSWORD, USER, Broker

PAGE = (Path(__file__).parent.parent / "docs/how-to/rabbitmq.md").read_text()
DONE = (
    "2. See what is missing, and make it",
    "3. Turn it on",
    "See it work",
    "Several gateways",
    "Look at dead letters",
    "Enroll agents",
    "Take an agent away",
)
ASKED = {"2. See what is missing, and make it", "Take an agent away"}
LATER = "Where the management API cannot be reached"


@dataclass(frozen=True, slots=True)
class _Typed:
    broker: Broker

    def __call__(self, title: str) -> str:
        """Return a section as it is typed here: at another broker, as a script."""
        text = section(PAGE, title).replace("https://mq.example.org:15671", self.broker.management)
        text = text.replace("amqps://mq.example.org/bellpull", self.broker.url("bellpull"))
        text = text.replace("amqps://mq.example.org ", f"amqp://127.0.0.1:{self.broker.port} ")
        return text.replace("=bellpull-setup", f"={USER}").replace("--password-file", "--yes --password-file")


@pytest.fixture
def typed(broker: Broker) -> Iterator[_Typed]:
    yield _Typed(broker)
    for user in broker.ask("GET", "users"):
        if user["tags"] == ["bellpull.bellpull"]:
            broker.ask("DELETE", f"users/{user['name']}")
    if "bellpull" in {each["name"] for each in broker.ask("GET", "vhosts")}:
        broker.ask("DELETE", "vhosts/bellpull")


@pytest.mark.usefixtures("free_ports")
async def test_a_broker_is_set_up_and_used_as_the_page_says(typed: _Typed, tmp_path: Path) -> None:
    async with Console.open(tmp_path, {}) as console:
        await console.type("bellpull init . > init.log")
        await console.type(f"echo {PASSWORD} > setup-password")
        for title in DONE:
            text = typed(title)
            await console.follow(text if title in ASKED else text.replace("--yes ", ""))
        await console.follow(section(PAGE, LATER))


def _rows(title: str) -> set[tuple[str, ...]]:
    """Return the rows of a section's tables that are code only."""
    found = re.findall(r"^\| (`.*`) \|$", section(PAGE, title), re.MULTILINE)
    cells = (re.split(r" \| ", row) for row in found)
    return {tuple(cell.strip("`").replace(r"\|", "|") for cell in row) for row in cells}


def test_the_tables_say_what_is_made() -> None:
    things = made({Name("web-1"): ["github.com/acme/*"]})
    expected: set[tuple[str, ...]] = {
        (each.user, each.configure, each.write, each.read) for each in things if isinstance(each, Permission)
    } | {(each.user, each.exchange, each.write, each.read) for each in things if isinstance(each, TopicPermission)}
    assert _rows("Who may do what") == expected
