"""An admission webhook over TLS, of a test's own: it says what the test says, and remembers what it was asked.

It is asked for one namespace only, so that it is in no other test's way, and by whoever writes there.
"""

import base64
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import orjson
import trustme

from tests.parts.control_plane import ControlPlane

__all__ = ["Webhook", "allow", "deny", "rewrite", "until"]

Decide = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""From the `request` of an AdmissionReview to its `response`, without the uid."""
_ROOT: Final = "/apis/admissionregistration.k8s.io/v1"
_PROBE: Final = "is-it-asked"
_WAIT_S: Final = 20.0


def allow(_: Mapping[str, Any]) -> Mapping[str, Any]:
    """Say yes."""
    return {"allowed": True}


def deny(message: str, code: int = 403) -> Mapping[str, Any]:
    """Return a no."""
    return {"allowed": False, "status": {"message": message, "code": code}}


def rewrite(*operations: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a yes that changes the object, by a JSON patch."""
    patch = base64.b64encode(orjson.dumps(operations)).decode()
    return {"allowed": True, "patchType": "JSONPatch", "patch": patch}


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for it. Blocks."""
    end = time.monotonic() + _WAIT_S
    while not holds():
        assert time.monotonic() < end, f"{what}: not within {_WAIT_S:g} s"
        time.sleep(0.02)


class Webhook:
    """One webhook, for what is written in one namespace.

    Args:
        plane: whose API server asks.
        namespace: where.
        decide: what it answers.

    Attributes:
        name: what API servers call it.
        asked: the requests so far, but for those of `configured` itself.
        decide: what it answers; may be changed.
    """

    def __init__(self, plane: ControlPlane, namespace: str, decide: Decide = allow) -> None:
        self.name = f"{namespace}.webhook.example.org"
        self.asked: list[Mapping[str, Any]] = []
        self.decide = decide
        self._plane = plane
        self._namespace = namespace
        self._is_known = False
        self._authority = trustme.CA()
        self._port = 0
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Listen; after `stop` at the same port again."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), _handler(self._take))
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert("127.0.0.1").configure_cert(context)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Be gone: who asks finds nobody listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @contextmanager
    def configured(self, *resources: str, mutating: bool = False, side_effects: str = "None") -> Iterator[None]:
        """Be asked for creations and updates of these while the context lasts. Blocks."""
        kind, plural = (
            ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations")
            if mutating
            else ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations")
        )
        item = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": self.name}}
        self.start()
        self._plane.ask("POST", f"{_ROOT}/{plural}", item | {"webhooks": [self._webhook(resources, side_effects)]})
        try:
            until(self._is_asked, "the webhook is asked")
            yield
        finally:
            self._plane.ask("DELETE", f"{_ROOT}/{plural}/{self.name}")
            self.stop()

    def _webhook(self, resources: Sequence[str], side_effects: str) -> Mapping[str, Any]:
        rule = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"]}
        probed = ["configmaps", *(each for each in resources if each != "configmaps")]
        return {
            "name": self.name,
            "admissionReviewVersions": ["v1"],
            "sideEffects": side_effects,
            "timeoutSeconds": 5,
            "failurePolicy": "Fail",
            "clientConfig": {
                "url": f"https://127.0.0.1:{self._port}/",
                "caBundle": base64.b64encode(self._authority.cert_pem.bytes()).decode(),
            },
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self._namespace}},
            "rules": [rule | {"resources": probed}],
        }

    def _is_asked(self) -> bool:
        probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": _PROBE}}
        self._plane.ask("POST", f"/api/v1/namespaces/{self._namespace}/configmaps?dryRun=All", probe)
        return self._is_known

    def _take(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if request["name"] == _PROBE:
            self._is_known = True
            return {"allowed": True}
        self.asked.append(request)
        return self.decide(request)


def _handler(take: Decide) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
            response = {**take(review["request"]), "uid": review["request"]["uid"]}
            said = orjson.dumps({**review, "request": None, "response": response})
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
