"""P2: nothing unverified is parsed."""

import ast
from dataclasses import replace
from pathlib import Path

import pytest

import gateway
from gateway.core import providers
from gateway.core.providers.provider import Provider, RefChange
from gateway.core.receive import Accepted, Ignored, Rejected, receive
from gateway.core.request import Headers
from gateway.core.verified import VerifiedBody
from tests.gateway.github import NOW, SOURCE, payload, request


class Watched:
    """A provider that keeps what it was asked to decode."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self.CONTENT_TYPES = provider.CONTENT_TYPES
        self.delivery_id, self.event_name = provider.delivery_id, provider.event_name
        self.verify = provider.verify
        self.decoded: list[object] = []

    def decode(self, verified: VerifiedBody, headers: Headers) -> tuple[RefChange, ...] | Ignored:
        self.decoded.append(verified)
        return self._provider.decode(verified, headers)


def test_p2_a_body_that_fails_its_check_reaches_no_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(providers.PROVIDERS["github"])
    monkeypatch.setitem(providers.PROVIDERS, "github", watched)
    delivery = request(payload())
    for body in (b"", b"{", delivery.body[:-1], delivery.body + b" "):
        assert isinstance(receive(replace(delivery, body=body), SOURCE, NOW), Rejected)
    assert watched.decoded == []
    assert isinstance(receive(delivery, SOURCE, NOW), Accepted)
    assert [type(each) for each in watched.decoded] == [VerifiedBody]


def test_p2_only_verify_vouches_and_only_a_decoder_parses() -> None:
    """In the whole gateway, `verified` is called in functions named verify, JSON is read in `parse_object`."""
    calls: dict[str, set[str]] = {"verified": set(), "parse_object": set(), "loads": set()}
    for path in Path(gateway.__file__).parent.joinpath("core").rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef):
                for name in _called(function) & calls.keys():
                    calls[name].add(function.name)
    assert calls == {"verified": {"verify"}, "parse_object": {"decode"}, "loads": {"parse_object"}}


def _called(function: ast.FunctionDef) -> set[str]:
    called = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
    names = [node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "") for node in called]
    return set(names)
