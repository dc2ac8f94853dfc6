"""The gateway's listeners as they are configured: certificates that follow their files, limits, whom to believe."""

import ssl
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from aiohttp import web

from bellpull.runtime import open_files
from bellpull.runtime.address import Address
from bellpull.runtime.config import Problems, SecretRef, exposed
from bellpull.runtime.http import Limits, network, serve
from bellpull.runtime.logs import logger
from bellpull.runtime.reload import Watched, Watcher
from bellpull.runtime.tls import TlsError, server_context
from gateway.app.listen import Listen, TlsSettings
from gateway.core.connections import fit

__all__ = ["Edge"]

_log = logger("gateway")


class Edge:
    """The three listeners; making it reads certificates, blocks, and lets the process have files for all connections.

    Args:
        listen: the settings.
        folder: what their paths are relative to.
        problems: told of certificates that cannot be used.
        watcher: looks after them.
    """

    def __init__(self, listen: Listen, folder: Path, problems: Problems, watcher: Watcher) -> None:
        self._listeners = listen.each()
        self._connections = _connections(listen)
        self._proxies = tuple(network(each) for each in listen.trusted_proxies)
        self._folder = folder
        self._watcher = watcher
        self._contexts = {
            name: self._context(name, listener.tls, problems)
            for name, listener in self._listeners.items()
            if listener.tls is not None
        }

    def serve(self, name: str, app: web.Application, *, drain_s: float = 2.0) -> AbstractAsyncContextManager[Address]:
        """Return what serves `app` at the listener `name` while its context lasts; yields where."""
        listener, context = self._listeners[name], self._contexts.get(name)
        return serve(
            app,
            listener.address,
            name=name,
            drain_s=drain_s,
            limits=Limits(connections=self._connections[name], proxies=self._proxies),
            tls=None if context is None else lambda: context.value,
        )

    def _context(self, name: str, tls: TlsSettings, problems: Problems) -> Watched[ssl.SSLContext] | None:
        cert, key = self._folder / tls.cert, self._folder / tls.key
        if warning := exposed(SecretRef(file=tls.key), self._folder):
            _log.warning("a secret is exposed", problem=warning)
        try:
            return self._watcher.watch(f"certificate of {name}", [cert, key], lambda: server_context(cert, key))
        except TlsError as error:
            problems.add(f"listen.{name}.tls", str(error))
            return None


def _connections(listen: Listen) -> dict[str, int]:
    """Return how many each listener may have; says so where that is fewer than its settings allow."""
    files = open_files.allow()
    given = fit(listen.connections(), files)
    if given != listen.connections():
        _log.warning("fewer connections than allowed: raise the limit of open files", open_files=files, **given)
    return given
