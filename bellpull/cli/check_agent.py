"""What `bellpull check` looks at for an agent. Changes nothing, shows no secret."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from agent.adapters.git import Mirrors
from agent.app.config import load_config
from agent.app.sync_files import load_sync_files
from agent.spec import Sync
from bellpull.cli.check_git import of_source
from bellpull.cli.check_queue import of_queue
from bellpull.cli.check_reach import of_gateway
from bellpull.cli.check_standing import Files
from bellpull.cli.finding import Finding, bad, good, of_config, of_folder, of_secret
from bellpull.runtime.config import ConfigError, SecretError, SecretRef, read_secret
from bellpull.runtime.jose import JoseError, load_pinned, load_private

__all__ = ["look"]

_T = TypeVar("_T")


def look(path: Path) -> list[Finding]:
    """Return what is found of the agent whose configuration is at `path`."""
    try:
        config = load_config(path)
    except ConfigError as error:
        return of_config(error)
    folder = path.parent
    syncs, found = _syncs(config.syncs)
    files = Files(
        path=path,
        config=config,
        syncs=syncs,
        pinned=_read(config.gateway.keys, folder, load_pinned),
        report_kid=_read(config.report_key, folder, lambda jwk: load_private(jwk).kid),
    )
    return [
        good(str(path)),
        *(() if config.gateway.token is None else (of_secret("gateway.token", config.gateway.token, folder),)),
        of_secret("gateway.keys", config.gateway.keys, folder, load_pinned, secret=False),
        of_secret("report_key", config.report_key, folder, load_private),
        of_folder("state", config.state),
        *found,
        *(_target(sync) for sync in syncs),
        *asyncio.run(_reach(files)),
    ]


def _read(ref: SecretRef, folder: Path, read: Callable[[bytes], _T]) -> _T | None:
    """Return what `ref` names, or nothing: another finding says why."""
    try:
        return read(read_secret(ref, folder).reveal())
    except (SecretError, JoseError):
        return None


def _syncs(path: Path) -> tuple[tuple[Sync, ...], list[Finding]]:
    try:
        syncs = load_sync_files(path)
    except ConfigError as error:
        return (), of_config(error)
    except OSError as error:
        return (), [bad("syncs", f"{path}: {error.strerror}", "put it there, readable by the user the agent runs as")]
    return syncs, [good("syncs", f"{len(syncs)} in {path}")]


def _target(sync: Sync) -> Finding:
    directory, what = sync.spec.target.directory, f"{sync.name} target"
    if directory is None:
        return good(what, "a cluster: `bellpull diff` says what it would change there")
    path = directory.path
    if path.is_dir() and not path.is_symlink() and not directory.adopt:
        return bad(what, f"{path} is a folder, not the agent's link", "move it away, or say adopt: true")
    if not path.parent.is_dir():
        return bad(what, f"{path.parent} is no folder", "make it: the agent makes only what is in it")
    found = of_folder(what, path.parent)
    return good(what, str(path)) if found.ok else found


async def _reach(files: Files) -> list[Finding]:
    """Look at everything across the network at once: a dead address costs its time-out only once."""
    config = files.config
    with TemporaryDirectory(prefix="bellpull-check-") as mirrors:
        async with Mirrors(Path(mirrors), ca=config.git.ca) as git, asyncio.TaskGroup() as tasks:
            gateway = tasks.create_task(of_gateway(files))
            broker = tasks.create_task(of_queue(files))
            sources = [tasks.create_task(of_source(git, config, sync)) for sync in files.syncs]
    return [*gateway.result(), *broker.result(), *(source.result() for source in sources)]
