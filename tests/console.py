"""Console blocks of a page, done as they are written: `$ ` is typed, what follows has to be said.

`...` in a line stands for any text, and a line of nothing else for any lines; spaces at a line's begin do not count.
Where nothing follows nothing is compared, but that the command ends well. After what goes to the background there is
the pause that a person makes.
"""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

__all__ = ["Console", "blocks", "section"]

_END: Final = "-- that was "
_ANYWHERE: Final = """#!/bin/sh
[ "$1" = init ] || exec {bellpull} "$@"
{bellpull} "$@" && echo 'journal: {{unsafe: true}}' >> "$2/gateway.yaml"
"""
"""Temporary folders may be on a container's own layer, where nobody should keep a journal."""
_PATIENCE_S: Final = 60.0
_PAUSE_S: Final = 3.0


def section(page: str, title: str) -> str:
    """Return what stands below the heading `title`, to the next of its level."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
    assert found is not None, f"no section {title}"
    return found[1]


def blocks(page: str, language: str) -> list[str]:
    """Return the blocks of a language."""
    return [str(block) for block in re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)]


class Console:
    """A shell that stays: variables, functions, background jobs and the folder are kept from line to line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._typed = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, folder: Path, environment: Mapping[str, str]) -> AsyncIterator["Console"]:
        """Open one in `folder` with `bellpull` on the path; its jobs end with it."""
        path = f"{_programs(folder)}:{os.environ['PATH']}"
        known = {"HOME": str(folder), "PATH": path, "NO_COLOR": "1"}
        if "PYTHONPATH" in os.environ:
            known["PYTHONPATH"] = os.environ["PYTHONPATH"]
        process = await asyncio.create_subprocess_exec(
            *("bash", "--norc", "--noprofile"),
            cwd=folder,
            env=known | dict(environment),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield cls(process)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    async def follow(self, text: str) -> None:
        """Type every line of the console blocks in `text`, and compare what is said."""
        for block in blocks(text, "console"):
            for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                line, *expected = step.splitlines()
                said = await self.type(line)
                assert not expected or _is(said, expected), f"$ {line}\nexpected: {expected}\nsaid: {said}"
                if re.search(r"&\s*(#.*)?$", line):
                    await asyncio.sleep(_PAUSE_S)

    async def type(self, line: str) -> list[str]:
        """Type a line and return what is said, once it has ended well."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._typed += 1
        end = f"{_END}{self._typed}: "
        self._process.stdin.write(f'{line}\necho "{end}$?"\n'.encode())
        async with asyncio.timeout(_PATIENCE_S):
            said = (await self._process.stdout.readuntil(end.encode())).decode().removesuffix(end)
            status = (await self._process.stdout.readline()).decode().strip()
        assert status == "0", f"$ {line}\nended with {status}: {said}"
        return [each.strip() for each in said.splitlines()]


def _programs(folder: Path) -> Path:
    """Return a folder with `bellpull`, beside `folder` so that nothing is seen of it there."""
    programs = folder.with_name(f"{folder.name}-bin")
    programs.mkdir()
    program = programs / "bellpull"
    program.write_text(_ANYWHERE.format(bellpull=Path(sys.executable).with_name("bellpull")))
    program.chmod(0o755)
    return programs


def _is(said: list[str], expected: list[str]) -> bool:
    pattern = ""
    for line in expected:
        if line.strip() == "...":
            pattern += r"(?:.*\n)*"
        else:
            pattern += ".*".join(re.escape(part) for part in line.strip().split("...")) + r"\n"
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in said)) is not None
