"""The Sync: which ref of which repository this agent makes which target match, as a person writes it.

The documents are those a cluster will take as custom resources later, with the field names of Flux where the
meaning is the same. Reading refuses what is unknown; a field whose function is not built is unknown. Errors say
file, document and field, all at once, and repeat no value: a URL may have a password in it.
"""

import os
import re
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    WithJsonSchema,
    model_validator,
)

from agent.core.inbox import Pace
from agent.core.ssh_address import ssh_address
from agent.spec.part import Label, Part, SecretName, pattern
from agent.spec.target import Target
from bellpull.contract.report import Watches
from bellpull.contract.repository import Ref, RefKind, Repository
from bellpull.contract.text import CommitId, RefName, SyncName, TreePath, text
from bellpull.runtime.duration import Duration, duration, shown, within

__all__ = ["Guard", "Sync"]

_URL_WITH_USER: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/]*@")
_WEB: Final = ("https://", "http://")


def _repository_url(value: str) -> str:
    Repository.from_url(value)  # one reading of URLs, here and where events are matched
    if ssh_address(value) is not None:
        return value
    if not value.startswith(_WEB):
        raise ValueError("is not an https://, http:// or ssh:// URL, nor USER@HOST:PATH")
    if _URL_WITH_USER.match(value):
        raise ValueError("has credentials in it: name a secretRef instead (files username, password)")
    if not _has_port_or_none(value):
        raise ValueError("has a port that is not between 1 and 65535")
    return value


def _has_port_or_none(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _tree_path(value: str) -> str:
    path = value.removesuffix("/")
    while path.startswith("./"):
        path = path[2:].lstrip("/")
    return text(TreePath, "" if path == "." else path)


def _ref_name(value: str) -> str:
    if value.startswith("refs/"):
        raise ValueError("is a full ref: write the name of the branch or tag alone")
    return text(RefName, value)


class Metadata(Part):
    """What the Sync is called."""

    name: Label
    """Unique within the namespace."""
    namespace: Label = "default"
    """Only a part of the name on a server."""


class SecretReference(Part):
    """A secret by name."""

    name: SecretName
    """A folder below the agent's `secrets`: for HTTPS with the files `username` and `password`, for SSH with
    `identity` (a private key), `known_hosts`, and `password` where the key has a passphrase."""


class Source(Part):
    """What to read: one branch or one tag of a repository, or a folder of it."""

    url: Annotated[str, AfterValidator(_repository_url)]
    """Where to fetch from, by HTTPS or SSH: `https://HOST/PATH`, `ssh://USER@HOST/PATH` or `USER@HOST:PATH`."""
    branch: Annotated[str, AfterValidator(_ref_name)] | None = None
    """The branch to follow; this or `tag`."""
    tag: Annotated[str, AfterValidator(_ref_name)] | None = None
    """The tag to follow, also when it is moved; this or `branch`."""
    path: Annotated[str, AfterValidator(_tree_path)] = ""
    """The folder to read, such as `./public`; all of the tree by default."""
    secret_ref: SecretReference | None = None
    """Credentials for the repository; none for a public one by HTTPS."""

    @model_validator(mode="after")
    def _names_one_ref(self) -> Self:
        if (self.branch is None) == (self.tag is None):
            raise ValueError("needs exactly one of branch and tag")
        return self

    @model_validator(mode="after")
    def _trusts_somebody(self) -> Self:
        if self.secret_ref is None and ssh_address(self.url) is not None:
            raise ValueError("needs a secretRef for SSH (files identity, known_hosts)")
        return self

    @property
    def repository(self) -> Repository:
        """The repository, as events name it."""
        return Repository.from_url(self.url)

    @property
    def ref(self) -> Ref:
        """The branch or tag."""
        if self.branch is not None:
            return Ref(kind=RefKind.BRANCH, name=RefName(self.branch))
        return Ref(kind=RefKind.TAG, name=RefName(self.tag or ""))


class Guard(Part):
    """What a commit may delete; more is `rejected` before anything is written, and what runs stays."""

    max_deletions: Annotated[
        str,
        pattern("(?:100|[1-9]?[0-9])%", "is no share such as 50%, from 0% to 100%"),
        WithJsonSchema({"type": "string", "pattern": "^(?:100|[1-9]?[0-9])%$"}),
    ] = "50%"
    """Which share of what is live may go without anything coming instead. Fewer than ten are never too many; 100%
    lets everything pass but an empty source."""
    accept: Annotated[str, AfterValidator(partial(text, CommitId))] | None = None
    """The whole id of the one commit that may delete any number, or everything."""

    @property
    def share(self) -> int:
        """The share, of a hundred."""
        return int(self.max_deletions.removesuffix("%"))


class Spec(Part):
    """What to read, how often, and what to make match."""

    source: Source
    interval: Annotated[Duration, within("1s", "24h"), shown("5m")] = duration("5m")
    """How often to look without having been told to, by up to a fifth sooner or later."""
    retry_interval: Annotated[Duration, within("1s", "24h"), shown("1m")] = duration("1m")
    """The longest pause after failures; pauses begin with a second."""
    timeout: Annotated[Duration, within("1s", "1h"), shown("2m")] = duration("2m")
    """For how long attempts at a commit may go wrong before it is said to have failed; and how long what it made may
    take to be healthy, where that is waited for."""
    guard: Guard = Guard()
    """What a commit may delete."""
    report_output: Annotated[bool, Field(strict=True)] = False
    """Whether the gateway is told the end of what a failing command printed; else that stays in the agent's log."""
    target: Target


class Sync(Part):
    """One document."""

    api_version: Literal["bellpull.dev/v1alpha1"]
    kind: Literal["Sync"]
    metadata: Metadata
    spec: Spec

    @property
    def name(self) -> SyncName:
        """`namespace/name`."""
        return text(SyncName, f"{self.metadata.namespace}/{self.metadata.name}")

    @property
    def ref(self) -> Ref:
        """The branch or tag it follows."""
        return self.spec.source.ref

    @property
    def watches(self) -> Watches:
        """What it reads, as reports say it."""
        source = self.spec.source
        return Watches(repository=source.repository, ref=source.ref, path=TreePath(source.path))

    @property
    def pace(self) -> Pace:
        """How often it runs; it never pauses for longer than its interval."""
        return Pace(interval=self.spec.interval, retry=min(self.spec.retry_interval, self.spec.interval))

    @property
    def policy(self) -> str:
        """A hash of everything but the tree that decides what is made: the other half of the key of R35."""
        directory, kubernetes = self.spec.target.directory, self.spec.target.kubernetes
        if kubernetes is not None:
            made = f"kubernetes/1\0{self.name}\0{kubernetes.model_dump_json()}"
        else:
            made = f"directory/1\0{directory.path if directory else ''}"
        return sha256(made.encode("utf-8", "surrogateescape")).hexdigest()[:16]

    def within(self, folder: Path) -> Self:
        """Return the Sync with its target's paths absolute, relative ones being below `folder`."""
        target = self.spec.target
        directory, kubernetes = target.directory, target.kubernetes
        if directory is not None:
            directory = directory.model_copy(update={"path": _below(folder, directory.path)})
        if kubernetes is not None and kubernetes.kubeconfig is not None:
            kubernetes = kubernetes.model_copy(update={"kubeconfig": _below(folder, kubernetes.kubeconfig)})
        changed = target.model_copy(update={"directory": directory, "kubernetes": kubernetes})
        return self.model_copy(update={"spec": self.spec.model_copy(update={"target": changed})})


def _below(folder: Path, path: Path) -> Path:
    return Path(os.path.normpath(folder.absolute() / path))
