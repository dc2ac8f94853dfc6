"""How an object is, from what the API server shows of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from agent.core.health import extended, others, workloads
from agent.core.health.general import after, before
from agent.core.health.judgement import Judgement, Status
from agent.core.health.reading import UnreadableError, kind_of

__all__ = ["EXTENDED", "KSTATUS", "Rule", "Rules", "judge"]

Rule: TypeAlias = Callable[[dict[str, Any], datetime], Judgement]
"""Judges an object of a kind; may raise `UnreadableError`."""
Further: TypeAlias = Callable[[dict[str, Any], datetime], Judgement | None]
"""Judges what it knows of, and leaves the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """By what objects are judged; keys are `GROUP/KIND`, or `KIND` for the core group.

    Attributes:
        kinds: the rules of kinds; others are judged by their condition `Ready`.
        further: what is asked before the rule of a kind.
        own: what users wrote, in place of all else but deletion and generation; a key `GROUP/` is for a whole group.
        lenient: take an `observedGeneration` that is no integer for absent.
    """

    kinds: Mapping[str, Rule]
    further: Mapping[str, Further] = field(default_factory=dict)
    own: Mapping[str, Rule] = field(default_factory=dict)
    lenient: bool = False

    def says_nothing_of(self, kind: str) -> bool:
        """Whether objects of a kind are always Current, as long as they are there."""
        return self.kinds.get(kind) is others.always and kind not in self.own

    def with_own(self, own: Mapping[str, Rule]) -> "Rules":
        """Return them with a user's rules."""
        return replace(self, own=MappingProxyType(dict(own)))


_KINDS: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "ConfigMap": others.always,
        "PersistentVolumeClaim": others.persistent_volume_claim,
        "Pod": others.pod,
        "Secret": others.always,
        "Service": others.service,
        "apiextensions.k8s.io/CustomResourceDefinition": others.custom_resource_definition,
        "apps/DaemonSet": workloads.daemon_set,
        "apps/Deployment": workloads.deployment,
        "apps/ReplicaSet": workloads.replica_set,
        "apps/StatefulSet": workloads.stateful_set,
        "batch/CronJob": others.always,
        "batch/Job": workloads.job,
        "extensions/DaemonSet": workloads.daemon_set,
        "extensions/Deployment": workloads.deployment,
        "extensions/ReplicaSet": workloads.replica_set,
        "policy/PodDisruptionBudget": others.pod_disruption_budget,
    }
)
KSTATUS: Final = Rules(kinds=_KINDS)
"""Those of kubernetes-sigs/cli-utils, `pkg/kstatus`, 0.37.2; for a suspended Job, that of its main branch."""
EXTENDED: Final = Rules(
    kinds=_KINDS,
    further=MappingProxyType(
        {
            "PersistentVolume": extended.persistent_volume,
            "PersistentVolumeClaim": extended.persistent_volume_claim,
            "Pod": extended.pod,
            "Service": extended.service,
            "apiregistration.k8s.io/APIService": extended.api_service,
            "apps/Deployment": extended.deployment,
            "autoscaling/HorizontalPodAutoscaler": extended.autoscaler,
            "batch/Job": extended.job,
            "networking.k8s.io/Ingress": extended.ingress,
        }
    ),
    lenient=True,
)
"""What the agent uses: the rules of kstatus, and what is known beyond."""


def judge(object: Any, now: datetime, *, rules: Rules = KSTATUS) -> Judgement:  # noqa: A002 - the name that it has
    """Judge an object.

    Args:
        object: JSON, as the API server shows it, with its status; None where it is not there. Anything else than an
            object of Kubernetes is Unknown.
        now: with a time zone.
        rules: by which.
    """
    if object is None:
        return Judgement(Status.NOT_FOUND, "NotFound", "Is not there")
    if not isinstance(object, dict):
        return Judgement(Status.UNKNOWN, "Unreadable", "Is no object")
    try:
        return _judge(object, now, rules)
    except UnreadableError as error:
        return Judgement(Status.UNKNOWN, "Unreadable", str(error))


def _judge(item: dict[str, Any], now: datetime, rules: Rules) -> Judgement:
    kind = kind_of(item)
    own = rules.own.get(kind) or rules.own.get(f"{kind.rpartition('/')[0]}/")
    general = before(item, lenient=rules.lenient)
    if general is not None and (own is None or general.reason in {"", "LatestGenerationNotObserved"}):
        return general
    if own is not None:
        return own(item, now)
    if (further := rules.further.get(kind)) is not None and (found := further(item, now)) is not None:
        return found
    return rules.kinds[kind](item, now) if kind in rules.kinds else after(item)
