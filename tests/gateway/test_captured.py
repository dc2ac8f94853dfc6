"""Deliveries that GitHub really made: what becomes of them, and of each with one value spoiled."""

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.core.receive import Accepted, Ignored, Outcome, receive
from tests import parts
from tests.gateway.github import NOW, SOURCE, request
from tests.odd_values import places, spoiled
from tests.parts import octokit

ANY = replace(SOURCE, repositories=("**",))


def from_folder() -> list[tuple[str, Any]]:
    """Return event and payload of each file in a folder of the user's, laid out as go-playground/webhooks has it."""
    folder = os.environ.get("BELLPULL_PAYLOADS")
    if folder is None:
        pytest.skip("BELLPULL_PAYLOADS names no folder with testdata/github/*.json in it")
    files = sorted(Path(folder).glob("**/testdata/github/*.json"))
    assert files, f"{folder} has no testdata/github/*.json"
    return [(file.stem.replace("-", "_"), orjson.loads(file.read_bytes())) for file in files]


def from_package() -> list[tuple[str, Any]]:
    return list(octokit.deliveries(parts.need(octokit)))


@pytest.mark.parametrize("captured", [from_folder, from_package])
@pytest.mark.parametrize("form", [False, True], ids=["json", "form"])
def test_a_push_is_accepted_and_everything_else_ignored(captured: Any, form: bool) -> None:
    seen: dict[str, int] = {}
    for event, payload in captured():
        outcome = receive(request(payload, event=event, form=form), ANY, NOW)
        assert isinstance(outcome, Accepted if event == "push" else Ignored), (event, outcome)
        seen[event] = seen.get(event, 0) + 1
    assert seen["push"] > 0
    assert len(seen) > 40


@pytest.mark.parametrize("captured", [from_folder, from_package])
def test_any_other_event_said_to_be_a_push_is_no_more_than_a_400(captured: Any) -> None:
    """The event's name is in a header that nothing signs; what looks like a push is a hint, and no more."""
    for event, payload in captured():
        outcome = receive(request(payload, event="push"), ANY, NOW)
        assert _tolerable(outcome), (event, outcome)


@pytest.mark.parametrize("captured", [from_folder, from_package])
def test_no_value_anywhere_in_a_push_is_more_than_a_400(captured: Any) -> None:
    """Each in turn is of another type, empty, huge or missing: there is an outcome, never an exception."""
    for payload in _one_of_each_sort(payload for event, payload in captured() if event == "push"):
        for path in places(payload):
            for odd in spoiled(payload, path):
                assert _tolerable(receive(request(odd), ANY, NOW)), path


def _one_of_each_sort(pushes: Iterable[Any]) -> list[Any]:
    return list({(push["ref"][:10], push["created"], push["deleted"]): push for push in pushes}.values())


def _tolerable(outcome: Outcome) -> bool:
    return isinstance(outcome, Accepted | Ignored) or outcome.status == 400
