"""How to get into a cluster, as a kubeconfig or the pod's own service account says it.

The library reads all kinds of kubeconfig: certificates, tokens, files and programs that give them. It takes a second
to import, so only who has a cluster to speak to imports this. Credentials change: tokens in files are rotated, those
of programs end; `renew` reads them again.
"""

import asyncio
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kubernetes_asyncio.client import Configuration
from kubernetes_asyncio.config import ConfigException, load_incluster_config, load_kube_config
from yaml import YAMLError

from agent.ports.cluster import ClusterError

__all__ = ["Access", "read_access"]

_HOME: Final = Path("~/.kube/config")
_IN_POD: Final = "KUBERNETES_SERVICE_HOST"
_POD_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(slots=True, kw_only=True)
class Access:
    """A way into one cluster.

    Attributes:
        url: of the API server, without a slash at the end.
        tls: whom to trust, and the client's certificate; None for plain HTTP, as `kubectl proxy` has it.
        server_name: what the certificate is to say, where that is not the host of `url`.
        proxy: the proxy to go through.
        namespace: of the context, or of the pod.
    """

    url: str
    tls: ssl.SSLContext | None
    server_name: str | None
    proxy: str | None
    namespace: str
    _configuration: Any
    _kubeconfig: Path | None
    _context: str | None

    async def authorization(self) -> str | None:
        """Return the value of the header, None where a certificate says who it is."""
        settings = await self._configuration.auth_settings()
        found = settings.get("BearerToken", {}).get("value")
        return str(found) if found else None

    async def renew(self) -> None:
        """Read the credential again.

        Raises:
            ClusterError: it cannot be read.
        """
        self._configuration, _ = await _read(self._kubeconfig, self._context)


async def read_access(kubeconfig: Path | None = None, context: str | None = None) -> Access:
    """Return the way into a cluster.

    Args:
        kubeconfig: a file; otherwise `KUBECONFIG`, `~/.kube/config`, or the pod's own account, whichever is there.
        context: of the kubeconfig; otherwise its current one.

    Raises:
        ClusterError: none of them is there, or says enough.
    """
    configuration, namespace = await _read(kubeconfig, context)
    return Access(
        url=configuration.host.rstrip("/"),
        tls=_tls(configuration),
        server_name=configuration.tls_server_name,
        proxy=configuration.proxy,
        namespace=namespace,
        _configuration=configuration,
        _kubeconfig=kubeconfig,
        _context=context,
    )


async def _read(kubeconfig: Path | None, context: str | None) -> tuple[Any, str]:
    """Return what the library makes of it, and the namespace that is meant where none is named."""
    # The class hands out copies of a default that all share; this is one of our own.
    configuration = type.__call__(Configuration)
    written = kubeconfig or _usual()
    if written is not None and not await asyncio.to_thread(_is_there, written):
        raise ClusterError(f"{written}: no such kubeconfig")
    try:
        if written is None:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            return configuration, _POD_NAMESPACE.read_text().strip()
        loader = await load_kube_config(str(written), context, configuration, persist_config=False)
        chosen = (loader.current_context or {}).get("context") or {}
        return configuration, str(chosen.get("namespace") or "default")
    except ConfigException as error:
        raise ClusterError(f"{written or 'the service account of this pod'}: {error}") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, AssertionError, YAMLError) as error:
        problem = f"cannot be read as a kubeconfig ({type(error).__name__})"
        raise ClusterError(f"{written or 'the service account of this pod'}: {problem}") from None


def _is_there(written: Path) -> bool:
    return any(Path(each).exists() for each in str(written).split(os.pathsep))


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


def _tls(configuration: Any) -> ssl.SSLContext | None:
    if not configuration.host.startswith("https"):
        return None
    try:
        tls = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        if configuration.cert_file:
            tls.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ClusterError(f"{configuration.host}: its certificates cannot be read: {error}") from None
    if not configuration.verify_ssl:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    return tls
