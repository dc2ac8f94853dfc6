"""What a Sync made is found again on a real API server where its inventory is lost (M5)."""

from pathlib import Path

import pytest

from agent.adapters.kubernetes.client import connect
from agent.app.kubernetes.opened import Opened
from agent.app.kubernetes.plan import differences
from agent.app.kubernetes.reconcile import GuardedError
from agent.core.kubernetes.policy import Action
from tests.agent.kubernetes.account import admit, write_kubeconfig
from tests.agent.kubernetes.cluster import Hand, config_map, deployment
from tests.agent.kubernetes.syncing import Sync, actions


async def lose(hand: Hand) -> Sync:
    """Delete the inventory of `site`, and return who comes after and knows nothing."""
    hand.plane.ask("DELETE", f"/api/v1/namespaces/{hand.namespace}/configmaps/bellpull-sync-site")
    return Sync(hand)


async def test_what_git_lost_meanwhile_goes(hand: Hand) -> None:
    """Of whatever kind; what is somebody else's, or a clone with our label, stays."""
    await Sync(hand).run(config_map("a", k="1"), config_map("b", k="1"), deployment())
    await Sync(hand, "other").run(config_map("theirs", k="1"))
    live = hand.live(config_map("a"))
    assert live is not None
    clone = config_map("clone", k="1")
    clone["metadata"]["labels"] = live["metadata"]["labels"]
    hand.create(clone)
    after = await lose(hand)
    result = await after.run(config_map("a", k="1"))
    assert actions(result) == {"a": Action.CONFIGURED, "b": Action.DELETED, "web": Action.DELETED}
    assert result.found is not None
    assert sorted(each.id.name for each in result.found.members) == ["b", "web"]
    assert hand.live(config_map("clone")) is not None
    assert hand.live(config_map("theirs")) is not None
    assert await after.members() == ["a"]
    assert (await after.run(config_map("a", k="1"))).found is None


async def test_nothing_goes_before_all_was_applied(hand: Hand) -> None:
    """And the next run looks again, also one that starts anew."""
    await Sync(hand).run(config_map("a", k="1"), config_map("b", k="1"))
    result = await (await lose(hand)).run(config_map("a", k="1"), deployment(replicas=-1))
    assert [each.id.name for each in result.undone] == ["web"]
    assert hand.live(config_map("b")) is not None
    assert actions(await Sync(hand).run(config_map("a", k="1")))["b"] is Action.DELETED


async def test_the_guard_sees_what_was_found(hand: Hand) -> None:
    """P9: and refuses it from then on before anything is written."""
    many = [config_map(f"n{n}", k="1") for n in range(20)]
    await Sync(hand).run(*many)
    after = await lose(hand)
    with pytest.raises(GuardedError, match=r"15 of 20 objects would go .*; all was applied, and nothing was deleted"):
        await after.run(*many[:5])
    with pytest.raises(GuardedError, match=r"15 of 20 objects would go .*; nothing was written"):
        await Sync(hand).run(*many[:5])
    assert hand.live(many[19]) is not None


async def test_a_diff_shows_what_was_forgotten(hand: Hand) -> None:
    await Sync(hand).run(config_map("a", k="1"), config_map("b", k="1"))
    after = await lose(hand)
    opened, desired = Opened(hand.client), await hand.desired(config_map("a", k="1"))
    held = await opened.forgotten.all_of(after.inventory, after.policy.manager, desired)
    (found,) = await differences(opened, held, desired, after.policy)
    assert (found.id.name, found.planned) == ("b", None)


async def test_who_may_list_only_in_namespaces_finds_what_is_there(hand: Hand, tmp_path: Path) -> None:
    """And says which kinds nobody let it list."""
    sync = Sync(hand)
    await sync.run(config_map("a", k="1"), config_map("b", k="1"), deployment())
    admit(hand.plane, hand.namespace, {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]})
    kubeconfig = write_kubeconfig(hand.plane, hand.namespace, tmp_path / "kubeconfig")
    desired = await hand.desired(config_map("a", k="1"))
    async with connect(kubeconfig) as client:
        found = await Opened(client).forgotten.find(sync.inventory, sync.policy.manager, desired)
    assert sorted(each.id.name for each in found.members) == ["a", "b"]
    assert any(each.startswith("deployments (") for each in found.unlisted)
    assert not any(each.startswith("configmaps (") for each in found.unlisted)
