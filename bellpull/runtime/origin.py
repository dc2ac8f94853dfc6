"""What an address counts as, where addresses are counted: whoever has one address of an IPv6 /64 has all of them."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

__all__ = ["origin", "parsed"]

_LONGEST = 64


def parsed(address: str) -> IPv4Address | IPv6Address | None:
    """Return the address without its zone, an IPv4 one that is written as IPv6 as what it is; none if it is none."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


@lru_cache(1024)
def origin(address: str) -> str:
    """Return an IPv4 address as it is, an IPv6 address as its /64, and what is no address up to 64 characters."""
    found = parsed(address)
    if found is None:
        return address[:_LONGEST]
    return str(IPv6Network((found, 64), strict=False)) if isinstance(found, IPv6Address) else str(found)
