"""What a Sync makes match: a directory or a cluster, and what is allowed there."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from agent.core.health.expressions import compiled
from agent.core.kubernetes.pointer import read_pointer
from agent.spec.part import Label, Part, pattern
from bellpull.runtime.duration import Duration, duration, shown, within

__all__ = ["DirectoryTarget", "HealthExpr", "IgnoreRule", "KubernetesTarget", "OnChange", "Target"]


def _target_path(value: Path) -> Path:
    written = str(value)
    if "\0" in written or value.name in ("", ".."):
        raise ValueError("is no path whose last part is a name")
    if written.startswith("~"):
        raise ValueError("begins with ~, which is not expanded: write the whole path")
    return value


def _file_path(value: Path) -> Path:
    if "\0" in str(value) or not value.name:
        raise ValueError("is no path of a file")
    if str(value).startswith("~"):
        raise ValueError("begins with ~, which is not expanded: write the whole path")
    return value


def _json_pointer(value: str) -> str:
    read_pointer(value)
    return value


class OnChange(Part):
    """A command for after a change: without a shell, in the live release, in a session of its own.

    It is owed from before the switch until it ended with exit code 0, and tried again until then: it may run twice.
    """

    command: Annotated[tuple[Annotated[str, pattern(r"[^\0]*", "holds a NUL byte")], ...], Field(min_length=1)]
    """The program, looked for in the agent's `PATH` or, with a `/` in it, relative to the release; its arguments."""
    timeout: Annotated[Duration, within("1s", "10m"), shown("30s")] = duration("30s")
    """After this its process group gets SIGTERM, and five seconds later SIGKILL."""

    @model_validator(mode="after")
    def _names_a_program(self) -> Self:
        if not self.command[0]:
            raise ValueError("needs a program as its first word")
        return self


class DirectoryTarget(Part):
    """A directory on this machine."""

    path: Annotated[Path, AfterValidator(_target_path)]
    """The link that is switched; relative to the file of the Sync."""
    keep_releases: Annotated[int, Field(ge=1, le=100, strict=True)] = 3
    """How many releases stay on disk, the current one among them."""
    adopt: Annotated[bool, Field(strict=True)] = False
    """Whether something else that is at `path` is moved aside; else it is an error."""
    on_change: OnChange | None = None
    """A command that is run after each change, a drift undone among them."""


class IgnoredObjects(Part):
    """Which objects; what is left out fits any."""

    group: str | None = None
    """Of the API, such as `apps`; the core group is empty."""
    kind: Annotated[str, Field(min_length=1)] | None = None
    """Such as `Deployment`."""
    namespace: Label | None = None
    """That the object is in."""
    name: Annotated[str, Field(min_length=1)] | None = None
    """Of the object."""


class IgnoreRule(Part):
    """Fields that Git sets where they are missing; from then on they stay as they are in the cluster."""

    paths: Annotated[tuple[Annotated[str, AfterValidator(_json_pointer)], ...], Field(min_length=1)]
    """JSON pointers, such as `/spec/replicas`; an item of a list is meant by its place in Git."""
    target: IgnoredObjects = IgnoredObjects()
    """Which objects; all by default."""


def _expression(value: str) -> str:
    compiled(value)
    return value


Expression = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_expression)]
"""A condition in CEL."""


class HealthExpr(Part):
    """How objects of a kind are judged, in CEL over `metadata`, `spec`, `status` and `data`; Flux's fields."""

    api_version: Annotated[str, pattern(r"([a-z0-9.-]+/)?[a-z0-9]+", "is no apiVersion, such as example.org/v1")]
    """Such as `cert-manager.io/v1`; the version does not count."""
    kind: str = ""
    """Such as `Certificate`; all kinds of the group by default."""
    in_progress: Expression | None = None
    """Asked first: whether an object is on its way."""
    failed: Expression | None = None
    """Asked then: whether it has failed."""
    current: Expression
    """Asked last: whether it is as it is to be; otherwise it is on its way."""

    @property
    def key(self) -> str:
        """`GROUP/KIND`, or `KIND` for the core group; `GROUP/` for a whole group."""
        group = self.api_version.rpartition("/")[0]
        return f"{group}/{self.kind}" if group or not self.kind else self.kind


class KubernetesTarget(Part):
    """A cluster, and what is allowed there."""

    kubeconfig: Annotated[Path, AfterValidator(_file_path)] | None = None
    """Names the cluster and who the agent is there; relative to the file of the Sync. Else `KUBECONFIG` of the agent,
    or `~/.kube/config`."""
    context: Annotated[str, Field(min_length=1)] | None = None
    """Of the kubeconfig; its current one by default."""
    prune: Annotated[bool, Field(strict=True)] = True
    """Whether objects are deleted that the Sync made and Git no longer has."""
    adopt: Annotated[bool, Field(strict=True)] = False
    """Whether objects of other Syncs are taken over; else they are left, and that is an error."""
    force: Annotated[bool, Field(strict=True)] = False
    """Whether an object is deleted and made anew where a field may not change; never where data would go with it."""
    conflicts: Literal["force", "fail", "report"] = "force"
    """What to do with an object that somebody else made with other values: `force` takes the fields over, `fail` is
    an error, `report` leaves it and says so."""
    drift: Literal["correct", "detect", "off"] = "correct"
    """What to do about what others change: `correct` undoes it at once, `detect` says it in the log and leaves it
    until the next commit, `off` does not look until then."""
    wait: Annotated[bool, Field(strict=True)] = False
    """Whether a commit is `applied` only once all its objects are healthy; until then it is `judging`, and after the
    Sync's `timeout`, or once an object fails, `failed`. A later commit is applied at once all the same."""
    health_exprs: tuple[HealthExpr, ...] = ()
    """How objects of further kinds are judged, or of known ones in another way, where that is waited for."""
    ignore: tuple[IgnoreRule, ...] = ()
    """Fields that stay as they are in the cluster, whatever Git says."""

    @model_validator(mode="after")
    def _judges_once(self) -> Self:
        kinds = [each.key for each in self.health_exprs]
        if twice := {kind for kind in kinds if kinds.count(kind) > 1}:
            raise ValueError(f"healthExprs has {', '.join(sorted(twice))} twice")
        if kinds and not self.wait:
            raise ValueError("healthExprs is only asked with wait: true")
        return self


class Target(Part):
    """What is made to match: exactly one of these."""

    directory: DirectoryTarget | None = None
    kubernetes: KubernetesTarget | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.directory is None) == (self.kubernetes is None):
            raise ValueError("needs exactly one of directory and kubernetes")
        return self
