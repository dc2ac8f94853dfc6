"""A Sync that applies sets of objects, as tests of whole runs need it."""

from dataclasses import replace
from time import monotonic
from typing import Any

from agent.adapters.kubernetes.parent import ParentInventory, ParentKind
from agent.app.kubernetes.opened import Opened
from agent.app.kubernetes.reconcile import Result, reconcile
from agent.core.kubernetes.object import Object
from agent.core.kubernetes.ownership import field_manager
from agent.core.kubernetes.policy import Action, Policy
from bellpull.runtime.clock import utc_now
from tests.agent.kubernetes.cluster import Hand

__all__ = ["Sync", "actions"]


class Sync:
    """One that applies in the hand's namespace, and whose inventory is there."""

    def __init__(self, hand: Hand, name: str = "site") -> None:
        self.hand = hand
        self.inventory = ParentInventory(
            hand.client,
            kind=ParentKind.CONFIG_MAP,
            namespace=hand.namespace,
            name=f"bellpull-sync-{name}",
            holder="web-1",
            now=utc_now,
        )
        self.policy = Policy(
            manager=field_manager(f"{hand.namespace}/{name}"), parent=self.inventory.parent, key=b"k"
        )

    async def run(self, *items: Object, **policy: Any) -> Result:
        """Make the cluster match these."""
        desired = await self.hand.desired(*items)
        self.hand.discovery.forget()
        return await reconcile(Opened(self.hand.client), self.inventory, desired, replace(self.policy, **policy))

    async def run_until_gone(self, *items: Object) -> Result:
        """Make the cluster match these, again and again while something is being deleted."""
        end = monotonic() + 60
        while True:
            result = await self.run(*items)
            if not any(each.problem.startswith("is being deleted") for each in result.undone):
                return result
            assert monotonic() < end, result.undone

    async def members(self) -> list[str]:
        return sorted(str(which.name) for which in (await self.inventory.load()).members)


def actions(result: Result) -> dict[str, Action]:
    assert not result.undone, result.undone
    return {each.id.name: each.action for each in result.done}
