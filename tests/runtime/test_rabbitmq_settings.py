"""Settings of the way to RabbitMQ: no URL has a password in it, and nothing crosses a network in the clear."""

from pathlib import Path
from typing import Any

import pytest

from bellpull.runtime.config import parse
from bellpull.runtime.rabbitmq.settings import RabbitMQSettings, is_loopback

PASSWORD: dict[str, Any] = {"password": {"file": "broker-password"}}
CERTIFICATE: dict[str, Any] = {"certificate": "me.pem", "key": "me.key"}


def _read(url: str, **more: Any) -> tuple[RabbitMQSettings | None, list[str]]:
    settings, problems = parse(RabbitMQSettings, {"url": url, "username": "web-1", **more}, where="queue.rabbitmq")
    return settings, [str(each) for each in problems]


@pytest.mark.parametrize(
    ("url", "host", "port", "vhost", "tls"),
    [
        ("amqps://mq.example.org", "mq.example.org", 5671, "/", True),
        ("amqps://mq.example.org/", "mq.example.org", 5671, "/", True),
        ("amqps://mq.example.org:1234/bellpull", "mq.example.org", 1234, "bellpull", True),
        ("amqps://[2001:db8::1]/a%2Fb", "2001:db8::1", 5671, "a/b", True),
        ("amqps://mq.example.org/%2F", "mq.example.org", 5671, "/", True),
        ("amqp://127.0.0.1/bellpull", "127.0.0.1", 5672, "bellpull", False),
        ("amqp://[::1]:5673/bellpull", "::1", 5673, "bellpull", False),
        ("amqp://localhost", "localhost", 5672, "/", False),
    ],
)
def test_a_url_says_where(url: str, host: str, port: int, vhost: str, tls: bool) -> None:
    settings, problems = _read(url, **PASSWORD)
    assert problems == []
    assert settings is not None
    assert (settings.host, settings.port, settings.vhost, settings.tls) == (host, port, vhost, tls)
    assert not settings.external


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("amqps://web-1:hunter2@mq.example.org/v", "has a user or password in it"),
        ("amqps://web-1@mq.example.org", "has a user or password in it"),
        ("amqp://web-1:hunter2@127.0.0.1", "has a user or password in it"),
        ("amqp://mq.example.org", "without TLS: use amqps"),
        ("amqp://10.0.0.1:5672/v", "without TLS: use amqps"),
        ("amqp://localhost.example.org", "without TLS: use amqps"),
        ("https://mq.example.org", "is no amqps://"),
        ("amqps://mq.example.org/a/b", "is no amqps://"),
        ("amqps://mq.example.org/v?heartbeat=1", "is no amqps://"),
        ("amqps://mq.example.org:70000", "is no amqps://"),
        ("amqps://mq.example.org:0", "is no amqps://"),
        ("amqps://", "is no amqps://"),
        ("hunter2", "is no amqps://"),
    ],
)
def test_a_url_that_is_refused_says_why_and_is_not_repeated(url: str, problem: str) -> None:
    settings, problems = _read(url, **PASSWORD)
    assert settings is None
    assert len(problems) == 1
    assert problems[0].startswith("queue.rabbitmq.url: ")
    assert problem in problems[0]
    assert "hunter2" not in problems[0]


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({}, "needs password, or certificate and key"),
        ({**PASSWORD, "certificate": "me.pem"}, "certificate and key belong together"),
        ({"key": "me.key"}, "certificate and key belong together"),
        ({"password": "hunter2"}, "says no place"),
    ],
)
def test_who_we_are_has_to_be_said_whole(more: dict[str, Any], problem: str) -> None:
    settings, problems = _read("amqps://mq.example.org", **more)
    assert settings is None
    assert any(problem in each for each in problems), problems
    assert "hunter2" not in "".join(problems)


def test_certificates_are_of_no_use_without_tls() -> None:
    _, problems = _read("amqp://127.0.0.1", **PASSWORD, ca="ca.pem")
    assert problems == ["queue.rabbitmq: ca, certificate and key are of no use without TLS: use amqps"]


def test_a_certificate_alone_says_who_we_are() -> None:
    settings, _ = _read("amqps://mq.example.org", **CERTIFICATE)
    assert settings is not None
    assert settings.external
    assert settings.certificate == Path("me.pem")


def test_a_certificate_beside_a_password_does_not() -> None:
    settings, _ = _read("amqps://mq.example.org", **CERTIFICATE, **PASSWORD)
    assert settings is not None
    assert not settings.external


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("LOCALHOST", True),
        ("192.0.2.1", False),
        ("mq", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
