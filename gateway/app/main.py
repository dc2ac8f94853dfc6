"""The running gateway: what it is made of, how it starts and stops.

Order of the stop (R11): not ready, pushes are taken for a grace period, listeners close, requests in flight end,
streams end, what waits for RabbitMQ is sent, last commit.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from bellpull.contract.text import Name
from bellpull.runtime import logs, service
from bellpull.runtime.config import Problems, SecretRef, exposed
from bellpull.runtime.files import FolderLock, LockError
from bellpull.runtime.jose import Ed25519Signer, load_private
from bellpull.runtime.metrics import Metrics
from bellpull.runtime.rabbitmq.connect import BrokerError, check
from bellpull.runtime.reload import Watched, Watcher
from bellpull.runtime.secret import Secret
from gateway.adapters.apart import Apart
from gateway.adapters.place import unsafe_place
from gateway.app.agents import AgentsParts, agents_app
from gateway.app.api import api_routes
from gateway.app.broker import over_broker
from gateway.app.config import GatewayConfig, JournalSettings, SourceSettings, load_config
from gateway.app.console import console_app
from gateway.app.drain import Drain
from gateway.app.edge import Edge
from gateway.app.enrolment import Enrolments, load_enrolments
from gateway.app.hooks import Hooks
from gateway.app.intake import Intake
from gateway.app.readiness import Readiness
from gateway.app.refusals import Refusals
from gateway.app.storage import open_storage, sign_on
from gateway.core.providers import PROVIDERS
from gateway.core.receive import Source
from gateway.ports.disk import DiskFailed
from gateway.ports.journal import JournalError
from gateway.ports.outgoing import Outgoing
from gateway.ports.state import StateError

__all__ = ["DISK_FAILED", "main"]

DISK_FAILED: Final = 74
"""Exit code after an I/O error of the journal's or the state's disk (EX_IOERR)."""
_COMMIT_S: Final = 2.0
"""What a delivery may wait for the disk; one whose body has begun to come is finished before the gateway ends."""

_T = TypeVar("_T")
_log = logs.logger("gateway")


def main(config_path: Path) -> int:
    """Run the gateway until it is stopped; return the exit code.

    Raises:
        ConfigError: everything that is wrong with the configuration.
    """
    logs.configure("gateway")
    config = load_config(config_path)
    watched = _Watched(config, config_path)
    folder = config_path.parent
    return service.run(lambda stop: _run(config, folder, watched, stop))


class _Watched:
    """What follows its files: secrets, the sealing key, enrolment records. Making one blocks."""

    def __init__(self, config: GatewayConfig, path: Path) -> None:
        self.watcher = Watcher()
        self._config = config
        self._path = path
        problems = Problems(path)
        self._read_sources(problems)
        self._read_signer(problems)
        folder = path.parent
        self.edge = Edge(config.listen, folder, problems, self.watcher)
        _check_queue(config, folder, problems)
        problems.check()
        references = [ref for source in config.sources for ref in source.secrets]
        for ref in (*references, config.seal.key, *config.queue_secrets()):
            if warning := exposed(ref, folder):
                _log.warning("a secret is exposed", problem=warning)
        self._sources = self._follow("webhook secrets", references, self._read_sources)
        self._signer = self._follow("sealing key", [config.seal.key], self._read_signer)
        self._enrolments: Watched[Enrolments] = self.watcher.watch(
            "enrolment records", [folder / config.agents], lambda: _read_enrolments(folder / config.agents)
        )

    def sources(self) -> Mapping[str, Source]:
        """Return the sources with their secrets, by name."""
        return self._sources.value

    def signer(self) -> Ed25519Signer:
        """Return the installation's sealing key."""
        return self._signer.value

    def enrolments(self) -> Enrolments:
        """Return the enrolment records."""
        return self._enrolments.value

    def spread(self, repository: str) -> float:
        """Return over how many seconds those who may hear of a repository (a key) should look at it."""
        return self._enrolments.value.audience.spread(repository)

    def _follow(self, name: str, references: list[SecretRef], read: Callable[[Problems], _T | None]) -> Watched[_T]:
        def checked() -> _T:
            problems = Problems(self._path)
            value = read(problems)
            problems.check()
            if value is None:
                raise AssertionError("unreachable: what cannot be read is a problem")
            return value

        paths = [self._path.parent / ref.file for ref in references if ref.file is not None]
        return self.watcher.watch(name, paths, checked)

    def _read_sources(self, problems: Problems) -> Mapping[str, Source]:
        return {
            source.name: Source(
                installation=self._config.installation,
                name=source.name,
                provider=Name(source.provider),
                secrets=tuple(_secrets(problems, f"sources[{index}].secrets", source)),
                repositories=source.repositories,
            )
            for index, source in enumerate(self._config.sources)
        }

    def _read_signer(self, problems: Problems) -> Ed25519Signer | None:
        secret = problems.secret("seal.key", self._config.seal.key)
        try:
            return None if secret is None else load_private(secret.reveal())
        except ValueError as error:
            problems.add("seal.key", str(error))
            return None


def _secrets(problems: Problems, where: str, source: SourceSettings) -> Iterator[Secret]:
    for number, ref in enumerate(source.secrets):
        secret = problems.secret(f"{where}[{number}]", ref)
        if secret is None:
            continue
        if problem := PROVIDERS[source.provider].secret_problem(secret):
            problems.add(f"{where}[{number}]", f"{ref} {problem}")
        yield secret


def _check_queue(config: GatewayConfig, folder: Path, problems: Problems) -> None:
    """Read the broker's files once: what was forgotten is said at the start; they are read again at each connect."""
    if config.queue is None:
        return
    try:
        check(config.queue.rabbitmq, folder)
    except BrokerError as error:
        problems.add("queue.rabbitmq", str(error))


def _read_enrolments(folder: Path) -> Enrolments:
    enrolments = load_enrolments(folder)
    for problem in enrolments.problems:
        _log.error("an enrolment record is wrong, its agent is not let in", folder=str(folder), problem=str(problem))
    return enrolments


async def _run(config: GatewayConfig, folder: Path, watched: _Watched, stop: asyncio.Event) -> None:
    data = folder / config.data
    try:
        await asyncio.to_thread(data.mkdir, mode=0o700, parents=True, exist_ok=True)
        place = await asyncio.to_thread(unsafe_place, data)
        _refuse(place, config.journal)
        lock = FolderLock(data)
        await asyncio.to_thread(lock.acquire)
        try:
            await _serve(config, folder, watched, stop, () if place is None else (place,))
        finally:
            lock.release()
    except* (LockError, JournalError, StateError) as failed:
        raise service.Fatal(str(next(service.leaves(failed)))) from None
    except* DiskFailed as failed:
        raise service.Fatal(str(next(service.leaves(failed))), code=DISK_FAILED) from None


def _refuse(place: str | None, settings: JournalSettings) -> None:
    """Refuse to run where a 2xx would promise what the file system does not keep, unless told to (R7)."""
    if place is None:
        return
    if not settings.unsafe:
        raise service.Fatal(f"{place}: put data on a local disk or a volume, or say journal.unsafe: true")
    _log.warning("the journal is not safe", problem=place)


async def _serve(
    config: GatewayConfig, folder: Path, watched: _Watched, stop: asyncio.Event, standing: Sequence[str]
) -> None:
    metrics = Metrics()
    data = folder / config.data
    async with AsyncExitStack() as stack:
        storage = open_storage(data, config.journal, metrics, forwards=config.queue is not None)
        journal, state, outgoing = await stack.enter_async_context(storage)
        parts = AgentsParts(
            installation=config.installation,
            journal=journal,
            state=state,
            enrolments=watched.enrolments,
            signer=watched.signer,
            metrics=metrics,
        )
        passing = await stack.enter_async_context(_broker(config, folder, parts, outgoing))
        edge = watched.edge
        refusals = await stack.enter_async_context(Refusals.open(state))
        routes = api_routes(journal, state, watched.enrolments, refusals)
        intake = Intake()
        apart = await stack.enter_async_context(Apart())
        drain = Drain(journal, outgoing, config.grace())
        if config.queue is not None:
            await drain.follow(data, watched.watcher)
        hooks = Hooks(
            watched.sources, drain, metrics, intake, apart.receive, refusals=refusals, spread=watched.spread
        )
        readiness = Readiness(
            journal=journal, data=data, stopping=stop.is_set, standing=standing, passing=passing, drain=drain
        )
        console = console_app(readiness, metrics, routes)
        bound = {
            "console": await stack.enter_async_context(edge.serve("console", console)),
            "agents": await stack.enter_async_context(edge.serve("agents", agents_app(parts))),
            "hooks": await stack.enter_async_context(
                edge.serve("hooks", hooks.app(), drain_s=intake.bounds.within_s + _COMMIT_S)
            ),
        }
        _log.info("listening", pid=os.getpid(), **{name: str(address) for name, address in bound.items()})
        forever = [journal.watch(), state.watch(), sign_on(journal), watched.watcher.run()]
        forever += [refusals.run(state), refusals.log.run(), parts.refused.run()]
        await _until_stopped(forever, stop, config.grace())
    _log.info("stopped")


def _broker(
    config: GatewayConfig, folder: Path, parts: AgentsParts, outgoing: Outgoing
) -> AbstractAsyncContextManager[Callable[[], Sequence[str]]]:
    """Return what speaks with RabbitMQ while its context lasts, if that is configured; yields what is wrong."""
    if config.queue is None:
        return nullcontext(tuple)
    return over_broker(
        config.queue.rabbitmq,
        folder,
        parts,
        outgoing,
        deadline=config.drain.deadline,
        observers=config.observers,
    )


async def _until_stopped(forever: list[Coroutine[Any, Any, None]], stop: asyncio.Event, grace: timedelta) -> None:
    """Wait until asked to stop and `grace` later, so that balancers notice.

    Raises:
        ExceptionGroup: of `DiskFailed`.
    """
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(each) for each in forever]
        await stop.wait()
        await asyncio.sleep(grace.total_seconds())
        for task in running:
            task.cancel()
