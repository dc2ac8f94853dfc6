"""Which proxy the environment names for an address, read as kubectl reads it.

`HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` mean something else to every program. To kubectl, loopback is never behind
a proxy, and `NO_PROXY` may hold networks (`10.0.0.0/8`), which is how clusters are commonly left out.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

__all__ = ["environment_proxy"]

_PORTS: Final = {"https": 443, "http": 80}


def environment_proxy(url: str, environment: Mapping[str, str]) -> str | None:
    """Return the URL of the proxy to `url`, None where it is reached directly."""
    parts = urlsplit(url)
    host, port = (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(parts.scheme)
    proxy = _variable(environment, f"{parts.scheme}_proxy")
    if not proxy or host == "localhost":
        return None
    address = _address(host)
    if address is not None and address.is_loopback:
        return None
    left_out = (each.strip().lower() for each in _variable(environment, "no_proxy").split(","))
    if any(_covers(each, host, port, address) for each in left_out if each):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _variable(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name.upper()) or environment.get(name, "")


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _covers(pattern: str, host: str, port: int | None, address: IPv4Address | IPv6Address | None) -> bool:
    """Whether one entry of `NO_PROXY` holds for a host; a domain does for those below it too."""
    if pattern == "*":
        return True
    if "/" in pattern and address is not None:
        try:
            return address in ip_network(pattern, strict=False)
        except ValueError:
            return False
    name, colon, wanted = pattern.rpartition(":") if pattern.count(":") == 1 else (pattern, "", "")
    if colon and wanted != str(port):
        return False
    if address is not None:
        return _address(name.strip("[]")) == address
    domain = name.removeprefix("*")
    return host.endswith(domain) if domain.startswith(".") else host == domain or host.endswith(f".{domain}")
