"""Rings a bell when a target's link or its live release may have changed."""

import asyncio
import os
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from agent.adapters.inotify import Event, Inotify, Mask

__all__ = ["Ears"]

_NO_WATCH: Final = -1


class Ears:
    """Listens to the link, the folder of releases and every folder of one release; a context, on the loop.

    Args:
        bell: set when something may have changed.
        link: the target.
        home: the folder beside it, with `releases` in it.
    """

    def __init__(self, bell: asyncio.Event, link: Path, home: Path) -> None:
        self._bell = bell
        self._parent = link.parent
        self._names = {os.fsencode(link.name), os.fsencode(home.name)}
        self._home = home
        self._events: Inotify | None = None
        self._deaf: str | None = None
        self._parent_watch = _NO_WATCH
        self._watches: set[int] = set()

    def __enter__(self) -> Self:
        try:
            self._events = Inotify()
        except OSError as error:
            self._deaf = str(error)
            return self
        asyncio.get_running_loop().add_reader(self._events.fileno(), self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._events is not None:
            asyncio.get_running_loop().remove_reader(self._events.fileno())
            self._events.close()

    def listen(self, release: Path | None) -> str | None:
        """Listen to `release` from now on; blocks while it walks through it, so call it in a thread.

        Returns:
            Why not everything can be heard, or None.
        """
        if self._events is None:
            return self._deaf
        watches: set[int] = set()
        try:
            self._parent_watch = self._events.watch(os.fsencode(self._parent), Mask.NAMES)
            for folder in (self._home, self._home / "releases"):
                watches |= self._watch(self._events, os.fsencode(folder))
            if release is not None:
                for folder_path, _, _ in os.walk(os.fsencode(release)):
                    watches |= self._watch(self._events, folder_path)
        except OSError as error:
            return str(error)
        for watch in self._watches - watches:
            self._events.forget(watch)
        self._watches = watches
        return None

    def _watch(self, events: Inotify, folder: bytes) -> set[int]:
        try:
            return {events.watch(folder, Mask.ANYTHING)}
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return set()

    def _hear(self) -> None:
        if self._events is not None and any(map(self._matters, list(self._events.events()))):
            self._bell.set()

    def _matters(self, event: Event) -> bool:
        if event.mask & Mask.IGNORED:
            return False
        return event.watch != self._parent_watch or not event.name or event.name in self._names
