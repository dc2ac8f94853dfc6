"""The client against a real API server: what it answers is what is made of it (research: SSA, errors, discovery)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.adapters.kubernetes.client import Client, connect
from agent.adapters.kubernetes.discovery import Discovery
from agent.core.kubernetes.answers import RefusalKind, refusal
from agent.core.kubernetes.object import GroupKind, Object
from agent.core.kubernetes.requests import Accept, Answer, Content, Method, Request
from agent.ports.cluster import ClusterError
from tests.parts.control_plane import ControlPlane


def config_map(namespace: str, name: str = "a", **data: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": data,
    }


def put(path: str, body: Object, *, manager: str = "one", force: bool = True, **query: str) -> Request:
    asked = {"fieldManager": manager, "force": str(force).lower(), **query}
    return Request(
        method=Method.PATCH, path=path, query=asked, body=body, content=Content.APPLY, accept=Accept.METADATA
    )


async def test_an_apply_creates_keeps_and_changes(client: Client, namespace: str) -> None:
    """201, 200 without a write, 200 with one; the answer is metadata alone."""
    path = f"/api/v1/namespaces/{namespace}/configmaps/a"
    made = await client.send(put(path, config_map(namespace, k="1")))
    kept = await client.send(put(path, config_map(namespace, k="1")))
    changed = await client.send(put(path, config_map(namespace, k="2")))
    versions = [answer.body["metadata"]["resourceVersion"] for answer in (made, kept, changed)]
    assert [answer.status for answer in (made, kept, changed)] == [201, 200, 200]
    assert versions[0] == versions[1] != versions[2]
    assert "data" not in made.body
    assert made.body["metadata"]["managedFields"][0]["manager"] == "one"


def deployment(namespace: str, **spec: Any) -> Object:
    labels = {"app": "web"}
    container = {"name": "web", "image": "example.org/web:1"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    wanted = {"selector": {"matchLabels": labels}, "template": template} | spec
    metadata = {"name": "web", "namespace": namespace}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": wanted}


async def refused(client: Client, request: Request) -> tuple[RefusalKind, str, bool]:
    answer = await client.send(request)
    found = refusal(answer)
    assert found is not None, answer
    return found.kind, found.advice(), found.passes


async def test_a_conflict_names_managers_and_fields(client: Client, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps/a"
    await client.send(put(path, config_map(namespace, k="1")))
    found = refusal(await client.send(put(path, config_map(namespace, k="2"), manager="two", force=False)))
    assert found is not None
    assert found.kind is RefusalKind.CONFLICT
    assert [(cause.manager, cause.field) for cause in found.causes] == [("one", ".data.k")]


async def test_what_is_wrong_with_an_object(client: Client, namespace: str) -> None:
    """An unknown field is a 500, and no reason to try again; values are a 422; what may not change is said apart."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web"
    kind, message, passes = await refused(client, put(path, deployment(namespace, replcas=1)))
    assert (kind, passes) == (RefusalKind.UNKNOWN_FIELD, False)
    assert ".spec.replcas: field not declared in schema" in message
    kind, message, passes = await refused(client, put(path, deployment(namespace, replicas=-1)))
    assert (kind, passes) == (RefusalKind.INVALID, False)
    assert "spec.replicas" in message
    await client.send(put(path, deployment(namespace)))
    other = {"matchLabels": {"app": "other"}}
    moved = deployment(namespace, selector=other)
    moved["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    kind, message, passes = await refused(client, put(path, moved))
    assert (kind, passes) == (RefusalKind.IMMUTABLE, False)
    moved["spec"]["replicas"] = -1
    assert (await refused(client, put(path, moved)))[0] is RefusalKind.INVALID


async def test_what_is_not_there(client: Client, namespace: str) -> None:
    """No namespace, no kind, no object: three answers of 404."""
    missing = put("/api/v1/namespaces/nowhere/configmaps/a", config_map("nowhere"))
    assert (await refused(client, missing))[0] is RefusalKind.NO_NAMESPACE
    no_kind = put(f"/apis/example.org/v1/namespaces/{namespace}/widgets/a", {"apiVersion": "example.org/v1"})
    assert (await refused(client, no_kind))[0] is RefusalKind.NO_KIND
    absent = Request(method=Method.GET, path=f"/api/v1/namespaces/{namespace}/configmaps/absent")
    assert (await refused(client, absent))[0] is RefusalKind.NOT_FOUND


async def test_another_object_of_the_same_name_is_not_written(client: Client, namespace: str) -> None:
    """M8: with the uid of what was meant, an apply can only update it."""
    path = f"/api/v1/namespaces/{namespace}/configmaps/a"
    meant = config_map(namespace)
    meant["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000"
    assert (await refused(client, put(path, meant)))[0] is RefusalKind.MOVED
    await client.send(put(path, config_map(namespace)))
    assert (await refused(client, put(path, meant)))[0] is RefusalKind.MOVED


async def test_who_lacks_a_right_is_told_the_rule_to_add(client: Client, namespace: str) -> None:
    """Of the impersonated account: the tenant's."""
    request = put(f"/api/v1/namespaces/{namespace}/configmaps/a", config_map(namespace))
    user = f"system:serviceaccount:{namespace}:default"
    asked = Request(
        method=request.method,
        path=request.path,
        query=request.query,
        body=request.body,
        content=Content.APPLY,
        user=user,
    )
    kind, message, passes = await refused(client, asked)
    assert (kind, passes) == (RefusalKind.FORBIDDEN, False)
    rule = '{apiGroups: [""], resources: ["configmaps"], verbs: ["patch"]}'
    assert f"add to a Role in {namespace}, bound to {user}: {rule}" in message


async def test_an_object_that_is_too_large(client: Client, namespace: str) -> None:
    large = config_map(namespace, k="x" * (4 << 20))
    path = f"/api/v1/namespaces/{namespace}/configmaps/a"
    assert (await refused(client, put(path, large)))[0] is RefusalKind.TOO_LARGE


async def test_warnings_are_heard(client: Client, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web"
    doubtful = deployment(namespace)
    doubtful["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "A", "value": "x"}]
    doubtful["spec"]["template"]["metadata"]["annotations"] = {
        "container.apparmor.security.beta.kubernetes.io/web": "runtime/default"
    }
    answer = await client.send(put(path, doubtful))
    assert answer.status == 201
    assert any("apparmor" in warning for warning in answer.warnings)


async def test_discovery_knows_what_is_served_and_learns(client: Client, control_plane: ControlPlane) -> None:
    """In two requests; what has not changed is not sent again."""
    discovery = Discovery(client)
    mark = control_plane.audit.mark()
    known = await discovery.resources()
    web = known.find(GroupKind("apps", "Deployment"), "v1")
    assert web is not None
    assert web.path("shop", "web") == "/apis/apps/v1/namespaces/shop/deployments/web"
    role = known.find(GroupKind("rbac.authorization.k8s.io", "ClusterRole"))
    assert role is not None
    assert (role.namespaced, role.path(name="system:node")) == (
        False,
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
    )
    assert known.find(GroupKind("autoscaling", "Scale")) is None
    assert known.find(GroupKind("test.bellpull.dev", "Widget")) is None
    await discovery.resources()
    discovery.forget()
    assert await discovery.resources() is known
    asked = control_plane.audit.since(
        mark, lambda asked: asked.path in ("/api", "/apis") and "bellpull" in asked.agent
    )
    assert [each.status for each in asked] == [200, 200, 304, 304]


@asynccontextmanager
async def listening(answers: list[bytes]) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Serve these answers, one a connection; an empty one is a connection that breaks."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answers[min(len(asked), len(answers)) - 1])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


def said(status: str, *headers: str, body: bytes = b"{}") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def kubeconfig(folder: Path, url: str) -> Path:
    path = folder / "kubeconfig"
    path.write_text(
        f"{{apiVersion: v1, kind: Config, current-context: a, clusters: [{{name: a, cluster: {{server: '{url}'}}}}], "
        "users: [{name: a, user: {token: s3cret}}], contexts: [{name: a, context: {cluster: a, user: a}}]}"
    )
    return path


BUSY = said("429 Too Many Requests", "Retry-After: 0")
STOPPING = said("503 Service Unavailable")
OK = said("200 OK", body=b'{"kind":"Status"}')
TYPED = said("500 Internal Server Error", body=b'{"message":"failed to create typed patch object (a/b; v1)"}')
GET = Request(method=Method.GET, path="/version")
CREATE = Request(method=Method.POST, path="/api", body={}, repeatable=False)


@pytest.mark.parametrize(
    ("request_", "answers", "status", "times"),
    [
        pytest.param(GET, [BUSY, BUSY, OK], 200, 3, id="too many requests"),
        pytest.param(GET, [STOPPING, OK], 200, 2, id="stopping"),
        pytest.param(GET, [b"", b"", OK], 200, 3, id="a connection that breaks"),
        pytest.param(CREATE, [BUSY, OK], 200, 2, id="a create that was not looked at"),
        pytest.param(CREATE, [STOPPING, OK], 503, 1, id="a create that may have been done"),
        pytest.param(GET, [TYPED, OK], 500, 1, id="what does not fit the schema"),
        pytest.param(GET, [said("403 Forbidden"), OK], 403, 1, id="a refusal"),
        pytest.param(GET, [said("404 Not Found", body=b"404 page not found")], 404, 1, id="no JSON"),
    ],
)
async def test_what_passes_by_itself_is_asked_again(
    tmp_path: Path, request_: Request, answers: list[bytes], status: int, times: int
) -> None:
    async with listening(answers) as (url, asked), connect(kubeconfig(tmp_path, url)) as client:
        answer = await client.send(request_)
    assert (answer.status, len(asked)) == (status, times)


async def test_a_create_whose_connection_broke_is_not_repeated(tmp_path: Path) -> None:
    async with listening([b"", OK]) as (url, asked), connect(kubeconfig(tmp_path, url)) as client:
        with pytest.raises(ClusterError, match="the connection broke"):
            await client.send(CREATE)
    assert len(asked) == 1


async def test_a_token_that_was_changed_is_read_again(tmp_path: Path) -> None:
    """At a 401, once for each request; and no error has it."""
    async with listening([said("401 Unauthorized"), OK, said("401 Unauthorized")]) as (url, asked):
        path = kubeconfig(tmp_path, url)
        async with connect(path) as client:
            path.write_text(path.read_text().replace("s3cret", "n3w"))
            assert (await client.send(GET)).status == 200
            still = await client.send(GET)
    assert [b"Bearer n3w" in each for each in asked] == [False, True, True, True]
    assert still.status == 401
    assert "n3w" not in str(still)


async def test_a_server_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    over = asyncio.Event()

    async def be_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        over.set()

    server = await asyncio.start_server(be_silent, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, connect(kubeconfig(tmp_path, url)) as client:
        with pytest.raises(ClusterError, match=r"no answer to GET /version within 0 s"):
            await client.send(Request(method=Method.GET, path="/version", timeout_s=0.2))
        await over.wait()


async def test_reasons_for_no_answer(tmp_path: Path, control_plane: ControlPlane) -> None:
    """Each says where and what to do."""
    async with connect(kubeconfig(tmp_path, "http://127.0.0.1:1")) as client:
        with pytest.raises(ClusterError, match=r"http://127.0.0.1:1: cannot be reached: .*refused"):
            await client.send(GET)
    async with connect(kubeconfig(tmp_path, control_plane.url)) as client:
        with pytest.raises(ClusterError, match=r"its certificate is not trusted .* certificate-authority"):
            await client.send(GET)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("", "kubeconfig", id="empty"),
        pytest.param("[", "kubeconfig", id="no YAML"),
        pytest.param("{apiVersion: v1, kind: Config}", "kubeconfig", id="nothing in it"),
    ],
)
async def test_a_kubeconfig_that_says_too_little(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(ClusterError, match=problem):
        async with connect(path):
            raise AssertionError("unreachable")


def test_an_answer_shows_no_more_than_it_says() -> None:
    """A refusal without a message has one."""
    found = refusal(Answer(status=418, body={}))
    assert found is not None
    assert (found.kind, found.message) == (RefusalKind.BAD, "the API server answered 418")
