"""Who is connected, how long each may take, and who has to go when there is no room: decisions only.

A connection is *silent* while we wait for a request's head of it (from the moment it is accepted, so also while TLS
is agreed on), *asking* while a request is worked on. It is *known* once one of its requests was authentic
(`vouch`), or while it comes from a trusted proxy; until then it is a stranger's.

- Silent: a head has to be complete `head_s` after the connection was accepted and after its own first byte.
  Between requests a stranger has `head_s` too, so that holding a connection costs one for every few seconds; a known
  one has `idle_s`, longer than the 60 s after which proxies give up a connection they kept: a proxy that sends a push
  just when we hang up loses it.
- Asking: the handler has its own clock (a body's pace, a stream's ticks); none here, so that no stream is cut.
- Room: when all `connections` are taken, the stranger is closed that has been silent, or has been asking, longest,
  then who is known and has been idle longest; a new connection is refused only when all of them are known and at
  work. To keep out a sender that needs 200 ms for its push, strangers have to open all connections anew five times
  a second: a body that never ends makes room for a newcomer like a head that never comes.
- Room for an address (R40, R42): beyond `per_address` silent strangers, its longest silent one is closed. Only
  silence counts: as soon as a head is complete, the request is verified whatever else comes from there. Anybody can
  make a provider deliver to us from the provider's own addresses, and those deliveries are not silent for longer than
  a head takes; so what is left of that weapon is to keep more than `per_address` of a provider's connections in
  their first moments. Loopback and trusted proxies speak for many and have no such limit. An IPv6 address is its /64.

Not held: memory in a connection whose request is worked on; bodies have budgets of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from bellpull.runtime.http.forwarded import Network, trusted
from bellpull.runtime.origin import origin, parsed

__all__ = ["Caller", "Callers", "Limits", "Network"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a listener gives its callers.

    Attributes:
        connections: at once, of all.
        per_address: silent strangers of one address.
        head_s: seconds for a head, and for TLS before it.
        idle_s: seconds between requests for who is known.
        proxies: who speaks for others.
    """

    connections: int = 2048
    per_address: int = 32
    head_s: float = 8.0
    idle_s: float = 75.0
    proxies: Sequence[Network] = ()


class Caller:
    """One connection: where it comes from, and since when it is in which state (seconds of a monotonic clock)."""

    __slots__ = ("asked", "asking", "head_since", "key", "known", "proxy", "since")

    def __init__(self, address: str, limits: Limits, now: float) -> None:
        self.key = _key(address)
        self.proxy = trusted(address, limits.proxies)
        self.known = self.proxy
        self.asking = False
        self.asked = False
        self.since = now
        self.head_since: float | None = None

    def overdue(self, limits: Limits, now: float) -> bool:
        """Whether it has been silent for too long."""
        if self.asking:
            return False
        if self.head_since is not None and now - self.head_since >= limits.head_s:
            return True
        return now - self.since >= (limits.idle_s if self.known and self.asked else limits.head_s)


_C = TypeVar("_C", bound=Caller)


class Callers(Generic[_C]):
    """All connections of a listener, each group in the order in which it became silent or began to ask."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.all: dict[_C, None] = {}
        self._silent: dict[_C, None] = {}
        self._asking: dict[_C, None] = {}
        self._by_key: dict[str, dict[_C, None]] = {}

    def add(self, caller: _C) -> _C | None:
        """Take in a new connection; return the one that has to go for it, which may be itself."""
        victim = self._crowding(caller.key)
        if victim is None and len(self.all) >= self.limits.connections:
            victim = self._least() or caller
        self.all[caller] = None
        self._list(caller)
        return victim

    def remove(self, caller: _C) -> None:
        """Forget a connection that is gone."""
        self.all.pop(caller, None)
        self._unlist(caller)
        self._asking.pop(caller, None)

    def begin(self, caller: _C, now: float) -> None:
        """Note that a head is complete."""
        caller.asking, caller.asked, caller.head_since, caller.since = True, True, None, now
        if not caller.known:
            self._unlist(caller)
            self._asking[caller] = None

    def end(self, caller: _C, now: float) -> None:
        """Note that the request was answered."""
        caller.asking, caller.since = False, now
        if not caller.known:
            self._asking.pop(caller, None)
            if caller in self.all:
                self._list(caller)

    def vouch(self, caller: _C) -> None:
        """Note that a request was authentic."""
        if not caller.known:
            caller.known = True
            self._unlist(caller)
            self._asking.pop(caller, None)

    def overdue(self, now: float) -> list[_C]:
        """Return who has been silent for too long."""
        limits = self.limits
        return [caller for caller in self.all if caller.overdue(limits, now)]

    def _crowding(self, key: str) -> _C | None:
        """Return the longest silent stranger of an address that has no room for one more."""
        silent = self._by_key.get(key) if key else None
        return next(iter(silent)) if silent is not None and len(silent) >= self.limits.per_address else None

    def _least(self) -> _C | None:
        """Return who is missed least."""
        strangers = [next(iter(group)) for group in (self._silent, self._asking) if group]
        if strangers:
            return min(strangers, key=lambda caller: caller.since)
        idle = [caller for caller in self.all if not caller.asking]
        return min(idle, key=lambda caller: caller.since, default=None)

    def _list(self, caller: _C) -> None:
        if caller.known:
            return
        self._silent[caller] = None
        if caller.key:
            self._by_key.setdefault(caller.key, {})[caller] = None

    def _unlist(self, caller: _C) -> None:
        self._silent.pop(caller, None)
        if (same := self._by_key.get(caller.key)) is not None:
            same.pop(caller, None)
            if not same:
                del self._by_key[caller.key]


def _key(address: str) -> str:
    """Return what an address counts as; nothing for loopback and what is no address."""
    found = parsed(address)
    return "" if found is None or found.is_loopback else origin(address)
