"""Why a server was not reached, told apart by cause: each with what happened, where, and what to do.

Only what the operating system, OpenSSL and aiohttp say of an error decides, and never its text, but for what a proxy
answered. What they leave open (a server that hangs up on who comes without TLS) is asked by `check_dial`.
"""

import errno
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

import aiohttp

from bellpull.cli.finding import Finding, bad

__all__ = ["Cause", "Peer", "cause_of", "not_reached"]


class Cause(Enum):
    """What kept us from a server."""

    NO_NAME = auto()
    NO_RESOLVER = auto()
    REFUSED = auto()
    NO_WAY = auto()
    NO_CONNECTION = auto()
    NO_ANSWER = auto()
    UNTRUSTED = auto()
    OTHER_NAME = auto()
    EXPIRED = auto()
    NOT_YET = auto()
    NO_TLS = auto()
    ONLY_TLS = auto()
    TLS_FAILED = auto()
    PROXY_AWAY = auto()
    PROXY_LOGIN = auto()
    PROXY_REFUSED = auto()
    HUNG_UP = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Whom we wanted to reach, and what says how.

    Attributes:
        what: the finding's thing.
        who: what it is called in a sentence.
        host: of it.
        port: of it.
        url: the setting that says where it is.
        ca: the setting that says which authorities are trusted.
        plain: the scheme without TLS.
        secure: the one with TLS.
        proxy: the proxy that leads there, if one does; without its user.
    """

    what: str
    who: str
    host: str
    port: int
    url: str
    ca: str
    plain: str = "http://"
    secure: str = "https://"
    proxy: str = ""

    @property
    def where(self) -> str:
        """`HOST:PORT`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


_SAID: Final = MappingProxyType(
    {
        Cause.NO_NAME: ("no such host name", "is the host in {url} spelt right? `getent hosts {host}` asks the same"),
        Cause.NO_RESOLVER: (
            "its name cannot be looked up now",
            "see that this machine reaches its name server (/etc/resolv.conf)",
        ),
        Cause.REFUSED: (
            "connection refused, nobody listens there",
            "is it running, and is the port in {url} right? It may listen on another address only",
        ),
        Cause.NO_WAY: (
            "no way leads there from this machine",
            "see the routes and the firewall of this machine, and the host in {url}",
        ),
        Cause.NO_CONNECTION: (
            "no connection in time",
            "does a firewall drop what goes there? Is the host in {url} right?",
        ),
        Cause.NO_ANSWER: (
            "it takes connections and does not answer in time",
            "see the log of {who}, or of the proxy before it; is the port in {url} that of another program?",
        ),
        Cause.UNTRUSTED: (
            "its certificate is not trusted: none of the known authorities signed it",
            "name the file of its authority's certificate (PEM) as {ca}; the server has to send those between, too",
        ),
        Cause.OTHER_NAME: (
            "its certificate is for another name than {host}",
            "write a name into {url} that is in it, or have one made for {host}",
        ),
        Cause.EXPIRED: ("its certificate has expired", "renew it there; is the clock of this machine right?"),
        Cause.NOT_YET: ("its certificate is not valid yet", "is the clock of this machine, or the server's, right?"),
        Cause.NO_TLS: (
            "it does not speak TLS on that port",
            "name the port where TLS ends in {url}, or write {plain} where the way is safe",
        ),
        Cause.ONLY_TLS: ("it speaks only TLS on that port", "write {secure} in {url}"),
        Cause.TLS_FAILED: (
            "it speaks TLS, and none that both accept",
            "does it want a client certificate, or allow only versions before TLS 1.2? See the log of {who}",
        ),
        Cause.PROXY_AWAY: (
            "the proxy {proxy} that leads there cannot be reached",
            "mend HTTPS_PROXY or HTTP_PROXY, or list {host} in NO_PROXY",
        ),
        Cause.PROXY_LOGIN: (
            "the proxy {proxy} wants to know who asks (407)",
            "write its user and password into HTTPS_PROXY or HTTP_PROXY, or list {host} in NO_PROXY",
        ),
        Cause.PROXY_REFUSED: (
            "the proxy {proxy} does not lead there",
            "have {where} allowed at the proxy, or list {host} in NO_PROXY",
        ),
        Cause.HUNG_UP: (
            "it closed the connection without an answer",
            "see the log of {who}, or of what is before it; is the port in {url} that of another program?",
        ),
    }
)
_BY_ERRNO: Final = MappingProxyType(
    {
        errno.ECONNREFUSED: Cause.REFUSED,
        errno.ETIMEDOUT: Cause.NO_CONNECTION,
        errno.ENETUNREACH: Cause.NO_WAY,
        errno.EHOSTUNREACH: Cause.NO_WAY,
        errno.ENETDOWN: Cause.NO_WAY,
        errno.ECONNRESET: Cause.HUNG_UP,
        errno.EPIPE: Cause.HUNG_UP,
        errno.ECONNABORTED: Cause.HUNG_UP,
    }
)
_BY_VERIFY_CODE: Final = MappingProxyType(
    {9: Cause.NOT_YET, 10: Cause.EXPIRED, 62: Cause.OTHER_NAME, 64: Cause.OTHER_NAME}
)
"""OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID, _CERT_HAS_EXPIRED, _HOSTNAME_MISMATCH and _IP_ADDRESS_MISMATCH."""
_NOT_TLS: Final = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}
)
"""What OpenSSL says of a first record that is none."""


def not_reached(peer: Peer, cause: Cause, more: str = "") -> Finding:
    """Return that `peer` was not reached, and what to do; `more` is said in parentheses."""
    found, do = _SAID[cause]
    words = {name: getattr(peer, name) for name in ("who", "host", "where", "url", "ca", "plain", "secure", "proxy")}
    told = found.format(**words) + (f" ({more})" if more else "")
    return bad(peer.what, f"{peer.where}: {told}", do.format(**words))


def cause_of(error: BaseException) -> Cause | None:
    """Return what an error of connecting, or of asking, comes from; None where it says nothing of that."""
    match error:
        case aiohttp.ClientHttpProxyError(status=status):
            return Cause.PROXY_LOGIN if status == 407 else Cause.PROXY_REFUSED
        case aiohttp.ClientProxyConnectionError():
            return Cause.PROXY_AWAY
    return next((found for each in _beneath(error) if (found := _cause(each)) is not None), None)


def _cause(error: BaseException) -> Cause | None:
    match error:
        case socket.gaierror(errno=number):
            return Cause.NO_RESOLVER if number == socket.EAI_AGAIN else Cause.NO_NAME
        case ssl.SSLCertVerificationError(verify_code=code):
            return _BY_VERIFY_CODE.get(code, Cause.UNTRUSTED)
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError() | aiohttp.ServerDisconnectedError():
            return Cause.HUNG_UP
        case ssl.SSLError(reason=why):
            return Cause.NO_TLS if why in _NOT_TLS else Cause.TLS_FAILED
        case aiohttp.ConnectionTimeoutError():
            return Cause.NO_CONNECTION
        case TimeoutError() if error.errno is None:
            return Cause.NO_ANSWER
        case OSError(errno=number) if number is not None:
            return _BY_ERRNO.get(number)
        case ConnectionError():
            return Cause.HUNG_UP
    return None


def _beneath(error: BaseException) -> Iterator[BaseException]:
    """Give the errors that `error` was made from, the first one first, and itself last."""
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error.__cause__
    if isinstance(inner, BaseException) and inner is not error:
        yield from _beneath(inner)
    yield error
