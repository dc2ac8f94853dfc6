"""What the agent reads and follows: token, pinned keys, Syncs; and its report key, read once."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from agent.app.config import AgentConfig
from agent.app.sync_files import load_sync_files
from agent.spec import Sync
from bellpull.contract.seal import PinnedKey
from bellpull.runtime.config import Problems, SecretRef, read_secret
from bellpull.runtime.jose import Ed25519Signer, load_pinned, load_private
from bellpull.runtime.rabbitmq.connect import BrokerError, check
from bellpull.runtime.reload import Watched, Watcher
from bellpull.runtime.secret import Secret

__all__ = ["AgentFiles"]

_T = TypeVar("_T")


class AgentFiles:
    """All files of a configuration as of now. Making one blocks.

    Args:
        config: says where they are.
        path: of the configuration file.

    Raises:
        ConfigError: everything that is wrong with them.
    """

    def __init__(self, config: AgentConfig, path: Path) -> None:
        self.watcher = Watcher()
        self._folder = path.absolute().parent
        problems = Problems(path)
        gateway = config.gateway
        if gateway.token is not None:
            _try(problems, "gateway.token", gateway.token, _itself)
        _try(problems, "gateway.keys", gateway.keys, _pinned)
        _try(problems, "report_key", config.report_key, _signer)
        self._check_queue(config, problems)
        problems.check()
        self.token = None if gateway.token is None else self._follow("token", gateway.token, _itself)
        self.keys: Watched[Mapping[str, PinnedKey]] = self._follow("pinned keys", gateway.keys, _pinned)
        self.signer = _signer(read_secret(config.report_key, self._folder))
        self.syncs: Watched[tuple[Sync, ...]] = self.watcher.watch(
            "Syncs", [config.syncs], lambda: load_sync_files(config.syncs)
        )

    def _check_queue(self, config: AgentConfig, problems: Problems) -> None:
        """Read the broker's files once, to say at the start what was forgotten; each connect reads them again."""
        if config.queue is None:
            return
        try:
            check(config.queue.rabbitmq, self._folder)
        except BrokerError as error:
            problems.add("queue.rabbitmq", str(error))

    def _follow(self, name: str, ref: SecretRef, read: Callable[[Secret], _T]) -> Watched[_T]:
        paths = [] if ref.file is None else [self._folder / ref.file]
        return self.watcher.watch(name, paths, lambda: read(read_secret(ref, self._folder)))


def _itself(secret: Secret) -> Secret:
    return secret


def _pinned(secret: Secret) -> Mapping[str, PinnedKey]:
    return load_pinned(secret.reveal())


def _signer(secret: Secret) -> Ed25519Signer:
    return load_private(secret.reveal())


def _try(problems: Problems, where: str, ref: SecretRef, read: Callable[[Secret], object]) -> None:
    secret = problems.secret(where, ref)
    try:
        if secret is not None:
            read(secret)
    except ValueError as error:
        problems.add(where, str(error))
