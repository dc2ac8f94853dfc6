"""`GET /v1/agent`: an agent is told how it stands here, and nobody else is."""

from bellpull.contract.standing import AGENT_PATH, Standing
from bellpull.contract.text import Name
from tests.gateway.agents import ACME, AGENT_KEY, GATEWAY_KEY, TOKEN, Gateway, gateway, record

__all__ = ["gateway"]

WEB_2 = Name("web-2")
WEB_2_TOKEN = "bpa_web-2_" + "s" * 43


async def _ask(gateway: Gateway, token: str, method: str = "GET") -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {token}"}
    async with gateway.session.request(method, gateway.url + AGENT_PATH, headers=headers) as response:
        return response.status, await response.read()


async def test_an_agent_is_told_what_its_record_and_the_gateway_say(gateway: Gateway) -> None:
    gateway.records[WEB_2] = record("github.com/acme/*", "**", token=WEB_2_TOKEN, agent=WEB_2)
    status, body = await _ask(gateway, WEB_2_TOKEN)
    assert status == 200
    assert Standing.decode(body) == Standing(
        agent=WEB_2,
        installation=ACME,
        seal=GATEWAY_KEY.kid,
        keys=(AGENT_KEY.kid,),
        environments=(Name("production"),),
        repositories=("github.com/acme/*", "**"),
    )


async def test_nothing_of_it_is_secret(gateway: Gateway) -> None:
    _, body = await _ask(gateway, TOKEN)
    assert TOKEN.encode() not in body
    assert gateway.records[Name("web-1")].token.sha256.encode() not in body


async def test_who_has_no_known_token_is_told_nothing(gateway: Gateway) -> None:
    answers = [await _ask(gateway, token) for token in ("", WEB_2_TOKEN, TOKEN[:-1], TOKEN + "x")]
    assert answers == [answers[0]] * 4
    assert answers[0] == (401, b'{"error": "the token is missing or not known"}')


async def test_a_record_that_changed_is_told_at_once(gateway: Gateway) -> None:
    gateway.records[Name("web-1")] = record("github.com/acme/other")
    _, body = await _ask(gateway, TOKEN)
    assert Standing.decode(body).repositories == ("github.com/acme/other",)
    del gateway.records[Name("web-1")]
    assert (await _ask(gateway, TOKEN))[0] == 401


async def test_it_can_only_be_read(gateway: Gateway) -> None:
    for method in ("POST", "PUT", "DELETE", "HEAD"):
        assert (await _ask(gateway, TOKEN, method))[0] == 405
