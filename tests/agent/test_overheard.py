"""What is overheard of a server, whatever it sends and in whatever pieces."""

from itertools import pairwise
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from agent.core.known_hosts import HostKey
from agent.core.overheard import Overheard

KEY: Final = HostKey.parse(b"\0\0\0\x0bssh-ed25519\0\0\0\x01k")


def string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def packet(message: bytes, padding: int = 4) -> bytes:
    return (len(message) + padding + 1).to_bytes(4, "big") + bytes([padding]) + message + bytes(padding)


KEXINIT: Final = packet(b"\x14" + bytes(16) + string(b"curve25519-sha256") + string(b"ssh-ed25519,rsa-sha2-512"))
GROUP: Final = packet(b"\x1f" + string(b"\0" * 128) + string(b"\2"))
REPLY: Final = packet(b"\x1f" + string(KEY.blob) + string(b"y") + string(b"signature"))
GEX_REPLY: Final = packet(b"\x21" + string(KEY.blob) + string(b"y") + string(b"signature"))
HELLO: Final = b"a banner\r\nSSH-2.0-x\r\n"


def hear(*pieces: bytes) -> Overheard:
    heard = Overheard()
    for piece in pieces:
        heard.feed(piece)
    return heard


@given(st.lists(st.integers(0, 400)), st.sampled_from([REPLY, GROUP + GEX_REPLY, packet(b"\2x") + REPLY]))
def test_the_key_is_heard_however_the_bytes_are_cut(cuts: list[int], reply: bytes) -> None:
    sent = HELLO + KEXINIT + reply + packet(b"\x15") + b"encrypted"
    edges = [0, *sorted(min(cut, len(sent)) for cut in cuts), len(sent)]
    heard = hear(*(sent[a:b] for a, b in pairwise(edges)))
    assert heard.key == KEY
    assert heard.algorithms == {"ssh-ed25519", "rsa-sha2-512"}


@given(st.binary(), st.binary())
def test_any_bytes_end_in_a_key_or_in_nothing(one: bytes, other: bytes) -> None:
    assert hear(one, other).key is None
    hear(HELLO, one, other)


def test_a_greeting_of_nothing_but_lines_is_not_listened_to_for_ever() -> None:
    """Nor read twice: whoever is in the middle must not keep this machine at work."""
    heard = hear(b"\n" * 40_000, b"\n" * 40_000, HELLO + KEXINIT + REPLY)
    assert heard.key is None


def test_what_never_ends_is_not_held() -> None:
    heard = hear(*[b"x" * 10_000] * 20)
    heard.feed(b"\nSSH-2.0-x\n" + REPLY)
    assert heard.key is None
    endless = hear(HELLO, b"\xff\xff\xff\xff" + b"x" * 100_000)
    endless.feed(REPLY)
    assert endless.key is None


def test_what_comes_encrypted_is_not_looked_at() -> None:
    assert hear(HELLO, KEXINIT, packet(b"\x15"), REPLY).key is None
