"""What is said when RabbitMQ goes away between being looked at and being changed."""

from pathlib import Path

import pytest

from bellpull.cli.broker_access import Access
from bellpull.cli.broker_user import BrokerUser
from bellpull.cli.failure import FailureError
from bellpull.contract.text import Name
from bellpull.runtime.config import SecretRef
from bellpull.runtime.rabbitmq.settings import RabbitMQSettings
from gateway.core.topology import of_agent


def test_a_broker_that_goes_away_leaves_nobody_enrolled_and_says_how_to_begin_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BELLPULL_BROKER_PASSWORD", "known")
    web = Name("web-1")
    user = BrokerUser(
        name=web,
        settings=RabbitMQSettings(url="amqps://mq", username="gateway", password=SecretRef(env="X")),
        folder=tmp_path,
        tag="bellpull.acme",
        own=of_agent(web, ["**"], "bellpull.acme"),
        access=Access("http://127.0.0.1:1", "setup", None, None),
    )
    with pytest.raises(FailureError) as failure:
        user.make(tmp_path / "web-1")
    assert "is this RabbitMQ's management API?" in failure.value.lines[0]
    assert failure.value.lines[1:] == (
        f"{tmp_path / 'web-1'} was written, and nobody is enrolled: remove that folder, and do this again",
    )
    assert user.password.reveal().decode() not in str(failure.value) + repr(user)
