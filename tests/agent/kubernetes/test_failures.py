"""What goes wrong, row by row (research/apply.md, section 7): each holds only what it must, and passes at once.

`ROWS` names the test of every row, here or elsewhere; what one API server cannot show is a test of the decider.
"""

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, Final

import pytest

from agent.app.kubernetes import applier, pruner
from agent.core.kubernetes.object import Object
from agent.ports.target import Change, TargetError
from bellpull.contract.report import Counts
from tests.agent.kubernetes.cluster import Hand, config_map, deployment
from tests.agent.kubernetes.driving import Driven, driven
from tests.agent.kubernetes.kinds import TEXT, Kind, version
from tests.agent.kubernetes.syncing import Sync, actions
from tests.parts.webhook import until

AT_ONCE_S: Final = 8.0
"""Far below the shortest time that a Sync which failed for a while waits."""
HOLD: Final = "tests.bellpull.dev/hold"
MERGE: Final = "application/merge-patch+json"


@asynccontextmanager
async def watching(site: Driven) -> AsyncIterator[asyncio.Queue[Change]]:
    """Hear what the target says of changes."""
    heard: asyncio.Queue[Change] = asyncio.Queue()
    changes = site.target.changes()

    async def hear() -> None:
        async for change in changes:
            heard.put_nowait(change)

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(hear())
        assert await heard.get() is Change.DRIFT
        yield heard
        running.cancel()


async def comes(heard: asyncio.Queue[Change]) -> None:
    """Wait until it is said that what was lacking has come."""
    async with asyncio.timeout(AT_ONCE_S):
        while await heard.get() is not Change.COME:
            pass


async def refused(site: Driven, *items: Object) -> str:
    with pytest.raises(TargetError) as raised:
        await site.commit(*items)
    assert not raised.value.permanent
    return str(raised.value)


async def in_the_end(site: Driven, heard: asyncio.Queue[Change], *items: Object) -> Counts:
    """Apply once more each time something has come, until all is applied."""
    end = monotonic() + 2 * AT_ONCE_S
    while True:
        await comes(heard)
        try:
            return await site.again(*items)
        except TargetError:
            assert monotonic() < end


# -- kinds ----------------------------------------------------------------------------------------------------------


async def test_a_kind_that_is_not_there_holds_only_its_objects(hand: Hand) -> None:
    """The others are applied, nothing is deleted; it is tried again as soon as the kind is served."""
    kind = Kind(hand)
    async with driven(hand) as site, watching(site) as heard:
        await site.commit(config_map("a", k="1"), config_map("old"))
        problem = await refused(site, kind.widget(size="1"), config_map("a", k="2"), config_map("b"))
        assert f"Widget/{hand.namespace}/w (all.yaml:1): Widget.{kind.group} is not served by the cluster" in problem
        assert "1 of 3 objects are not as they are to be" in problem
        found = [hand.live(config_map(name)) for name in ("a", "b", "old")]
        assert [each["data"] if each and "data" in each else bool(each) for each in found] == [{"k": "2"}, True, True]
        async with kind.installed(version(size=TEXT)):
            counts = await in_the_end(site, heard, kind.widget(size="1"), config_map("a", k="2"), config_map("b"))
            assert (counts.created, counts.unchanged, counts.deleted) == (1, 2, 1)
            assert hand.live(kind.widget()) is not None


async def test_objects_whose_kind_went_are_no_loss(hand: Hand) -> None:
    """P9: whoever removed the definition took them along; Git still has them, and they come back with it."""
    kind = Kind(hand)
    widgets = [{**kind.widget(size="1"), "metadata": {"name": f"w{number}"}} for number in range(3)]
    async with driven(hand) as site, watching(site) as heard:
        async with kind.installed(version(size=TEXT)):
            await site.commit(*widgets, config_map("a", k="1"))
        hand.discovery.forget()
        until(lambda: hand.plane.seen(hand.path(widgets[0])) is None, "they are gone")
        problem = await refused(site, *widgets, config_map("a", k="2"))
        assert "3 of 4 objects are not as they are to be" in problem
        problem = await refused(site, *widgets, config_map("a", k="2"))  # by now it is known what is served
        assert f"w0 (all.yaml:1): Widget.{kind.group} is not served by the cluster" in problem
        found = hand.live(config_map("a"))
        assert found is not None
        assert found["data"] == {"k": "2"}
        async with kind.installed(version(size=TEXT)):
            assert (await in_the_end(site, heard, *widgets, config_map("a", k="2"))).created == 3


# -- namespaces -----------------------------------------------------------------------------------------------------


async def test_a_namespace_that_is_not_there_is_waited_for(hand: Hand) -> None:
    """Who may make it is told so; once it is there the objects are."""
    name = f"{hand.namespace}-later"
    inside = config_map("a") | {"metadata": {"name": "a", "namespace": name}}
    async with driven(hand) as site, watching(site) as heard:
        problem = await refused(site, inside, config_map("b"))
        assert f'namespaces "{name}" not found; add the namespace to the manifests, or make it' in problem
        assert hand.live(config_map("b")) is not None
        with hand.plane.namespace(name):
            assert (await in_the_end(site, heard, inside, config_map("b"))).created == 1


@asynccontextmanager
async def going(hand: Hand) -> AsyncIterator[str]:
    """Have a namespace that is being deleted while the context lasts; then what holds it is let go."""
    name = f"{hand.namespace}-going"
    path = f"/api/v1/namespaces/{name}/configmaps"
    with hand.plane.namespace(name):
        held = config_map("held") | {"metadata": {"name": "held", "finalizers": [HOLD]}}
        hand.plane.ask("POST", path, held)
        hand.plane.ask("DELETE", f"/api/v1/namespaces/{name}")

        def is_said() -> bool:
            status = hand.plane.seen(f"/api/v1/namespaces/{name}")["status"]
            return any(each["type"] == "NamespaceFinalizersRemaining" for each in status.get("conditions") or [])

        try:
            await asyncio.to_thread(until, is_said, "its conditions say why it stays")
            yield name
        finally:
            hand.plane.ask("PATCH", f"{path}/held", {"metadata": {"finalizers": None}}, content=MERGE)
    # Its controller looks again after eight seconds.
    await asyncio.to_thread(until, lambda: hand.plane.seen(f"/api/v1/namespaces/{name}") is None, "it is gone")


async def test_a_namespace_that_is_going_says_what_holds_it(hand: Hand) -> None:
    """And as soon as it is gone that is known; here nobody makes it again."""
    async with driven(hand) as site, watching(site) as heard:
        async with going(hand) as name:
            inside = config_map("a") | {"metadata": {"name": "a", "namespace": name}}
            problem = await refused(site, inside)
            assert "because it is being terminated; the namespace is being deleted since 20" in problem
            assert "NamespaceFinalizersRemaining (" in problem
            assert f"{HOLD} in 1 resource instances" in problem
            assert heard.empty()
        await comes(heard)
        assert f'namespaces "{name}" not found' in await refused(site, inside)


async def test_a_namespace_of_git_that_is_going_is_made_again(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applier, "_GONE_S", 0.3)
    async with driven(hand) as site, watching(site) as heard:
        async with going(hand) as name:
            items: list[Object] = [
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
                config_map("a") | {"metadata": {"name": "a", "namespace": name}},
            ]
            problem = await refused(site, *items)
            assert f"Namespace/{name} (all.yaml:1): is being deleted since 20" in problem
            assert f"{HOLD} in 1 resource instances" in problem
        assert (await in_the_end(site, heard, *items)).created == 2


# -- finalizers -----------------------------------------------------------------------------------------------------


async def test_what_a_finalizer_holds_ends_the_run_and_its_end_begins_one(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stuck, it is said with what holds it, and since when; Git's new object waits for it as well."""
    monkeypatch.setattr(pruner, "_GONE_S", 0.3)
    monkeypatch.setattr(applier, "_GONE_S", 0.3)
    free = {"metadata": {"finalizers": None}}
    async with driven(hand) as site, watching(site) as heard:
        await site.commit(config_map("a"), config_map("b"))
        hand.merge(config_map("b"), {"metadata": {"finalizers": [HOLD]}})
        problem = await refused(site, config_map("a"))
        assert f"ConfigMap/{hand.namespace}/b: is being deleted since 20" in problem
        assert f"held by {HOLD}" in problem
        problem = await refused(site, config_map("a"), config_map("b", k="new"))
        assert f"held by {HOLD}; it is made again once it is gone" in problem
        hand.merge(config_map("b"), free)
        assert (await in_the_end(site, heard, config_map("a"), config_map("b", k="new"))).created == 1


# -- webhooks -------------------------------------------------------------------------------------------------------


async def test_a_webhook_whose_service_is_not_there_holds_nothing_else(hand: Hand) -> None:
    """Its name and its Service are said; what comes later is applied, as the webhook's own server may be among it."""
    root = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    name = f"{hand.namespace}.away.example.org"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    webhook = {
        "name": name,
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "clientConfig": {"service": {"namespace": hand.namespace, "name": "hook"}},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": hand.namespace}},
        "objectSelector": {"matchLabels": {"asked": "yes"}},
        "rules": [rule],
    }
    asked = config_map("a") | {"metadata": {"name": "a", "labels": {"asked": "yes"}}}
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration"}
    hand.plane.ask("POST", root, kind | {"metadata": {"name": name}, "webhooks": [webhook]})
    try:
        probe = f"/api/v1/namespaces/{hand.namespace}/configmaps?dryRun=All"
        await asyncio.to_thread(until, lambda: _is_refused(hand, probe, asked), "it is asked")
        async with driven(hand) as site:
            problem = await refused(site, asked, config_map("b"), deployment())
            assert f'failed calling webhook "{name}"' in problem
            assert f"; it is asked at the Service {hand.namespace}/hook; it is tried again" in problem
            assert [bool(hand.live(each)) for each in (asked, config_map("b"), deployment())] == [False, True, True]
    finally:
        hand.plane.ask("DELETE", f"{root}/{name}")


def _is_refused(hand: Hand, path: str, item: Object) -> bool:
    try:
        hand.plane.ask("POST", path, item)
    except OSError:
        return True
    return False


# -- one object under two groups ------------------------------------------------------------------------------------


def _event(api_version: str, **more: Any) -> Object:
    return {
        "apiVersion": api_version,
        "kind": "Event",
        "metadata": {"name": "e"},
        "reason": "Tested",
        "type": "Normal",
        "action": "Test",
        "reportingController": "tests.bellpull.dev/test",
        "eventTime": "2026-01-01T00:00:00.000000Z",
        **more,
    }


async def test_an_object_that_two_groups_serve_is_one(hand: Hand) -> None:
    """Written in both it is refused; where Git changes from one to the other it is not deleted."""
    sync = Sync(hand)
    about = {"kind": "ConfigMap", "namespace": hand.namespace, "name": "a"}
    core = _event("v1", involvedObject=about, reportingComponent="tests.bellpull.dev/test", reportingInstance="t")
    core.pop("reportingController")
    other = _event("events.k8s.io/v1", regarding=about, reportingInstance="t")
    made = await sync.run(core)
    assert not made.undone
    both = await sync.run(core, other)
    (twin,) = both.undone
    assert f"is Event Event/{hand.namespace}/e as well: the API server has it in both groups" in twin.problem
    after = await sync.run(other)
    assert "which stays" in " ".join(note for each in after.done for note in each.notes)
    assert actions(after)
    assert hand.live(core) is not None
    assert len((await sync.inventory.load()).members) == 1


# -- the table ------------------------------------------------------------------------------------------------------

ROWS: Final = {
    "partial apply": ("test_reconcile", "test_nothing_is_deleted_while_something_could_not_be_applied"),
    "validation webhook down": ("test_failures", "test_a_webhook_whose_service_is_not_there_holds_nothing_else"),
    "webhook or policy denies": ("test_admission", "test_a_policy_that_says_no_is_named"),
    "webhook has no dry run": ("test_admission", "test_a_webhook_with_side_effects_knows_a_dry_run"),
    "RBAC 403": ("test_refusals", "test_a_create_inside_an_apply_needs_its_own_right"),
    "namespace missing": ("test_failures", "test_a_namespace_that_is_not_there_is_waited_for"),
    "namespace terminating": ("test_failures", "test_a_namespace_that_is_going_says_what_holds_it"),
    "unknown kind": ("test_failures", "test_a_kind_that_is_not_there_holds_only_its_objects"),
    "invalid manifest": ("test_traps", "test_a_field_that_a_kind_does_not_have_is_an_error"),
    "oversized": ("test_normalise", "test_what_is_too_large_is_found_before_it_is_sent"),
    "duplicate ids": ("test_normalise", "test_what_is_wrong_says_where"),
    "duplicate ids, two groups": ("test_failures", "test_an_object_that_two_groups_serve_is_one"),
    "two apps own one object": ("test_reconcile", "test_two_syncs_never_delete_each_others_objects"),
    "empty render": ("test_reconcile", "test_an_empty_source_deletes_nothing"),
    "mass deletion": ("test_reconcile", "test_a_mass_deletion_is_refused_before_anything_is_written"),
    "CRD removed from Git": (
        "test_reconcile",
        "test_a_kind_comes_before_its_objects_and_does_not_take_others_along",
    ),
    "Namespace removed": ("test_reconcile", "test_a_namespace_that_holds_what_is_not_ours_stays"),
    "stuck finalizer": ("test_failures", "test_what_a_finalizer_holds_ends_the_run_and_its_end_begins_one"),
    "SSA on a terminating object": ("test_applier", "test_one_that_is_being_deleted_is_waited_for_and_made_again"),
    "etcd anomalies": ("test_collection", None),
}
"""Row of the table → module and test. Impersonation and variables come with later work; the path that vanished and
an API server that is away are in `tests/e2e`."""


@pytest.mark.parametrize("row", ROWS)
def test_every_row_has_its_test(row: str) -> None:
    module, name = ROWS[row]
    found = importlib.import_module(f"tests.agent.kubernetes.{module}")
    assert name is None or callable(getattr(found, name))
