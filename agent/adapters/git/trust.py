"""What libgit2 is told of the keys a server may have.

libgit2 reads `.ssh/known_hosts` of a home, prefers the types of keys it finds there for the server, and says whether
the key shown is among them. The home is one of this program's own, of the process: what the user has takes no part.
In the file are just the servers of the conversations that are on, each by the port of its relay. So each Sync's
pins count for its own connections, whatever others have for the same server.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pygit2

from agent.core.known_hosts import HostKey

__all__ = ["HOME", "Home"]


class Home:
    """The folder that libgit2 takes for the user's."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._lines: dict[int, str] = {}
        self._writing = threading.Lock()

    def move_into(self, folder: Path) -> None:
        """Be `folder`, made when needed; the first one counts: connections may be on."""
        with self._writing:
            if self._folder is None:
                self._folder = folder
                pygit2.settings.homedir = str(folder)

    @contextmanager
    def trusting(self, port: int, keys: Iterable[HostKey]) -> Iterator[None]:
        """Have libgit2 take just `keys` from what listens at `port` of 127.0.0.1.

        Raises:
            OSError: the file cannot be written.
        """
        with self._writing:
            self._lines[port] = "".join(f"[127.0.0.1]:{port} {key.line}\n" for key in keys)
            self._write("".join(self._lines.values()))
        try:
            yield
        finally:
            with self._writing:
                del self._lines[port]  # whoever has the port next writes its own

    def _write(self, text: str) -> None:
        if self._folder is None:
            raise OSError("the home has no folder yet")
        path = self._folder / ".ssh" / "known_hosts"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = path.with_suffix(".new")
        new.write_text(text)
        new.replace(path)  # libgit2 may be reading


HOME: Final = Home()
"""The process has one, as libgit2 has."""
