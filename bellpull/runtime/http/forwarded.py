"""Where a request came from, where it came through proxies: for logs and lists, never to let anybody in.

`X-Forwarded-For` is what its senders say. Only what a trusted proxy appended is known, so it is read from the
right, as long as the one who wrote it is trusted, and not at all where the connection itself is nobody's we trust.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

__all__ = ["Network", "client_address", "network", "trusted"]

Network = IPv4Network | IPv6Network


def network(value: str) -> Network:
    """Read `ADDRESS/BITS`, or an address alone.

    Raises:
        ValueError: it is none, or has bits beyond its prefix.
    """
    try:
        return ip_network(value)
    except ValueError:
        raise ValueError("is no network (such as 10.0.0.0/8, 192.0.2.7 or fd00::/8)") from None


def trusted(address: str, proxies: Iterable[Network]) -> bool:
    """Whether `address` is in one of the networks; what is no address is in none."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed in each for each in proxies)


def client_address(socket: str, forwarded: Sequence[str], proxies: Sequence[Network]) -> str:
    """Return the address that asked.

    Args:
        socket: the other end of the connection.
        forwarded: the values of all `X-Forwarded-For` fields, in their order.
        proxies: who may say on whose behalf it asks.

    Returns:
        The rightmost address that is no trusted proxy's, or the leftmost where all are; the socket's where it is
        not trusted, or where anything that counts is no address.
    """
    if not proxies or not trusted(socket, proxies):
        return socket
    address = socket
    for value in reversed([part.strip() for field in forwarded for part in field.split(",")]):
        try:
            address = str(ip_address(value))
        except ValueError:
            return socket
        if not trusted(address, proxies):
            return address
    return address
