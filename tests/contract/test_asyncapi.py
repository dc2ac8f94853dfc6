"""The AsyncAPI document says what travels: it is one, and what is sent and set up is as it says."""

import json
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
from cloudevents.http import from_http
from jsonschema import Draft7Validator

from bellpull.contract.message import MEDIA_TYPE, TYPES, Message, decode
from bellpull.contract.report import Heartbeat, Report
from bellpull.contract.routing import SEAL
from bellpull.contract.seal import SealType, seal
from bellpull.contract.text import Name
from gateway.core.observing import Interest, Kind
from gateway.core.things import Exchange, Queue
from tests import parts
from tests.contract.test_golden import each_golden
from tests.docs import ROOT
from tests.gateway.agents import AGENT_KEY
from tests.gateway.examples import T0
from tests.gateway.topologies import made
from tests.parts import asyncapi

DOCUMENT: Final[dict[str, Any]] = orjson.loads((ROOT / "asyncapi.json").read_bytes())
MESSAGES: Final[dict[str, Any]] = {each["name"]: each for each in DOCUMENT["components"]["messages"].values()}


def test_it_is_one_by_asyncapis_own_schema() -> None:
    schema = asyncapi.schema(parts.need(asyncapi), "3.0.0")
    problems = [f"{error.json_path}: {error.message}" for error in Draft7Validator(schema).iter_errors(DOCUMENT)]
    assert problems == []


def test_a_reference_leads_somewhere() -> None:
    for reference in _references(DOCUMENT):
        at: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            at = at[part]


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [each for inner in value.values() for each in _references(inner)]
    return [each for inner in value for each in _references(inner)] if isinstance(value, list) else []


@each_golden
def test_a_golden_message_is_as_it_says(path: Path) -> None:
    body = path.read_bytes()
    message = decode(body)
    assert isinstance(message, Message)
    said = MESSAGES[message.type]
    assert [*Draft7Validator(said["payload"]["schema"]).iter_errors(json.loads(body))] == []
    kind = SealType.REPORT if isinstance(message.data, Report | Heartbeat) else SealType.EVENT
    headers = {
        SEAL: seal(body, seal_type=kind, audience="acme", now=T0, signer=AGENT_KEY),
        "cloudEvents_type": message.type,
    }
    assert [*Draft7Validator(said["headers"]).iter_errors(headers)] == []
    assert [*Draft7Validator(said["headers"]).iter_errors(headers | {SEAL: "x..y"})] != []
    assert str(kind) in said["headers"]["properties"][SEAL]["description"]


def test_every_type_is_there() -> None:
    assert MESSAGES.keys() == TYPES.keys()


def test_its_exchanges_and_queues_are_those_that_are_set_up() -> None:
    things = made(
        {Name("web-1"): ["**"]}, observers={Name("chat"): Interest(repositories=("**",), kinds=tuple(Kind))}
    )
    exchanges = {thing.name: thing.type for thing in things if isinstance(thing, Exchange)}
    queues = {thing.name for thing in things if isinstance(thing, Queue)}
    bindings = [channel["bindings"]["amqp"] for channel in DOCUMENT["channels"].values()]
    told = {each["exchange"]["name"]: each["exchange"]["type"] for each in bindings if each["is"] == "routingKey"}
    assert told == {name: kind for name, kind in exchanges.items() if kind == "topic"}
    named = {each["queue"]["name"] for each in bindings if each["is"] == "queue"}
    assert named == {"bellpull.agent.{agent}", "bellpull.observer.{observer}"}
    assert {name.format(agent="web-1", observer="chat") for name in named} <= queues


@each_golden
def test_the_official_cloudevents_sdk_reads_a_golden_message(path: Path) -> None:
    """Whoever has a library for CloudEvents has one for these."""
    body = path.read_bytes()
    event = from_http({"content-type": MEDIA_TYPE}, body)
    expected = json.loads(body)
    data = expected.pop("data")
    assert event.get_data() == data
    assert dict(event.get_attributes()) == expected


def test_a_message_that_is_none_is_refused_by_the_sdk() -> None:
    with pytest.raises(Exception, match="specversion"):
        from_http({"content-type": MEDIA_TYPE}, b'{"type": "dev.bellpull.tick.v1"}')
