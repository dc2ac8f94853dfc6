"""Installations for tests of what they need in RabbitMQ."""

import string

from hypothesis import strategies as st

from bellpull.contract.patterns import is_pattern
from bellpull.contract.text import Name
from gateway.core.topology import Thing, topology

__all__ = ["GATEWAY", "agents", "made", "patterns"]

GATEWAY = "bellpull_gateway"
_LETTERS = string.ascii_letters + string.digits
_PART = st.text(_LETTERS + ".-_é!%+~*", min_size=1, max_size=6) | st.sampled_from(["*", "**", "acme", "a*", "*a"])
_HOST = st.sampled_from(["github.com", "git.example", "*", "**", "*.com", "g**", "GitHub.com"]) | _PART

patterns: st.SearchStrategy[str] = st.one_of(
    st.builds(lambda host, parts: "/".join([host, *parts]), _HOST, st.lists(_PART, min_size=1, max_size=3)),
    st.just("**"),
).filter(is_pattern)
_names = st.from_regex(r"[a-c][a-c.-]{0,3}[a-c]", fullmatch=True).map(Name)
agents: st.SearchStrategy[dict[Name, list[str]]] = st.dictionaries(
    _names, st.lists(patterns, min_size=1, max_size=3), max_size=3
)


def made(rights: dict[Name, list[str]], gateway: str = GATEWAY) -> frozenset[Thing]:
    """Return what an installation `bellpull` in the virtual host `v` needs."""
    return topology(installation=Name("bellpull"), vhost="v", gateway=gateway, agents=rights)
