"""The target of a Sync as the agent drives it, on a real API server: what watches show, and what a look shows."""

import asyncio
import base64
from time import monotonic

import pytest

from agent.core.kubernetes.object import Object
from agent.ports.target import TargetError
from tests.agent.kubernetes.cluster import Hand, config_map
from tests.agent.kubernetes.driving import Driven, driven
from tests.agent.kubernetes.kinds import Kind, version
from tests.parts.control_plane.audit import Asked


def secret(value: str) -> Object:
    data = {"k": base64.b64encode(value.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": data}


async def differing(site: Driven) -> str | None:
    """Look until something differs."""
    found, end = None, monotonic() + 20
    while found is None and monotonic() < end:
        await asyncio.sleep(0.02)
        found = await site.look()
    return found


async def until_settled(site: Driven) -> None:
    """Wait until what was applied is watched, and was found to be as it is to be."""
    for _ in range(3):
        await asyncio.sleep(0.5)
        assert await site.look() is None


def patched(hand: Hand, mark: int) -> set[str]:
    """Return which objects the target wrote, or tried to."""

    def is_ours(asked: Asked) -> bool:
        return asked.verb == "patch" and hand.namespace in asked.path and asked.agent.startswith("bellpull")

    return {each.path.partition("?")[0].rpartition("/")[2] for each in hand.plane.audit.since(mark, is_ours)}


async def test_what_no_watch_shows_is_found_by_a_full_look(hand: Hand) -> None:
    """Secrets are not watched; a look at everything names who changed one, quotes nothing, and has it undone."""
    async with driven(hand) as site:
        await site.commit(secret("1"), config_map(k="1"))
        hand.merge(secret("1"), {"data": secret("thEirs")["data"]})
        assert await site.look() is None
        found = await site.look(full=True)
        assert found == f"Secret/{hand.namespace}/s (.data.k of somebody)"
        counts = await site.again(secret("1"), config_map(k="1"))
        assert (counts.changed, counts.unchanged) == (1, 1)
        assert await site.look(full=True) is None
        live = hand.live(secret("1"))
        assert live is not None
        assert live["data"] == secret("1")["data"]


async def test_a_drift_asks_for_no_secret_that_nobody_touched(hand: Hand) -> None:
    """A correction goes to what drifted, and a commit to what cannot be watched as well."""
    async with driven(hand) as site:
        await site.commit(secret("1"), config_map(k="1"))
        hand.plane.ask("DELETE", hand.path(config_map()))
        found = await differing(site)
        assert found == f"ConfigMap/{hand.namespace}/a (deleted)"
        mark = hand.plane.audit.mark()
        await site.again(secret("1"), config_map(k="1"))
        assert patched(hand, mark) == {"a"}
        mark = hand.plane.audit.mark()
        await site.commit(secret("1"), config_map(k="1"))
        assert patched(hand, mark) == {"s"}


async def test_a_kind_that_is_defined_anew_has_its_objects_applied_again(hand: Hand) -> None:
    """M1: what a default or a list means may be another thing, and no version of an object says so."""
    kind = Kind(hand)
    text = {"type": "string"}
    async with kind.installed(version(mode=text)), driven(hand) as site:
        await site.commit(kind.widget(mode="fast"), config_map(k="1"))
        await until_settled(site)
        mark = hand.plane.audit.mark()
        await kind.change(version(mode=text, mood=text))
        assert await differing(site) == f"Widget/{hand.namespace}/w"
        counts = await site.again(kind.widget(mode="fast"), config_map(k="1"))
        assert (counts.changed, counts.unchanged) == (0, 2)
        assert await site.look() is None
        assert patched(hand, mark) == {"w"}


async def test_a_kind_that_comes_later_is_known_at_once(hand: Hand) -> None:
    """What is served is asked for again."""
    kind = Kind(hand)
    async with driven(hand) as site:
        await site.commit(config_map(k="1"))
        await until_settled(site)
        async with kind.installed(version(mode={"type": "string"})):
            counts = await site.commit(config_map(k="1"), kind.widget(mode="fast"))
            assert (counts.created, counts.unchanged) == (1, 1)


async def test_after_a_failure_all_is_looked_at_again(hand: Hand) -> None:
    """An object that was refused is neither remembered as applied, nor asked for while it is refused for nothing."""
    async with driven(hand) as site:
        await site.commit(config_map(k="1"))
        wrong = config_map("b") | {"data": {"not a key": "1"}}
        with pytest.raises(TargetError, match="1 of 2 objects are not as they are to be"):
            await site.commit(config_map(k="1"), wrong)
        assert await site.look() == "the cluster was not looked at since the agent started"
        counts = await site.commit(config_map(k="1"), config_map("b", k="1"))
        assert (counts.created, counts.unchanged) == (1, 1)


async def test_a_kind_that_may_not_be_watched_is_applied_with_each_commit(hand: Hand) -> None:
    """`drift: off` watches nothing at all."""
    mark = hand.plane.audit.mark()
    async with driven(hand, drift="off") as site:
        await site.commit(config_map(k="1"))
        hand.merge(config_map(), {"data": {"k": "theirs"}})
        assert await site.look(full=True) is None
        counts = await site.commit(config_map(k="1"))
        assert counts.changed == 1

        def is_watch(asked: Asked) -> bool:
            return asked.verb == "watch" and asked.agent.startswith("bellpull") and "/configmaps" in asked.path

        assert hand.plane.audit.since(mark, is_watch) == []


async def test_what_is_at_rest_is_not_looked_at(hand: Hand) -> None:
    """P7: nothing wakes for objects that stay as they are, nor for those that cannot be watched."""
    async with driven(hand) as site:
        await site.commit(secret("1"), config_map(k="1"))
        changes = site.target.changes()
        await anext(changes)
        await until_settled(site)
        assert site.target._watches is not None
        drift, awaited = site.target._watches
        assert (drift.next_s(), awaited.next_s()) == (None, None)
        assert not drift.turned.is_set()
        await changes.aclose()
