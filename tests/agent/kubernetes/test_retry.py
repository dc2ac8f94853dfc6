"""When a request is sent again: the table and its laws, and a proxy that loses what a real API server answers."""

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from ssl import create_default_context

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from agent.adapters.kubernetes.client import connect
from agent.core.kubernetes.object import Object
from agent.core.kubernetes.requests import Accept, Answer, Content, Method, Request
from agent.core.kubernetes.retry import MAX_ATTEMPTS, pause_s
from agent.ports.cluster import ClusterError
from tests.parts.control_plane import ADMIN, ControlPlane

APPLY = Request(method=Method.PATCH, path="/a", body={}, content=Content.APPLY)
CREATE = Request(method=Method.POST, path="/a", body={}, repeatable=False)
TYPED = "failed to create typed patch object (a/b; v1, Kind=ConfigMap): .dta: field not declared in schema"


@pytest.mark.parametrize(
    ("request_", "answer", "again"),
    [
        pytest.param(APPLY, None, True, id="nothing came"),
        pytest.param(CREATE, None, False, id="nothing came, and it may have been made"),
        pytest.param(APPLY, Answer(status=429, body={}), True, id="too many"),
        pytest.param(CREATE, Answer(status=429, body={}), True, id="too many, and nothing was made"),
        pytest.param(APPLY, Answer(status=502, body={}), True, id="a load balancer"),
        pytest.param(CREATE, Answer(status=502, body={}), False, id="a load balancer, and it may have been made"),
        pytest.param(APPLY, Answer(status=503, body={}), True, id="stopping"),
        pytest.param(APPLY, Answer(status=504, body={}), True, id="too slow"),
        pytest.param(APPLY, Answer(status=500, body={}, retry_after_s=1), True, id="500 that says when"),
        pytest.param(
            APPLY, Answer(status=500, body={"message": TYPED}), False, id="500 that is a mistake of the user"
        ),
        pytest.param(APPLY, Answer(status=409, body={}, retry_after_s=1), False, id="a conflict"),
        pytest.param(
            APPLY, Answer(status=401, body={}), False, id="a credential that ended: it is renewed, not this"
        ),
        pytest.param(APPLY, Answer(status=200, body={}, retry_after_s=1), False, id="done"),
    ],
)
def test_what_is_sent_again(request_: Request, answer: Answer | None, *, again: bool) -> None:
    assert (pause_s(request_, answer, 1, 0.5) is not None) == again


ANSWERS = st.none() | st.builds(
    Answer, status=st.integers(100, 599), body=st.just({}), retry_after_s=st.none() | st.floats(0, 3600)
)


@given(answer=ANSWERS, attempt=st.integers(1, 20), chance=st.floats(0, 1), request_=st.sampled_from([APPLY, CREATE]))
def test_it_ends_and_never_comes_too_early(
    request_: Request, answer: Answer | None, attempt: int, chance: float
) -> None:
    pause = pause_s(request_, answer, attempt, chance)
    if attempt >= MAX_ATTEMPTS or (answer is not None and answer.status < 429):
        assert pause is None
    if pause is not None and answer is not None and answer.retry_after_s is not None:
        assert pause >= answer.retry_after_s
    assert pause is None or pause >= 0


Fault = Callable[[web.Request], web.StreamResponse]


class Loses:
    """Passes requests on to a real API server, but for what `before` and `after` say of each in turn."""

    def __init__(self, plane: ControlPlane, session: aiohttp.ClientSession) -> None:
        self._plane = plane
        self._session = session
        self.before: deque[Fault] = deque()
        self.after: deque[Fault] = deque()

    async def take(self, request: web.Request) -> web.StreamResponse:
        if self.before:
            return self.before.popleft()(request)
        headers = {name: request.headers[name] for name in ("Accept", "Content-Type") if name in request.headers}
        headers["Authorization"] = f"Bearer {self._plane.token(ADMIN)}"
        async with self._session.request(
            request.method, f"{self._plane.url}{request.path_qs}", data=await request.read(), headers=headers
        ) as answer:
            body = await answer.read()
            if self.after:
                return self.after.popleft()(request)
            return web.Response(status=answer.status, body=body, content_type="application/json")


def cut(request: web.Request) -> web.StreamResponse:
    """End the connection without an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def says(status: int, *, after: int | None = None) -> Fault:
    headers = {} if after is None else {"Retry-After": str(after)}
    return lambda _: web.Response(status=status, headers=headers, text="no")


@asynccontextmanager
async def losing(plane: ControlPlane) -> AsyncIterator[tuple[Loses, str]]:
    tls = create_default_context(cafile=plane.authority)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as session:
        loses = Loses(plane, session)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", loses.take)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            yield loses, f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


def kubeconfig(folder: Path, url: str) -> Path:
    path = folder / "kubeconfig"
    path.write_text(
        f"{{current-context: a, clusters: [{{name: a, cluster: {{server: '{url}'}}}}], "
        "users: [], contexts: [{name: a, context: {cluster: a}}]}"
    )
    return path


def config_map(value: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": value}}


def apply(namespace: str, value: str) -> Request:
    return Request(
        method=Method.PATCH,
        path=f"/api/v1/namespaces/{namespace}/configmaps/a",
        query={"fieldManager": "one", "force": "true"},
        body=config_map(value),
        content=Content.APPLY,
        accept=Accept.METADATA,
    )


async def test_an_apply_gets_through_what_passes_by_itself(
    tmp_path: Path, control_plane: ControlPlane, namespace: str
) -> None:
    """It reaches the API server once for each answer that was lost, and is written once (audit log)."""
    async with losing(control_plane) as (loses, url), connect(kubeconfig(tmp_path, url)) as client:
        mark = control_plane.audit.mark()
        loses.before.extend([cut, says(429, after=0), says(503), says(502)])
        made = await client.send(apply(namespace, "1"))
        loses.after.extend([cut, cut])
        changed = await client.send(apply(namespace, "2"))
        again = await client.send(apply(namespace, "2"))
        asked = control_plane.audit.since(mark, lambda asked: f"/{namespace}/configmaps/a" in asked.path)
    assert (made.status, changed.status, again.status) == (201, 200, 200)
    assert [each.status for each in asked] == [201, 200, 200, 200, 200]
    assert changed.body["metadata"]["resourceVersion"] == again.body["metadata"]["resourceVersion"]


async def test_a_create_whose_answer_was_lost_is_not_made_twice(
    tmp_path: Path, control_plane: ControlPlane, namespace: str
) -> None:
    """Nobody knows whether it was made, and that is said."""
    create = Request(
        method=Method.POST, path=f"/api/v1/namespaces/{namespace}/configmaps", body=config_map("1"), repeatable=False
    )
    async with losing(control_plane) as (loses, url), connect(kubeconfig(tmp_path, url)) as client:
        mark = control_plane.audit.mark()
        loses.before.append(says(429))
        loses.after.append(cut)
        with pytest.raises(ClusterError, match="the connection broke"):
            await client.send(create)
        asked = control_plane.audit.since(mark, lambda asked: f"/{namespace}/configmaps" in asked.path)
    assert [(each.verb, each.status) for each in asked] == [("create", 201)]
