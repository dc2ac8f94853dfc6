"""By which way an agent hears, as its configuration says it: the gateway's stream, or RabbitMQ."""

from pathlib import Path

import pytest
import yaml

from agent.app.config import load_config
from agent.app.files import AgentFiles
from bellpull.runtime.config import ConfigError
from bellpull.runtime.jose import dump_private, generate, public_jwk, public_set

GATEWAY = {"installation": "acme", "keys": {"file": "keys.json"}}
ASKED = {"url": "http://127.0.0.1:8081", "token": {"file": "token"}}
QUEUE = {"rabbitmq": {"url": "amqp://127.0.0.1/acme", "username": "web-1", "password": {"file": "broker-password"}}}


def written(folder: Path, **changes: object) -> Path:
    """Write a configuration with all files that it may name; what is none is left out."""
    key = generate()
    (folder / "keys.json").write_bytes(public_set([public_jwk(key.public)]))
    (folder / "report.jwk").write_bytes(dump_private(key))
    (folder / "token").write_text("bpa_web-1_x")
    (folder / "broker-password").write_text("s3cret")
    (folder / "syncs.yaml").write_text("")
    value = {
        "agent": "web-1",
        "environment": "production",
        "gateway": GATEWAY | ASKED,
        "report_key": {"file": "report.jwk"},
        "syncs": "syncs.yaml",
        "state": "state",
        **changes,
    }
    path = folder / "agent.yaml"
    path.write_text(yaml.safe_dump(value))
    return path


@pytest.mark.parametrize(
    ("changes", "asks", "listens"),
    [
        pytest.param({}, True, False, id="the gateway's stream"),
        pytest.param({"queue": QUEUE}, True, True, id="RabbitMQ, with a gateway that can be asked"),
        pytest.param({"queue": QUEUE, "gateway": GATEWAY}, False, True, id="RabbitMQ alone"),
    ],
)
def test_what_may_be_said(tmp_path: Path, changes: dict[str, object], asks: bool, listens: bool) -> None:
    path = written(tmp_path, **changes)
    config = load_config(path)
    files = AgentFiles(config, path)
    assert (config.gateway.url is not None, files.token is not None) == (asks, asks)
    assert (config.queue is not None) == listens


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        pytest.param({"gateway": GATEWAY}, "nothing to hear: say gateway.url and gateway.token, or queue", id="none"),
        pytest.param(
            {"gateway": GATEWAY | {"url": "http://127.0.0.1:1"}}, "url and token belong together", id="no token"
        ),
        pytest.param(
            {"queue": {"rabbitmq": QUEUE["rabbitmq"] | {"url": "amqp://web-1:s3cret@127.0.0.1/acme"}}},
            "has a user or password in it",
            id="password in the URL",
        ),
        pytest.param(
            {"queue": {"rabbitmq": QUEUE["rabbitmq"] | {"url": "amqp://mq.example/acme"}}},
            "without TLS",
            id="no TLS",
        ),
        pytest.param(
            {"queue": {"rabbitmq": QUEUE["rabbitmq"] | {"password": {"file": "nowhere"}}}},
            "nowhere",
            id="no password",
        ),
    ],
)
def test_what_may_not_be_said(tmp_path: Path, changes: dict[str, object], problem: str) -> None:
    """All of it is said at the start, and nothing secret with it."""
    path = written(tmp_path, **changes)
    with pytest.raises(ConfigError) as refused:
        AgentFiles(load_config(path), path)
    assert problem in str(refused.value)
    assert "s3cret" not in str(refused.value)
