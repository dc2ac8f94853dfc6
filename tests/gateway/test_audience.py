"""How far apart agents should look that hear of the same push (R29)."""

from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellpull.contract.event import LONGEST_SPREAD_S, RefUpdated
from bellpull.contract.message import Message, decode
from bellpull.contract.routing import agent_key
from bellpull.contract.text import Name
from gateway.adapters.apart import Apart
from gateway.app.intake import SMALL
from gateway.core.audience import AT_ONCE, Audience, Hearers, may_hear, spread_of
from tests.gateway.github import payload
from tests.gateway.listening import listener

SITE, SHOP = "github.com/acme/site", "github.com/acme/shop"


def audience_of(rights: Sequence[Sequence[str]]) -> Audience:
    """Return agents a0, a1 and so on with these rights."""
    return Audience({Name(f"a{index}"): each for index, each in enumerate(rights)})


@pytest.mark.parametrize(
    ("agents", "seconds"),
    [(0, 0.0), (1, 0.0), (49, 0.0), (50, 1.0), (75, 1.5), (499, 9.98), (500, 10.0), (10_000, 10.0)],
)
def test_few_look_at_once_and_many_at_fifty_a_second(agents: int, seconds: float) -> None:
    assert spread_of(agents) == seconds


@given(st.integers(0, 10**6))
def test_more_agents_never_spread_less_and_nobody_waits_for_long(agents: int) -> None:
    assert 0.0 <= spread_of(agents) <= spread_of(agents + 1) <= LONGEST_SPREAD_S


def test_only_those_count_who_may_hear_it() -> None:
    """A push to one of many repositories is not spread because of agents that never hear of it."""
    audience = audience_of([("github.com/acme/*",)] * (AT_ONCE - 1) + [(SITE, "gitlab.com/**")] + [(SHOP,)] * 200)
    assert audience.spread(SITE) == spread_of(AT_ONCE) > 0
    assert audience.spread(SHOP) == spread_of(AT_ONCE - 1 + 200)
    assert audience.spread("github.com/other/site") == 0.0


@given(
    st.lists(st.sampled_from([(SITE,), ("**",), ("github.com/*/shop", SITE), ()]), max_size=120),
    st.lists(st.sampled_from([SITE, SHOP, "example.com/x"]), max_size=5),
)
def test_what_is_remembered_is_what_would_be_counted(rights: list[tuple[str, ...]], asked: list[str]) -> None:
    audience = audience_of(rights)
    for repository in asked:
        hear = [agent_key(Name(f"a{index}")) for index, each in enumerate(rights) if may_hear(each, repository)]
        assert audience.spread(repository) == spread_of(len(hear))
        assert audience.hearers(repository) == Hearers(len(hear), tuple(hear) if len(hear) < AT_ONCE else ())


@pytest.mark.parametrize("size", [0, 2 * SMALL], ids=["small", "large, received apart"])
async def test_an_accepted_event_carries_the_spread_of_its_repository(size: int, tmp_path: Path) -> None:
    async with (
        Apart() as apart,
        listener(tmp_path, large=apart.receive, spread=audience_of([("**",)] * 100).spread) as hooks,
    ):
        status, _ = await hooks.post(orjson.dumps(payload() | {"padding": "x" * size}))
        (row,) = await hooks.journal.page(0)
    message = decode(row.body)
    assert isinstance(message, Message)
    assert isinstance(message.data, RefUpdated)
    assert (status, message.data.spread) == (202, 2.0)
