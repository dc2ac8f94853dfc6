"""The symbolic link at a target's path: what is there, whose it is, and the one `rename` that switches it.

Races that are accepted: between the look at a link of ours and the `rename` over it somebody could put a file
there, which is lost.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent.adapters.releases import Home
from agent.adapters.tree import explained, names_in
from agent.core.directory import printable
from agent.core.release import ReleaseName
from agent.ports.target import TargetError
from bellpull.runtime.logs import logger

__all__ = ["Link", "Occupant"]

_log = logger("agent.directory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupant:
    """What is at the target's path: nothing, a link (to a release of ours or elsewhere), or another thing."""

    is_link: bool = False
    release: ReleaseName | None = None
    words: str = ""
    """What it is, for people; empty where there is nothing."""


class Link:
    """The link at `path`.

    Args:
        path: where it is, absolute.
        releases: the folder of releases, beside it.
        adopt: move aside what is there and not ours, to `<path>.adopted-<UTC time>`.
        now: the clock.
    """

    def __init__(self, path: Path, releases: Path, *, adopt: bool, now: Callable[[], datetime]) -> None:
        self._path = path
        self._prefix = f"{releases.parent.name}/{releases.name}/"
        self._adopt = adopt
        self._now = now

    def occupant(self, parent: int) -> Occupant:
        """Return what is there; `parent` is a descriptor of the folder it is in.

        Raises:
            TargetError: it could not be looked at.
        """
        with explained(str(self._path)):
            try:
                status = os.stat(self._path.name, dir_fd=parent, follow_symlinks=False)
            except FileNotFoundError:
                return Occupant()
            if not stat.S_ISLNK(status.st_mode):
                return Occupant(words="a folder" if stat.S_ISDIR(status.st_mode) else "no folder and no link")
            text = os.readlink(self._path.name, dir_fd=parent)
        name = ReleaseName.parse(text.removeprefix(self._prefix)) if text.startswith(self._prefix) else None
        words = f"a link to {printable(os.fsencode(text))}"
        return Occupant(is_link=True, release=name, words=words)

    def refuse_foreign(self, there: Occupant, home: Home) -> None:
        """Refuse what may be somebody else's, unless it is to be adopted.

        Raises:
            TargetError: it may be.
        """
        if self._is_foreign(there, home) and not self._adopt:
            raise TargetError(
                str(self._path),
                f"is {there.words} that bellpull did not make: move it away, or set `adopt: true` "
                f"to have it moved to {self._path.name}.adopted-<time>",
                permanent=False,
            )

    def switch(self, home: Home, name: ReleaseName) -> None:
        """Let the link lead to the release `name`; on disk when this returns.

        Raises:
            TargetError: something foreign is in the way, or the file system failed.
        """
        text, link = f"{self._prefix}{name}", self._path.name
        there = self.occupant(home.parent)
        self.refuse_foreign(there, home)
        with explained(str(self._path)):
            if self._is_foreign(there, home):
                self._move_aside(home)
                there = Occupant()
            if there.words:
                os.symlink(text, f"{name}.link", dir_fd=home.incoming)
                os.rename(f"{name}.link", link, src_dir_fd=home.incoming, dst_dir_fd=home.parent)
            else:
                os.symlink(text, link, dir_fd=home.parent)
            os.fsync(home.parent)

    def _is_foreign(self, there: Occupant, home: Home) -> bool:
        """Whether it may be somebody else's: anything, or any link while no release of ours was ever live."""
        if there.release is not None or not there.words:
            return False
        return not there.is_link or self._adopt or not home.names()

    def _move_aside(self, home: Home) -> None:
        stem = f"{self._path.name}.adopted-{self._now():%Y%m%dT%H%M%SZ}"
        taken = set(names_in(home.parent))
        aside = next(
            name for n in range(1, len(taken) + 2) if (name := stem if n == 1 else f"{stem}-{n}") not in taken
        )
        os.rename(self._path.name, aside, src_dir_fd=home.parent, dst_dir_fd=home.parent)
        _log.warning(
            "moved aside what was at the target", target=str(self._path), to=str(self._path.with_name(aside))
        )
