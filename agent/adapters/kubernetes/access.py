"""How to get into a cluster, as a kubeconfig or the pod's own service account says it.

The library reads all kinds of kubeconfig: certificates, tokens, files and programs that give them. It takes a second
to import, so only who has a cluster to speak to imports this. Credentials change: tokens in files are rotated, those
of programs end; `renew` reads them again, once for all who were refused with the same one.
"""

import asyncio
import hashlib
import os
import ssl
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from kubernetes_asyncio.client import Configuration
from kubernetes_asyncio.config import ConfigException, kube_config, load_incluster_config

from agent.adapters.kubernetes.kubeconfig import Chosen, load_kubeconfig
from agent.core.kubernetes.proxy import environment_proxy
from agent.ports.cluster import ClusterError

__all__ = ["ACCOUNT", "Access", "Credential", "read_access"]

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its own service account."""
_HOME: Final = Path("~/.kube/config")
_IN_POD: Final = "KUBERNETES_SERVICE_HOST"


@dataclass(frozen=True, slots=True)
class Credential:
    """What one request shows.

    Attributes:
        turn: which reading of it this is.
        tls: whom to trust, and the client's certificate; None for plain HTTP, as `kubectl proxy` has it.
        authorization: the value of the header, None where a certificate says who it is.
    """

    turn: int
    tls: ssl.SSLContext | None
    authorization: str | None


class Access:
    """A way into one cluster; made by `read_access`.

    Attributes:
        url: of the API server, without a slash at the end.
        server_name: what the certificate is to say, where that is not the host of `url`.
        proxy: the proxy to go through.
        namespace: of the context, or of the pod.
        context: of the kubeconfig, whichever is its current one later; none of the pod.
    """

    def __init__(self, source: "_Source", read: "_Read") -> None:
        self._source = source
        self._read = read
        self._turn = 0
        self._renewing = asyncio.Lock()
        configuration = read.configuration
        self.url = str(configuration.host).rstrip("/")
        self.server_name: str | None = configuration.tls_server_name
        self.proxy = configuration.proxy or environment_proxy(self.url, os.environ)
        self.namespace = read.namespace
        self.context = source.context

    async def credential(self) -> Credential:
        """Return what the next request shows.

        Raises:
            ClusterError: it cannot be read.
        """
        try:
            settings = await self._read.configuration.auth_settings()
        except (ConfigException, OSError) as error:
            raise ClusterError(f"{self._source}: {error}") from None
        found = settings.get("BearerToken", {}).get("value")
        # Files of tokens commonly end with a line's end.
        header = str(found).strip() if found else None
        if header is not None and not (header.isascii() and header.isprintable() and " " in header):
            raise ClusterError(f"{self._source}: its token is empty, or has characters that no token has")
        return Credential(self._turn, self._read.tls, header)

    async def renew(self, refused: Credential) -> None:
        """Read the credential again, unless that was done since `refused` was.

        Raises:
            ClusterError: it cannot be read.
        """
        async with self._renewing:
            if refused.turn == self._turn:
                self._read = await self._source.read(self._read)
                self._turn += 1


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read; `material` says which certificates `tls` was made of."""

    configuration: Any
    chosen: Chosen | None
    namespace: str
    tls: ssl.SSLContext | None
    material: bytes


@dataclass(frozen=True, slots=True)
class _Source:
    """Where it is read from; the pod's own account where `kubeconfig` is None."""

    kubeconfig: Path | None
    context: str | None
    account: Path

    def __str__(self) -> str:
        return str(self.kubeconfig or "the service account of this pod")

    async def read(self, before: _Read | None = None) -> _Read:
        """Return what is there now; the same `tls` as before where certificates are the same, to keep connections."""
        # The class hands out copies of a default that all share; this is one of our own.
        configuration = type.__call__(Configuration)
        configuration.host = ""
        if self.kubeconfig is None:
            chosen, namespace = None, self._pod(configuration)
        else:
            chosen = await load_kubeconfig(self.kubeconfig, self.context, configuration)
            namespace = chosen.namespace
        # Nothing is awaited from here on: what the library wrote to files for OpenSSL is gone before others write.
        try:
            _check(configuration)
            material = _material(configuration)
            same = before is not None and before.material == material
            tls = before.tls if before is not None and same else _tls(configuration)
        except (OSError, ValueError) as error:
            raise ClusterError(f"{self}: {error}") from None
        finally:
            kube_config._cleanup_temp_files()  # noqa: SLF001  # keys; else left behind by whoever is killed
        return _Read(configuration, chosen, namespace, tls, material)

    def _pod(self, configuration: Any) -> str:
        token, authority = str(self.account / "token"), str(self.account / "ca.crt")
        try:
            load_incluster_config(  # type: ignore[no-untyped-call]
                client_configuration=configuration, token_filename=token, cert_filename=authority
            )
            return (self.account / "namespace").read_text().strip()
        except (ConfigException, OSError, ValueError) as error:
            raise ClusterError(f"{self}: {error}") from None


async def read_access(
    kubeconfig: Path | None = None, context: str | None = None, *, account: Path = ACCOUNT
) -> Access:
    """Return the way into a cluster.

    Args:
        kubeconfig: a file; otherwise `KUBECONFIG`, `~/.kube/config`, or the pod's own account, whichever is there.
        context: of the kubeconfig; otherwise its current one.
        account: the folder of the pod's own account.

    Raises:
        ClusterError: none of them is there, or says enough.
    """
    source = _Source(kubeconfig or _usual(), context, account)
    read = await source.read()
    # What is read again is of the same context: it is shown to the same API server.
    return Access(replace(source, context=read.chosen.context if read.chosen else None), read)


def _usual() -> Path | None:
    """Return the kubeconfig that is meant where none is named; None for the pod's own account.

    Raises:
        ClusterError: there is neither.
    """
    named = os.environ.get("KUBECONFIG")
    if named:
        return Path(named)
    home = _HOME.expanduser()
    if home.exists():
        return home
    if os.environ.get(_IN_POD):
        return None
    raise ClusterError("no cluster is named: give --kubeconfig FILE, set KUBECONFIG, or have ~/.kube/config")


def _check(configuration: Any) -> None:
    """Refuse addresses that nothing can be sent to; none is shown whole, as one may hold a password."""
    server, proxy = urlsplit(str(configuration.host)), urlsplit(str(configuration.proxy or "http://none"))
    if server.scheme not in ("https", "http") or not server.hostname:
        raise ValueError("the server of the cluster is no address that begins with https:// or http://")
    if "@" in server.netloc:
        raise ValueError("the server of the cluster has a user or password in its address: these belong to the user")
    if proxy.scheme not in ("https", "http") or not proxy.hostname:
        raise ValueError("proxy-url is no address that begins with http:// or https://: other proxies cannot be used")


def _material(configuration: Any) -> bytes:
    """Return what tells certificates apart."""
    told = hashlib.sha256(f"{configuration.host}{configuration.verify_ssl}".encode())
    for path in (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file):
        content = Path(path).read_bytes() if path else b""
        told.update(len(content).to_bytes(8) + content)
    return told.digest()


def _tls(configuration: Any) -> ssl.SSLContext | None:
    if not configuration.host.startswith("https"):
        return None
    try:
        tls = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        # Python 3.13 refuses authorities that say less than RFC 5280 asks for, as those of many clusters do.
        tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if configuration.cert_file:
            # Without a password OpenSSL would ask a person for one, and wait.
            tls.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file, password="")
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"its certificates cannot be read: {error}") from None
    if not configuration.verify_ssl:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    return tls
