"""What agents say, over real HTTP on a state on disk."""

import asyncio
import json
import time
from datetime import timedelta

import pytest

from bellpull.contract.message import MAX_BYTES, MEDIA_TYPE
from bellpull.contract.report import Heartbeat, Report
from bellpull.contract.seal import SealType, seal
from bellpull.contract.stream import REPORTS_PATH, SEAL_HEADER
from bellpull.contract.text import Name
from bellpull.runtime.clock import utc_now
from gateway.app.turns import LARGE, TooOften, Turns
from tests.gateway.agents import AGENT_KEY, OTHER_KEY, TOKEN, Gateway, gateway, record
from tests.gateway.examples import T0, WEB, heartbeat, push, report, seconds, sync_state

__all__ = ["gateway"]


async def test_reports_are_kept_once(gateway: Gateway) -> None:
    """R18: the same again is answered the same."""
    assert await gateway.report(report(1)) == (202, {"want": "full"})
    assert await gateway.report(report(1)) == (202, {"want": "full"})
    assert len(await gateway.state.answers("github.com/acme/site", "refs/heads/main", T0)) == 1


async def test_the_full_state_is_asked_for_until_it_came(gateway: Gateway) -> None:
    assert await gateway.report(heartbeat(1)) == (202, {"want": "full"})
    assert await gateway.report(heartbeat(2, full=(sync_state(),))) == (202, {"want": None})
    assert await gateway.report(report(3)) == (202, {"want": None})
    heard = (await gateway.state.agents())[WEB]
    assert heard.syncs == (sync_state(),)
    assert utc_now() - heard.heard < seconds(30)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(report(agent=Name("web-2")), 403, id="in another agent's name"),
        pytest.param(heartbeat(agent=Name("web-2")), 403, id="another's heartbeat"),
        pytest.param(report(path="acme/other"), 403, id="of another repository"),
        pytest.param(report(environment=Name("staging")), 403, id="of another environment"),
        pytest.param(push(1).data, 403, id="an event"),
    ],
)
async def test_what_is_out_of_scope_is_refused(gateway: Gateway, data: Report | Heartbeat, status: int) -> None:
    """R26: the seal, the token and the body name one agent, and its record has what it speaks of."""
    assert (await gateway.report(data))[0] == status
    assert await gateway.state.agents() == {}


async def test_a_seal_by_any_other_key_is_refused(gateway: Gateway) -> None:
    """R26: the token alone is not enough, nor with another agent's key, nor is another installation's seal."""
    other = Name("web-2")
    gateway.records[other] = record(token="bpa_web-2_x", agent=other, key=OTHER_KEY)
    assert await gateway.report(report(), signer=OTHER_KEY) == (403, {"error": "no pinned key has the seal's kid"})
    assert (await gateway.report(report(), audience="other"))[0] == 403
    assert (await gateway.post(b"{}", {}))[0] == 403
    assert await gateway.state.agents() == {}


@pytest.mark.parametrize(
    "age", [seconds(150), seconds(-150), seconds(2 * 365 * 86400)], ids=["late", "early", "years"]
)
async def test_a_seal_that_was_not_made_just_now_is_refused(gateway: Gateway, age: timedelta) -> None:
    """R26: what was said two minutes ago turns nothing green now; the agent may seal the same anew."""
    status, answer = await gateway.report(heartbeat(1, full=(sync_state(),)), age=age)
    assert status == 425
    assert "clocks" in str(answer["error"])
    assert await gateway.state.agents() == {}


async def test_an_epoch_of_the_future_locks_nobody_out(gateway: Gateway) -> None:
    """One message of a stolen credential must not outlive its rotation."""
    assert (await gateway.report(heartbeat(1, epoch=2**53 - 1)))[0] == 400
    assert (await gateway.report(heartbeat(1, epoch=int(utc_now().timestamp()))))[0] == 202


async def test_an_earlier_epoch_is_refused_by_name(gateway: Gateway) -> None:
    await gateway.report(report(1, epoch=7))
    status, answer = await gateway.report(report(1, epoch=6))
    assert status == 409
    assert "epoch 7" in str(answer["error"])


async def test_what_is_no_message_is_refused_before_it_is_read(gateway: Gateway) -> None:
    body = b'{"specversion": "1.0"}'
    sealed = seal(body, seal_type=SealType.REPORT, audience="acme", now=utc_now(), signer=AGENT_KEY)
    assert (await gateway.post(body, {SEAL_HEADER: sealed}))[0] == 400
    assert (await gateway.post(body, {SEAL_HEADER: sealed, "Content-Type": "application/json"}))[0] == 415
    assert (await gateway.post(body, {SEAL_HEADER: sealed, "Content-Encoding": "gzip"}))[0] == 415
    assert (await gateway.post(b"x" * (MAX_BYTES + 1), {SEAL_HEADER: sealed}))[0] == 413


async def test_what_is_refused_again_and_again_is_logged_once(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of strangers without a token by address; of an agent with one by what was wrong."""
    body = b"{}"
    for _ in range(5):
        assert (await gateway.post(body, {}, token="bpa_web-1_guess"))[0] == 401
        assert (await gateway.post(body, {}))[0] == 403
        assert (await gateway.post(body, {"Content-Type": "application/json"}))[0] == 415
        async with gateway.stream(token="bpa_web-1_guess") as stream:
            assert stream.response.status == 401
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert sorted((line["event"], line.get("status", 401)) for line in lines) == [
        ("report refused", 401),
        ("report refused", 403),
        ("report refused", 415),
        ("stream refused", 401),
    ]


async def test_nothing_secret_is_logged(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    async with gateway.stream(token=TOKEN + "x"):
        pass
    await gateway.report(report(agent=Name("web-2")))
    logged = "".join(capsys.readouterr())
    assert "report refused" in logged
    assert "s" * 43 not in logged


async def test_one_message_of_an_agent_is_in_work_at_a_time(gateway: Gateway) -> None:
    """R41: what comes beside it is to come again, and is taken then; other agents do not wait for it."""
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST {REPORTS_PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: {MEDIA_TYPE}"
    writer.write(f"{head}\r\nContent-Length: 9\r\n\r\nhalf".encode())
    async with asyncio.timeout(10):
        while (await gateway.report(heartbeat(1)))[0] != 429:  # noqa: ASYNC110 - it may be there before the other
            await asyncio.sleep(0.01)
    assert (await gateway.report(report(2)))[0] == 429
    other = Name("web-2")
    gateway.records[other] = record(token="bpa_web-2_x", agent=other, key=OTHER_KEY)
    status, _ = await gateway.report(report(agent=other), token="bpa_web-2_x", signer=OTHER_KEY)
    assert status == 202
    writer.write(b" done")
    assert b" 403 " in await reader.readline()
    assert (await gateway.report(report(2)))[0] == 202
    writer.close()


async def test_large_messages_of_an_agent_rest_for_as_long_as_they_took() -> None:
    """R41: they share the interpreter with deliveries; small ones go on."""

    def slow() -> int:
        time.sleep(0.2)
        return 7

    turns = Turns()
    assert await turns.run(WEB, LARGE + 1, slow) == 7
    with pytest.raises(TooOften) as refused:
        await turns.run(WEB, LARGE + 1, lambda: 8)
    assert 0 < refused.value.again_s < 60
    assert await turns.run(WEB, LARGE, lambda: 9) == 9
    assert await turns.run(Name("web-2"), LARGE + 1, lambda: 10) == 10
