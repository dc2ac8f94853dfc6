"""How the agent asks its gateway anything over HTTP: with its token, and errors said in one way."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import aiohttp

from agent.ports.queue import AccessRefusedError, QueueError
from bellpull.contract.errors import ContractError
from bellpull.runtime.secret import Secret

__all__ = ["ANSWER_BYTES", "CONNECT_S", "Access", "reason"]

CONNECT_S: Final = 10.0
ANSWER_BYTES: Final = 4096
"""No short answer is longer."""
_NO_ACCESS: Final = frozenset({401, 403})


class Access:
    """One gateway, and the right to ask it.

    Args:
        session: of `bellpull.runtime.http.client`; its TLS settings and proxies are used.
        url: of the gateway's `agents` listener.
        token: gives the agent's token as of now, so that a rotated one is used at the next call.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, token: Callable[[], Secret]) -> None:
        self.session = session
        self.url = url.rstrip("/")
        self._token = token

    def headers(self) -> dict[str, str]:
        """Return what lets the agent in."""
        return {"Authorization": f"Bearer {self._token().reveal().decode('ascii', 'replace')}"}

    async def refusal(self, response: aiohttp.ClientResponse) -> QueueError:
        """Return the error that a status that was not agreed on is."""
        message = await self.answer(response)
        if response.status in _NO_ACCESS:
            return AccessRefusedError(f"{message}: is this agent enrolled, with this token?")
        return QueueError(message)

    async def answer(self, response: aiohttp.ClientResponse) -> str:
        """Return what was answered, for a log."""
        said = (await response.content.read(ANSWER_BYTES)).decode("utf-8", "replace").strip()
        return f"{self.url}: answered {response.status} {said[:200]!r}"

    @contextmanager
    def translated(self, what: str) -> Iterator[None]:
        """Translate the errors of one exchange; `what` says what the answer should have been.

        Raises:
            QueueError: for whatever went wrong.
        """
        try:
            yield
        except ContractError as error:
            raise QueueError(f"{self.url}: what came is no {what} of a gateway: {error}") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise QueueError(f"{self.url}: {reason(error)}") from error


def reason(error: Exception) -> str:
    """Return why nothing, or not all, was answered."""
    if isinstance(error, TimeoutError):
        return "nothing came in time"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the connection was closed before it was answered"
    if type(error) is aiohttp.ClientConnectorError and error.os_error.errno is not None:
        return os.strerror(error.os_error.errno).lower()
    return str(error) or type(error).__name__
