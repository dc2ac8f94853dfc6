"""What a real webhook and a real ValidatingAdmissionPolicy say about what is applied, and what is made of it.

A no is told with the object, whose it is and why; a webhook that is away passes; one that writes is not fought over;
and no object is deleted to be made anew where one of them would keep the new one out (M12).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.error import HTTPError

import pytest

from agent.app.kubernetes.opened import Opened
from agent.app.kubernetes.plan import Difference, differences
from agent.core.kubernetes.fields import apply_entry, entries
from agent.core.kubernetes.inventory import Member
from agent.core.kubernetes.object import Object
from agent.core.kubernetes.ownership import is_member
from agent.core.kubernetes.policy import Action, Done
from agent.ports.inventory import Held
from tests.agent.kubernetes.cluster import ONE, Hand, config_map, deployment, policy
from tests.agent.kubernetes.syncing import Sync, actions
from tests.parts.control_plane import ControlPlane
from tests.parts.webhook import Webhook, allow, deny, rewrite, until

ROOT: Final = "/apis/admissionregistration.k8s.io/v1"
FORCE: Final = policy(force=True)


@pytest.fixture
def webhook(hand: Hand) -> Webhook:
    return Webhook(hand.plane, hand.namespace)


@contextmanager
def a_policy(plane: ControlPlane, namespace: str, expression: str, message: str) -> Iterator[str]:
    """Have a ValidatingAdmissionPolicy for ConfigMaps and Secrets of a namespace; yields what it is called."""
    name = f"{namespace}.policy.example.org"
    rule = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"]}
    constraints = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "resourceRules": [rule | {"resources": ["configmaps", "secrets"]}],
    }
    spec = {"matchConstraints": constraints, "validations": [{"expression": expression, "message": message}]}
    kinds = {
        "ValidatingAdmissionPolicy": spec,
        "ValidatingAdmissionPolicyBinding": {"policyName": name, "validationActions": ["Deny"]},
    }
    plurals = {"ValidatingAdmissionPolicy": "validatingadmissionpolicies"}
    plurals["ValidatingAdmissionPolicyBinding"] = "validatingadmissionpolicybindings"
    for kind, wanted in kinds.items():
        item = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}}
        plane.ask("POST", f"{ROOT}/{plurals[kind]}", item | {"spec": wanted})
    try:
        until(lambda: _says_no(plane, namespace), "the policy is heeded")
        yield name
    finally:
        for plural in plurals.values():
            plane.ask("DELETE", f"{ROOT}/{plural}/{name}")


def _says_no(plane: ControlPlane, namespace: str) -> bool:
    try:
        plane.ask("POST", f"/api/v1/namespaces/{namespace}/configmaps?dryRun=All", config_map("probe", k="bad"))
    except HTTPError as error:
        return error.code == 422
    return False


async def differ(hand: Hand, item: Object, made: Done | None = None) -> Difference | None:
    (desired,) = await hand.desired(item)
    held = Held(members={desired.id: Member(id=desired.id, version="v1", record=made.record if made else None)})
    found = await differences(Opened(hand.client), held, [desired], policy())
    return found[0] if found else None


# -- who says no ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "words"),
    [
        pytest.param(deny("no image from there"), "denied the request: no image from there", id="as RBAC does"),
        pytest.param(deny("field is immutable", 422), "denied the request: field is immutable", id="a word of ours"),
        pytest.param({"allowed": False}, "denied the request without explanation", id="without a word"),
    ],
)
async def test_a_webhook_that_says_no_is_named(
    hand: Hand, webhook: Webhook, said: Mapping[str, Any], words: str
) -> None:
    """With the object, its file and the webhook's words; no right is proposed, and nothing is made anew."""
    webhook.decide = lambda _: said
    with webhook.configured("configmaps", "secrets"):
        refused = await hand.fail(config_map(k="1"), to=FORCE)
        secret = await hand.fail({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}})
        shown = await differ(hand, config_map(k="1"))
    place = f"{hand.namespace}/a (a.yaml:1)"
    assert str(refused) == f'ConfigMap/{place}: admission webhook "{webhook.name}" {words}'
    assert words in secret.problem
    assert not refused.passes
    assert shown is not None
    assert (shown.problem, hand.live(config_map())) == (refused.problem, None)


async def test_a_policy_that_says_no_is_named(hand: Hand) -> None:
    """With its binding, and its message; the others of the set are applied, and nothing goes."""
    sync = Sync(hand)
    await sync.run(config_map("old", k="1"), config_map("b", k="1"))
    expression = "!has(object.data) || !object.data.exists(name, object.data[name] in ['bad', 'YmFk'])"
    with a_policy(hand.plane, hand.namespace, expression, "bad is not allowed") as name:
        result = await sync.run(config_map("a", k="bad"), config_map("b", k="2"))
        secret = await hand.fail(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "bad"}}
        )
    (refused,) = result.undone
    words = f"ValidatingAdmissionPolicy '{name}' with binding '{name}' denied request: bad is not allowed"
    assert f"ConfigMap/{hand.namespace}/a (a.yaml:1)" in str(refused)
    assert words in refused.problem
    assert words in secret.problem
    assert not refused.passes
    assert {each.id.name: each.action for each in result.done} == {"b": Action.CONFIGURED}
    assert hand.live(config_map("old")) is not None
    after = actions(await sync.run(config_map("a", k="good"), config_map("b", k="2")))
    assert after == {"a": Action.CREATED, "b": Action.UNCHANGED, "old": Action.DELETED}


async def test_a_webhook_that_is_away_passes(hand: Hand, webhook: Webhook) -> None:
    """Its name is in the line, of a Secret as well; once it is back the same apply goes through."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    with webhook.configured("configmaps", "secrets"):
        webhook.stop()
        for item in (config_map(k="1"), secret):
            refused = await hand.fail(item)
            assert f'failed calling webhook "{webhook.name}"' in refused.problem
            assert "it is tried again, as the webhook may come back" in refused.problem
            assert refused.passes
        webhook.start()
        for item in (config_map(k="1"), secret):
            assert (await hand.apply(item)).action is Action.CREATED


# -- who writes -----------------------------------------------------------------------------------------------------


async def test_a_webhook_that_changes_what_we_apply_is_not_fought_over(hand: Hand, webhook: Webhook) -> None:
    """P7: what it makes of the same is the same; nothing is written, and nothing differs."""
    webhook.decide = lambda _: rewrite(
        {"op": "replace", "path": "/data/k", "value": "theirs"}, {"op": "add", "path": "/data/more", "value": "x"}
    )
    with webhook.configured("configmaps", mutating=True):
        made = await hand.apply(config_map(k="ours"))
        again = await hand.apply(config_map(k="ours"), made)
        found = await differ(hand, config_map(k="ours"), again)
        live = hand.live(config_map())
    assert live is not None
    assert (made.action, again.action, found) == (Action.CREATED, Action.UNCHANGED, None)
    assert made.record is not None
    assert live["metadata"]["resourceVersion"] == made.record.revision
    assert live["data"] == {"k": "theirs", "more": "x"}


async def test_what_a_webhook_changed_as_somebody_else_wrote_is_put_right(hand: Hand, webhook: Webhook) -> None:
    """Our entry does not show it: the webhook writes in the other's name, after it was worked out who owns what."""
    made = await hand.apply(config_map(k="ours"))
    before = hand.live(config_map())
    webhook.decide = lambda _: rewrite({"op": "replace", "path": "/data/k", "value": "theirs"})
    with webhook.configured("configmaps", mutating=True):
        hand.merge(config_map(), {"metadata": {"annotations": {"x": "y"}}})
    edited = hand.live(config_map())
    assert before is not None
    assert edited is not None
    assert edited["data"] == {"k": "theirs"}
    assert apply_entry(edited, ONE) == apply_entry(before, ONE)
    found = await differ(hand, config_map(k="ours"), made)
    assert found is not None
    await hand.apply(config_map(k="ours"), made)
    live = hand.live(config_map())
    assert live is not None
    assert live["data"] == {"k": "ours"}


async def test_a_webhook_with_side_effects_knows_a_dry_run(hand: Hand, webhook: Webhook) -> None:
    """`NoneOnDryRun`: a diff asks it with the dry run said, shows what it makes of it, and writes nothing."""
    webhook.decide = lambda _: rewrite({"op": "replace", "path": "/data/k", "value": "theirs"})
    with webhook.configured("configmaps", mutating=True, side_effects="NoneOnDryRun"):
        found = await differ(hand, config_map(k="ours"))
        diffed = [each["dryRun"] for each in webhook.asked]
        await hand.apply(config_map(k="ours"))
    assert found is not None
    assert found.planned is not None
    assert found.planned["data"] == {"k": "theirs"}
    assert diffed == [True]
    assert [each["dryRun"] for each in webhook.asked] == [True, False]


# -- M12 ------------------------------------------------------------------------------------------------------------


def selecting(app: str) -> Object:
    labels = {"app": app}
    item = deployment(selector={"matchLabels": labels})
    item["spec"]["template"]["metadata"]["labels"] = labels
    return item


def job(image: str) -> Object:
    containers = [{"name": "a", "image": image}]
    template = {"spec": {"containers": containers, "restartPolicy": "Never"}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, "spec": {"template": template}}


def locked(value: str) -> Object:
    return config_map(k=value) | {"immutable": True}


CASES: Final = {
    "a deployment": (selecting("one"), selecting("two")),
    "a job": (job("example.org/a:one"), job("example.org/a:two")),
    "an immutable one": (locked("one"), locked("two")),
}


def keeps_out(new: str, *, also_tried: bool) -> Any:
    """Return what says no to a creation with a word in it, where it is only tried or not."""

    def decide(request: Mapping[str, Any]) -> Mapping[str, Any]:
        is_meant = request["operation"] == "CREATE" and new in str(request["object"].get("spec", request["object"]))
        return deny("not that one") if is_meant and (also_tried or not request["dryRun"]) else allow(request)

    return decide


async def seen(hand: Hand, item: Object) -> Any:
    (desired,) = await hand.desired(item)
    return hand.plane.seen(desired.path)


@pytest.mark.parametrize("which", CASES)
async def test_what_a_webhook_would_keep_out_is_not_deleted(hand: Hand, webhook: Webhook, which: str) -> None:
    """The create that is only tried is asked about, too."""
    before, after = CASES[which]
    made = await hand.apply(before)
    old = await seen(hand, before)
    webhook.decide = keeps_out("two", also_tried=True)
    with webhook.configured("deployments", "jobs", "configmaps"):
        refused = await hand.fail(after, made, to=FORCE)
    live = await seen(hand, before)
    assert f'is not made anew: admission webhook "{webhook.name}" denied the request: not that one' in refused.problem
    assert live["metadata"]["uid"] == old["metadata"]["uid"]
    assert "deletionTimestamp" not in live["metadata"]


@pytest.mark.parametrize("which", CASES)
async def test_what_a_webhook_keeps_out_only_then_leaves_the_old_one_put_back(
    hand: Hand, webhook: Webhook, which: str
) -> None:
    """As it was, and still ours: what is next is tried on it, and it goes when Git drops it."""
    before, after = CASES[which]
    made = await hand.apply(before)
    hand.merge(before, {"metadata": {"annotations": {"theirs": "x"}}})
    old = await seen(hand, before)
    webhook.decide = keeps_out("two", also_tried=False)
    with webhook.configured("deployments", "jobs", "configmaps"):
        refused = await hand.fail(after, made, to=FORCE)
        live = await seen(hand, before)
    assert refused.problem.endswith("denied the request: not that one; the old one was put back")
    assert live["metadata"]["uid"] != old["metadata"]["uid"]
    assert live["metadata"]["annotations"]["theirs"] == "x"
    assert is_member(live, ONE, "applyset-one-v1")
    assert {each["manager"] for each in entries(live) if not each.get("subresource")} == {ONE, "somebody"}
    again = await hand.apply(after, made, to=FORCE)
    assert again.action is Action.RECREATED
    assert "two" in str(await seen(hand, after))


async def test_what_cannot_be_put_back_is_said_and_made_the_next_time(hand: Hand, webhook: Webhook) -> None:
    """Nobody may make anything, all of a sudden: both are told, and the next run has nothing in its way."""
    made = await hand.apply(locked("one"))
    webhook.decide = lambda request: allow(request) if request["dryRun"] else deny("nothing today")
    with webhook.configured("configmaps"):
        refused = await hand.fail(locked("two"), made, to=FORCE)
    assert refused.problem.count("nothing today") == 2
    assert "the old one cannot be put back" in refused.problem
    assert hand.live(locked("one")) is None
    again = await hand.apply(locked("two"), made, to=FORCE)
    assert again.action is Action.CREATED
