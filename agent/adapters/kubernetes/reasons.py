"""Why no answer came from an API server, in words that say what to look at."""

import os
import ssl
from typing import Final

import aiohttp

__all__ = ["CONNECT_S", "NO_USE_AGAIN", "reason"]

CONNECT_S: Final = 10.0
"""How long a connection may take to come about."""
NO_USE_AGAIN: Final = (
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ClientConnectorDNSError,
    aiohttp.ClientConnectorSSLError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
)
"""What is the same a second later; the next run tries again."""
_OTHER_NAME: Final = (62, 64)
"""OpenSSL's numbers for a certificate of another name, or another address."""


def reason(error: Exception | None) -> str:
    """Return the reason, and what to do where that is known; the address is not in it."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return _untrusted(error.certificate_error)
        case aiohttp.ClientConnectorSSLError():
            why = getattr(error.os_error, "reason", None) or "it ended"
            return f"no TLS comes about ({why}): is it an https address?"
        case aiohttp.ClientConnectorDNSError():
            return f"the host name {error.host} is not known"
        case aiohttp.ClientProxyConnectionError():
            return f"the proxy {error.host}:{error.port} cannot be reached: {_system(error.os_error)}"
        case aiohttp.ClientConnectorError():
            return f"cannot be reached: {_system(error.os_error)}"
        case aiohttp.ClientHttpProxyError():
            return f"the proxy refused: {error.status} {error.message}"
        case aiohttp.ConnectionTimeoutError():
            return f"no connection within {CONNECT_S:.0f} s: is the address right, and open to this machine?"
        case _:
            return f"the connection broke ({type(error).__name__})"


def _untrusted(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError) and error.verify_code in _OTHER_NAME:
        return f"its certificate is another's ({error.verify_message}): see tls-server-name in the kubeconfig"
    return f"its certificate is not trusted ({error}): see certificate-authority in the kubeconfig"


def _system(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
