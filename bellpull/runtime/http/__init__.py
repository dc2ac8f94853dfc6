"""HTTP, served and asked for, with the bounds aiohttp leaves open."""

from bellpull.runtime.http.asking import client
from bellpull.runtime.http.callers import Limits
from bellpull.runtime.http.forwarded import Network, network
from bellpull.runtime.http.serving import remote, serve, vouch

__all__ = ["Limits", "Network", "client", "network", "remote", "serve", "vouch"]
