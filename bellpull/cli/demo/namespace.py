"""The demo's own namespace: tried before it is made, and deleted at the end, whatever happens in between."""

import asyncio
import shlex
from collections.abc import Callable, Mapping
from secrets import token_hex
from time import monotonic
from typing import Final

from agent.adapters.kubernetes.client import Client
from agent.core.kubernetes import ask
from agent.core.kubernetes.answers import RefusalKind, refusal
from agent.core.kubernetes.object import Object
from agent.core.kubernetes.requests import Answer, Method, Request
from agent.ports.cluster import ClusterError
from bellpull.cli.failure import FailureError

__all__ = ["WAY_ON", "Namespace"]

WAY_ON: Final = (
    "Name a cluster with --kubeconfig FILE and --context NAME, or make one on this machine (kind create cluster, "
    "k3d cluster create, minikube start). Without --kubernetes the demo needs none."
)
"""What to do where no cluster answers."""
_ROOT: Final = "/api/v1/namespaces"
_MARK: Final = "bellpull.dev/demo"
_NO_RIGHT: Final = (RefusalKind.FORBIDDEN, RefusalKind.UNAUTHORIZED)
_NOT_THERE: Final = 404
_IN_DOUBT: Final = 500
"""From here on a status leaves open whether it was done."""
_TIMEOUT_S: Final = 15.0
_LATE_S: Final = 3.0
_LOOK_S: Final = 0.25


class Namespace:
    """A namespace with a name that nobody has.

    Attributes:
        name: its name.

    Args:
        client: of the cluster.
        target: of a Sync, that names the same cluster: `kubeconfig` and `context`, as far as there are such.
        say: is told what a person has to know.
    """

    def __init__(self, client: Client, target: Mapping[str, str], say: Callable[[str], None]) -> None:
        self.name = f"bellpull-demo-{token_hex(3)}"
        self._client = client
        self._target = target
        self._say = say
        self._mark = token_hex(16)
        self._uid: str | None = None
        self._may_be_there = False

    async def probe(self) -> None:
        """Try whether it could be made and deleted; nothing is.

        Raises:
            FailureError: a right is missing, or nobody answers.
        """
        tried = {"dryRun": "All"}
        create = Request(method=Method.POST, path=_ROOT, query=tried, body=self._manifest(), timeout_s=_TIMEOUT_S)
        delete = Request(method=Method.DELETE, path=self._path, query=tried, timeout_s=_TIMEOUT_S)
        try:
            created, deleted = refusal(await self._client.send(create)), refusal(await self._client.send(delete))
        except ClusterError as error:
            raise FailureError(str(error), WAY_ON) from None
        # Some webhooks refuse a dry run: what else stands in the way of a create is said once it is meant.
        lacks = [created] if created is not None and created.kind in _NO_RIGHT else []
        lacks += [deleted] if deleted is not None and deleted.status != _NOT_THERE else []
        if lacks:
            why = dict.fromkeys(each.advice() for each in lacks)
            problem = "the demo needs a namespace of its own, to make and to delete; nothing was made"
            raise FailureError(f"{self._client.url}: {problem}:", *why)

    async def make(self) -> None:
        """Make it.

        Raises:
            FailureError: that was refused, or nobody answers.
        """
        request = Request(
            method=Method.POST, path=_ROOT, body=self._manifest(), repeatable=False, timeout_s=_TIMEOUT_S
        )
        self._may_be_there = True
        try:
            answer = await self._client.send(request)
        except ClusterError as error:
            raise FailureError(str(error)) from None
        refused = refusal(answer)
        if refused is None:
            self._uid = answer.body["metadata"]["uid"]
            return
        self._may_be_there = refused.status >= _IN_DOUBT
        raise FailureError(f"{self._client.url}: the demo needs a namespace of its own: {refused.advice()}")

    async def remove(self) -> None:
        """Delete it, as far as it may be there; say so, or how to."""
        if not self._may_be_there:
            return
        try:
            uid = self._uid or await self._find()
            if uid is None:
                self._say(
                    f"Whether the namespace {self.name} was made was never answered, and it is not seen; "
                    f"should it come late, delete it: {self._deletion()}"
                )
                return
            answer = await self._client.send(ask.delete(self._path, uid=uid))
        except ClusterError as error:
            self._left(str(error))
            return
        refused = refusal(answer)
        # Where it moved it is another one by now, or going already.
        if refused is not None and refused.status != _NOT_THERE and refused.kind is not RefusalKind.MOVED:
            self._left(refused.advice())
            return
        self._say(f"The namespace {self.name} is deleted, with all that was in it.")

    async def _find(self) -> str | None:
        """Return the uid of the one that was made without an answer; it may come a little late. None where it is not.

        Raises:
            ClusterError: nobody answers.
        """
        end = monotonic() + _LATE_S
        while True:
            uid = self._ours(await self._client.send(ask.look(self._path)))
            if uid is not None or monotonic() >= end:
                return uid
            await asyncio.sleep(_LOOK_S)

    def _ours(self, answer: Answer) -> str | None:
        if refusal(answer) is not None:
            return None
        metadata = answer.body["metadata"]
        is_ours = (metadata.get("annotations") or {}).get(_MARK) == self._mark
        return str(metadata["uid"]) if is_ours else None

    def _left(self, why: str) -> None:
        self._say(f"The namespace {self.name} may still be there ({why}); delete it: {self._deletion()}")

    def command(self, *words: str) -> str:
        """Return what a person types to do that with kubectl in the same cluster, quoted for a shell."""
        options = (f"--{name}={value}" for name, value in self._target.items())
        return shlex.join(["kubectl", *options, *words])

    def _deletion(self) -> str:
        return self.command("delete", "namespace", self.name)

    def _manifest(self) -> Object:
        labels = {"app.kubernetes.io/managed-by": "bellpull-demo"}
        metadata = {"name": self.name, "labels": labels, "annotations": {_MARK: self._mark}}
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}

    @property
    def _path(self) -> str:
        return f"{_ROOT}/{self.name}"
