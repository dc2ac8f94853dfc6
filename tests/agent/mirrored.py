"""What tests of the mirrors do over and over."""

import asyncio
from typing import Any

from agent.adapters.git import Mirrors
from agent.core.tree import EntryMode
from agent.ports.git import Remote, TreeReader
from bellpull.contract.repository import Ref
from bellpull.contract.text import CommitId, TreePath
from tests.parts.git import Repository

__all__ = ["MAIN", "commit_to", "contents"]

MAIN = Ref.parse("refs/heads/main")


async def commit_to(repository: Repository, files: dict[str, bytes | None], **options: Any) -> CommitId:
    """Commit in a thread."""
    return await asyncio.to_thread(repository.commit, files, **options)


async def contents(mirrors: Mirrors, remote: Remote, commit: CommitId, path: str = "") -> dict[bytes, bytes]:
    """Return what the files below a folder hold, by path."""
    tree = await mirrors.tree(remote, commit, TreePath(path))
    assert tree is not None
    with mirrors.reader(remote, tree) as reader:
        return await asyncio.to_thread(_read, reader)


def _read(reader: TreeReader) -> dict[bytes, bytes]:
    return {entry.path: reader.blob(entry.oid) for entry in reader.entries if entry.mode is not EntryMode.GITLINK}
