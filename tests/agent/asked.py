"""A fetch in a process of its own: trust and proxies are settings of a whole process."""

import asyncio
import os
import sys
from pathlib import Path

__all__ = ["ask"]

_ASK = """
import asyncio, sys
from pathlib import Path
from agent.adapters.git import Mirrors
from agent.ports.git import GitError, Remote
from bellpull.contract.repository import Ref

async def ask(url, folder, ca):
    async with Mirrors(Path(folder), ca=Path(ca) if ca else None, timeout_s=10) as mirrors:
        try:
            print(await mirrors.fetch(Remote(url=url), Ref.parse("refs/heads/main")))
        except GitError as error:
            print(error)

asyncio.run(ask(*sys.argv[1:]))
"""


async def ask(url: str, folder: Path, ca: str = "", **environment: str) -> str:
    """Fetch `main` of `url` into `folder`; return the commit, or what went wrong."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _ASK, url, str(folder), ca),
        env={name: value for name, value in os.environ.items() if "proxy" not in name.lower()} | environment,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    return said.decode().strip()
