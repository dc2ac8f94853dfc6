"""What differs between an agent's files and what its gateway says of it: a finding for each difference.

Everything here would otherwise show only in a log: sealed events that are thrown away, reports that are refused,
pushes that nobody is told of.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent.app.config import AgentConfig
from agent.spec import Sync
from bellpull.cli.finding import Finding, bad
from bellpull.contract.patterns import matches
from bellpull.contract.seal import PinnedKey
from bellpull.contract.standing import Standing

__all__ = ["Files", "differences"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What an agent has.

    Attributes:
        path: of its configuration.
        config: what that says.
        syncs: all of them.
        pinned: the gateway's public keys by kid; none where they cannot be read.
        report_kid: of its report key; none where that cannot be read.
    """

    path: Path
    config: AgentConfig
    syncs: Sequence[Sync]
    pinned: Mapping[str, PinnedKey] | None
    report_kid: str | None

    @property
    def record(self) -> str:
        """What to call the agent's record at the gateway, whose folder of them is not known here."""
        return f"the record of {self.config.agent} (agents/{self.config.agent}.yaml at the gateway)"


def differences(files: Files, standing: Standing, now: datetime) -> list[Finding]:
    """Return a finding for each thing that the two sides say differently."""
    return [
        *_installation(files, standing),
        *_seal(files, standing, now),
        *_agent(files, standing),
        # Another agent's record says nothing of this one.
        *(_rights(files, standing) if standing.agent == files.config.agent else ()),
    ]


def _installation(files: Files, standing: Standing) -> Iterator[Finding]:
    said, own = standing.installation, files.config.gateway.installation
    if said != own:
        yield bad(
            "gateway.installation",
            f"{files.path} says {own}, and the gateway is {said}: what it seals is not accepted",
            f"write installation: {said}, or the url of the gateway that is meant",
        )


def _seal(files: Files, standing: Standing, now: datetime) -> Iterator[Finding]:
    if files.pinned is None:
        return
    keys, key = files.config.gateway.keys, files.pinned.get(standing.seal)
    if key is None:
        yield bad(
            "gateway.keys",
            f"{keys} is without the key {standing.seal} with which the gateway seals: no event is accepted",
            "bring that public key from the gateway: `bellpull enroll` there writes it as gateway-keys.json",
        )
    elif not key.valid(now):
        yield bad(
            "gateway.keys",
            f"{keys}: the key {standing.seal} with which the gateway seals is not, or no longer, valid: "
            "no event is accepted",
            "mend its nbf and exp, or have the gateway seal with a newer key",
        )


def _agent(files: Files, standing: Standing) -> Iterator[Finding]:
    if standing.agent != files.config.agent:
        yield bad(
            "agent",
            f"{files.path} says {files.config.agent}, and {files.config.gateway.token} is the token of "
            f"{standing.agent}: its events come, and reports are refused",
            f"put the token of {files.config.agent} there, or write agent: {standing.agent}",
        )


def _rights(files: Files, standing: Standing) -> Iterator[Finding]:
    config = files.config
    if files.report_kid is not None and files.report_kid not in standing.keys:
        yield bad(
            "report_key",
            f"{config.report_key} is the key {files.report_kid}, and {files.record} has "
            f"{' and '.join(standing.keys)}: reports are refused",
            "put the key back that was enrolled, or add the public half of this one to keys in the record",
        )
    if config.environment not in standing.environments:
        yield bad(
            "environment",
            f"{files.path} says {config.environment}, and {files.record} has {', '.join(standing.environments)}: "
            "reports are refused",
            f"write environment: {standing.environments[0]}, or add {config.environment} to the record",
        )
    for sync in files.syncs:
        yield from _repository(files, standing, sync)


def _repository(files: Files, standing: Standing, sync: Sync) -> Iterator[Finding]:
    key = sync.watches.repository.key
    if not matches(standing.repositories, key):
        yield bad(
            f"{sync.name} repository",
            f"{files.config.syncs} says {key}, and {files.record} has {', '.join(standing.repositories)}: "
            "no push is heard, and reports are refused",
            f"add {key} to repositories in the record, or mend source.url",
        )
