"""The running agent: how it starts, follows its files, and stops.

It dials out only. A change of the Sync files ends what runs in good order and begins anew with them, which is the
same as a start: everything is looked at once (P6).
"""

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp

from agent.adapters.git import Mirrors
from agent.adapters.rabbitmq import RabbitMQQueue
from agent.adapters.state import StateFolder
from agent.adapters.stream import StreamQueue
from agent.app.assembly import Assembly
from agent.app.config import AgentConfig, load_config
from agent.app.files import AgentFiles
from agent.app.reporter import Identity
from agent.ports.queue import Queue
from bellpull.runtime import logs, service
from bellpull.runtime.clock import utc_now
from bellpull.runtime.files import FolderLock, LockError
from bellpull.runtime.http import client

__all__ = ["main"]

_log = logs.logger("agent")


def main(config_path: Path) -> int:
    """Run the agent until it is stopped; return the exit code.

    Raises:
        ConfigError: everything that is wrong with the configuration or the Syncs.
    """
    logs.configure("agent")
    config = load_config(config_path)
    files = AgentFiles(config, config_path)
    config.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with FolderLock(config.state):
            return service.run(lambda stop: _run(config, config_path.absolute().parent, files, stop))
    except LockError as error:
        raise service.Fatal(str(error)) from None


async def _run(config: AgentConfig, folder: Path, files: AgentFiles, stop: asyncio.Event) -> None:
    state = await asyncio.to_thread(StateFolder, config.state)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(client(ca=config.gateway.ca, total_s=None, read_s=None))
        queue = _way(config, folder, files, session)
        git = await stack.enter_async_context(Mirrors(config.state / "mirrors", ca=config.git.ca))

        def assemble() -> Assembly:
            return Assembly(
                syncs=files.syncs.value,
                queue=queue,
                git=git,
                state=state,
                identity=_identity(config, files, state),
                keys=lambda: files.keys.value,
                secrets=config.secrets,
                stopping=stop.is_set,
            )

        changed = asyncio.Event()
        files.syncs.on_change(changed.set)
        async with asyncio.TaskGroup() as tasks:
            following = [tasks.create_task(files.watcher.run()), tasks.create_task(_pass_on(stop, changed))]
            while not stop.is_set():
                changed.clear()
                assembly = await asyncio.to_thread(assemble)
                await assembly.run(changed)
            for task in following:
                task.cancel()
    _log.info("stopped")


def _way(config: AgentConfig, folder: Path, files: AgentFiles, session: aiohttp.ClientSession) -> Queue:
    """Return the way to the gateway that is configured."""
    url, token = config.gateway.url, files.token
    stream = None if url is None or token is None else StreamQueue(session, str(url), lambda: token.value)
    if config.queue is not None:
        standing = None if stream is None else stream.standing
        return RabbitMQQueue(config.queue.rabbitmq, folder, config.agent, standing)
    if stream is None:
        raise AssertionError("unreachable: a configuration has one of them")
    return stream


async def _pass_on(stop: asyncio.Event, changed: asyncio.Event) -> None:
    await stop.wait()
    changed.set()


def _identity(config: AgentConfig, files: AgentFiles, state: StateFolder) -> Identity:
    identity = Identity(
        agent=config.agent,
        environment=config.environment,
        installation=config.gateway.installation,
        signer=files.signer,
        epoch=state.next_epoch(utc_now()),
    )
    syncs = [sync.name for sync in files.syncs.value]
    _log.info("running", pid=os.getpid(), agent=config.agent, syncs=syncs, epoch=identity.epoch)
    return identity
