"""What a real API server says when it refuses, and what is made of it: rights, limits and what is going away."""

import asyncio
from typing import Any

import pytest

from agent.adapters.kubernetes.client import Client
from agent.core.kubernetes.answers import Refusal, RefusalKind, refusal
from agent.core.kubernetes.object import Object
from agent.core.kubernetes.requests import Answer, Content, Method, Request
from tests.agent.kubernetes.account import admit
from tests.parts.control_plane import ControlPlane


def apply(path: str, body: Object, user: str | None = None) -> Request:
    query = {"fieldManager": "one", "force": "true"}
    return Request(method=Method.PATCH, path=path, query=query, body=body, content=Content.APPLY, user=user)


async def refused(client: Client, path: str, body: Object, *, user: str | None = None) -> Refusal:
    """Apply what will not be taken."""
    answer = await client.send(apply(path, body, user))
    found = refusal(answer)
    assert found is not None, answer
    return found


def item(kind: str, name: str, version: str = "v1", **more: Any) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **more}


def pod(name: str = "a", **container: Any) -> Object:
    return item("Pod", name, spec={"containers": [{"name": "a", "image": "example.org/a:1", **container}]})


async def test_a_right_that_lacks_for_something_called_terminator(client: Client, namespace: str) -> None:
    """A name in the message is no reason."""
    path = f"/api/v1/namespaces/{namespace}/configmaps/terminator"
    user = f"system:serviceaccount:{namespace}:default"
    found = await refused(client, path, item("ConfigMap", "terminator"), user=user)
    assert (found.kind, found.passes) == (RefusalKind.FORBIDDEN, False)
    assert 'resources: ["configmaps"], verbs: ["patch"]' in found.advice()


async def test_a_namespace_that_is_going(client: Client, control_plane: ControlPlane) -> None:
    """It passes: once it is gone it can be made anew."""
    held = item("ConfigMap", "held")
    held["metadata"]["finalizers"] = ["tests.bellpull.dev/held"]
    with control_plane.namespace("test-going") as going:
        control_plane.ask("POST", f"/api/v1/namespaces/{going}/configmaps", held)
        control_plane.ask("DELETE", f"/api/v1/namespaces/{going}")
        try:
            found = await refused(client, f"/api/v1/namespaces/{going}/configmaps/a", item("ConfigMap", "a"))
        finally:
            control_plane.ask(
                "PATCH",
                f"/api/v1/namespaces/{going}/configmaps/held",
                {"metadata": {"finalizers": None}},
                content="application/merge-patch+json",
            )
    assert (found.kind, found.passes) == (RefusalKind.TERMINATING, True)


async def test_rules_about_objects_are_no_matter_of_rights(
    client: Client, control_plane: ControlPlane, namespace: str
) -> None:
    """Pod Security and limits answer 403 as RBAC does; a Role would not help, and none is proposed."""
    control_plane.ask(
        "PATCH",
        f"/api/v1/namespaces/{namespace}",
        {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}},
        content="application/merge-patch+json",
    )
    path = f"/api/v1/namespaces/{namespace}/pods/a"
    secure = await refused(client, path, pod(securityContext={"privileged": True}))
    limits = {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}
    control_plane.ask("POST", f"/api/v1/namespaces/{namespace}/limitranges", item("LimitRange", "small", spec=limits))
    limited = await refused(client, path, pod(resources={"limits": {"cpu": "2"}}))
    assert [found.kind for found in (secure, limited)] == [RefusalKind.DENIED] * 2
    assert 'violates PodSecurity "baseline' in secure.message
    assert "maximum cpu usage per Container is 1" in limited.message
    assert secure.advice() == secure.message


async def test_a_quota_that_is_used_up(client: Client, control_plane: ControlPlane, namespace: str) -> None:
    """It is no matter of rights either; the API server heeds it a moment after it was made."""
    root = f"/api/v1/namespaces/{namespace}"
    quota = item("ResourceQuota", "none", spec={"hard": {"configmaps": "0"}})
    control_plane.ask("POST", f"{root}/resourcequotas", quota)
    found = None
    for number in range(200):
        name = f"a{number}"
        found = refusal(await client.send(apply(f"{root}/configmaps/{name}", item("ConfigMap", name))))
        if found is not None:
            break
        await asyncio.sleep(0.1)
    assert found is not None
    assert found.kind is RefusalKind.QUOTA


async def test_rights_that_nobody_may_give_away(client: Client, control_plane: ControlPlane, namespace: str) -> None:
    """Who makes a Role needs all that is in it; that is a matter of rights."""
    group = "rbac.authorization.k8s.io"
    user = admit(
        control_plane, namespace, {"apiGroups": [group], "resources": ["roles"], "verbs": ["patch", "create", "get"]}
    )
    more = item("Role", "more", f"{group}/v1", rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}])
    found = await refused(client, f"/apis/{group}/v1/namespaces/{namespace}/roles/more", more, user=user)
    assert found.kind is RefusalKind.FORBIDDEN
    assert "is attempting to grant" in found.message


async def test_a_create_inside_an_apply_needs_its_own_right(
    client: Client, control_plane: ControlPlane, namespace: str
) -> None:
    """Who may only patch is told so when the object is not there yet."""
    user = admit(control_plane, namespace, {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]})
    path = f"/api/v1/namespaces/{namespace}/configmaps/a"
    found = await refused(client, path, item("ConfigMap", "a"), user=user)
    assert found.kind is RefusalKind.FORBIDDEN
    assert 'resources: ["configmaps"], verbs: ["create"]' in found.advice()


def status(code: int, message: str, reason: str = "", **details: Any) -> Answer:
    return Answer(status=code, body={"kind": "Status", "message": message, "reason": reason, "details": details})


@pytest.mark.parametrize(
    ("answer", "kind", "passes"),
    [
        pytest.param(
            Answer(status=503, body={"message": "apiserver is shutting down."}), "broken", True, id="stopping"
        ),
        pytest.param(Answer(status=502, body={"message": "<html>Bad Gateway"}), "broken", True, id="a proxy's"),
        pytest.param(
            Answer(status=403, body={"message": "<html>Blocked"}), "forbidden", False, id="a proxy's refusal"
        ),
        pytest.param(status(500, "etcdserver: leader changed"), "broken", True, id="etcd elects"),
        pytest.param(status(500, "etcdserver: request is too large"), "too-large", False, id="too large for etcd"),
        pytest.param(
            status(504, "Timeout: request did not complete within requested timeout", "Timeout"),
            "broken",
            True,
            id="too slow",
        ),
        pytest.param(
            status(
                500,
                'Internal error occurred: failed calling webhook "v.example.org": failed to call webhook: Post '
                '"https://v.shop.svc:443/": service "v" not found',
                "InternalError",
            ),
            "webhook-down",
            True,
            id="a webhook is down",
        ),
        pytest.param(
            status(400, 'admission webhook "v.example.org" denied the request: no', "BadRequest"),
            "denied",
            False,
            id="a webhook says no",
        ),
        pytest.param(
            status(403, 'admission webhook "v.example.org" denied the request: "terminate" is missing', "Forbidden"),
            "denied",
            False,
            id="a webhook says no with a word of ours",
        ),
        pytest.param(
            status(422, "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no", "Invalid"),
            "denied",
            False,
            id="a policy says no",
        ),
        pytest.param(
            status(409, "Operation cannot be fulfilled: the object has been modified", "Conflict"),
            "moved",
            True,
            id="written meanwhile",
        ),
        pytest.param(status(409, 'configmaps "a" already exists', "AlreadyExists"), "exists", False, id="taken"),
        pytest.param(
            status(500, "failed to prune fields: failed add back owned items: .spec.a: field not declared in schema"),
            "outdated",
            False,
            id="an entry of an older schema",
        ),
    ],
)
def test_what_a_refusal_means(answer: Answer, kind: str, *, passes: bool) -> None:
    """Texts as API servers and webhooks write them, where one server cannot be made to."""
    found = refusal(answer)
    assert found is not None
    assert (found.kind, found.passes) == (kind, passes)


def test_all_fields_that_no_schema_has_are_named() -> None:
    """As many as the API server came to before it stopped, which differs from time to time."""
    head = "failed to create typed patch object (shop/web; apps/v1, Kind=Deployment): errors:"
    lines = (".spec.replicas: expected numeric (int or float), got string", ".spec.sel: field not declared in schema")
    found = refusal(status(500, "\n  ".join((head, *lines, ".sped: field not declared in schema"))))
    assert found is not None
    assert "; .spec.sel, .sped are not in the schema of the kind" in found.advice()
