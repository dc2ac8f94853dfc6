"""Strangers who send what is no HTTP, and go on sending: refused at once, and nothing of it is kept."""

import re
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

from bellpull.contract.message import MEDIA_TYPE
from bellpull.contract.stream import REPORTS_PATH
from tests.gateway.github import payload
from tests.gateway.process import TOKEN, Folder, Gateway, deliver

STRANGERS: Final = 12
MOST_MB: Final = 50
"""What all of them may cost; 180 MB were kept of them where each piece was."""
HEAD: Final = (
    b"POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
    b"X-Hub-Signature-256: sha256=" + b"0" * 64 + b"\r\nExpect: 100-continue\r\n\r\n"
)


REPORT: Final = (
    f"POST {REPORTS_PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: {MEDIA_TYPE}\r\nTransfer-Encoding: chunked\r\n"
    f"Authorization: Bearer {TOKEN}\r\nExpect: 100-continue\r\n\r\n"
).encode()


def _held_mb(gateway: Gateway) -> int:
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) // 1024


def _floods(gateway: Gateway) -> bytes:
    """Send a chunk that is longer than it says, and 16 MB behind it, as far as that is taken; return the answer."""
    host, _, port = gateway.hooks.removeprefix("http://").rpartition(":")
    said = b""
    with socket.create_connection((host, int(port)), 20) as line, suppress(ConnectionError):
        line.sendall(HEAD)
        said = line.recv(100)
        line.sendall(b"1\r\n{}{}\r\n")
        for _ in range(256):
            line.sendall(b"x" * 65536)
    return said


def _answer(url: str, head: bytes) -> bytes:
    """Return what is answered to a body that is found to be none after its head was accepted."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), 20) as line:
        line.sendall(head)
        assert line.recv(100).split()[1] == b"100"
        line.sendall(b"1\r\n{}{}\r\n")
        answer = b""
        while more := line.recv(4096):
            answer += more
    return answer


def test_what_comes_after_a_body_that_cannot_be_read_is_not_kept(tmp_path: Path) -> None:
    """P1, P13: the memory of the gateway is not strangers' to fill, and a push is answered meanwhile."""
    with Folder(tmp_path).running() as gateway, ThreadPoolExecutor(STRANGERS) as strangers:
        assert deliver(gateway.hooks, payload(), delivery="before").status == 202
        before = _held_mb(gateway)
        assert list(strangers.map(_floods, [gateway] * STRANGERS)) == [b"HTTP/1.1 100 Continue\r\n\r\n"] * STRANGERS
        assert deliver(gateway.hooks, payload(), delivery="after").status == 202
        assert _held_mb(gateway) - before < MOST_MB
    assert b"Traceback" not in (tmp_path / "stderr").read_bytes()


def test_who_sends_a_body_that_cannot_be_read_is_told_so(tmp_path: Path) -> None:
    """P11: strangers as agents, at once, and it is no fault of the gateway's."""
    folder = Folder(tmp_path)
    folder.enroll()
    with folder.running() as gateway:
        answers = [_answer(gateway.hooks, HEAD), _answer(gateway.agents, REPORT)]
    for answer in answers:
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"the body is not framed as HTTP wants it" in answer
    assert TOKEN.encode() not in folder.everything()
    assert b"Traceback" not in folder.everything()
