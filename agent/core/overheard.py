"""What a server shows of itself before the connection is encrypted, overheard (RFC 4253 sections 4.2, 6, 7.1 and 8).

The SSH library decides whether the server has the private half of the key it shows; this says which key that was.
Whatever a server sends, this ends in a key or in nothing, and holds a bounded part of it.
"""

from typing import Final

from agent.core.known_hosts import HostKey

__all__ = ["Overheard"]

_MAX: Final = 64 * 1024
_HEAD: Final = 5
"""Bytes in front of a message: its length (4) with padding, the padding's (1)."""
_KEXINIT: Final = 20
_COOKIE: Final = 17
_NEWKEYS: Final = 21
_REPLIES: Final = (31, 33)
"""SSH_MSG_KEXDH_REPLY and SSH_MSG_KEX_ECDH_REPLY, which share a number; SSH_MSG_KEX_DH_GEX_REPLY."""


class Overheard:
    """Takes what a server sends, as it comes."""

    def __init__(self) -> None:
        self._heard = bytearray()
        self._searched = 0
        """How much of it is known to have no end of a line."""
        self._greeting_left = _MAX
        self._greeted = False
        self._over = False
        self.algorithms: frozenset[str] = frozenset()
        """How the server can show a host key, once it said so."""
        self.key: HostKey | None = None
        """The host key, once it was shown."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        if not self._over:
            self._heard += data
        while self._step():
            pass
        if self._over or len(self._heard) > _MAX:
            self._over = True
            self._heard.clear()

    def _step(self) -> bool:
        """Take the next line or packet; says whether there may be another."""
        if self._over:
            return False
        return self._packet() if self._greeted else self._greeting()

    def _greeting(self) -> bool:
        """Take a line; the last of the greeting begins with `SSH-`. No byte is looked at twice."""
        end = self._heard.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._heard)
            return False
        self._greeted = self._heard.startswith(b"SSH-")
        del self._heard[: end + 1]
        self._searched = 0
        self._greeting_left -= end + 1
        self._over = self._greeting_left < 0
        return True

    def _packet(self) -> bool:
        """Take a packet: lengths, a message, padding."""
        end = 4 + int.from_bytes(self._heard[:4], "big")
        if len(self._heard) < max(end, _HEAD):
            return False
        message = bytes(self._heard[_HEAD : end - self._heard[4]])
        del self._heard[:end]
        self._look(message)
        return True

    def _look(self, message: bytes) -> None:
        kind = message[0] if message else _NEWKEYS
        if kind == _KEXINIT:
            _, rest = _string(message[_COOKIE:])
            self.algorithms = frozenset(_string(rest)[0].decode("ascii", "replace").split(","))
        elif kind in _REPLIES:
            try:
                self.key = HostKey.parse(_string(message[1:])[0])
            except ValueError:
                return  # 31 is also what begins a group exchange
            self._over = True
        elif kind == _NEWKEYS:
            self._over = True


def _string(data: bytes) -> tuple[bytes, bytes]:
    """Split off the first string (RFC 4251 section 5)."""
    end = 4 + int.from_bytes(data[:4], "big")
    return data[4:end], data[end:]
