"""The page of HTTP says the bounds of a listener as the code has them."""

import re
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web_protocol

from bellpull.contract.message import MAX_BYTES
from bellpull.runtime.http import Limits, door, serving
from gateway.app import reports, streams
from gateway.app.intake import SMALL, Bounds
from gateway.app.listen import Listener
from tests.console import section

PAGE: Final = (Path(__file__).parent.parent / "docs" / "reference" / "api.md").read_text()
ROWS: Final = dict(re.findall(r"^\| (.+?) \| (.+) \|$", section(PAGE, "What a listener takes"), re.MULTILINE))
LIMITS: Final = Limits()
BODIES: Final = Bounds()
MIB: Final = 1024 * 1024
PLAIN: Final = Listener.model_validate("127.0.0.1:0").connections
SECURE: Final = Listener.model_validate(
    {"address": "127.0.0.1:0", "tls": {"cert": "cert.pem", "key": "key.pem"}}
).connections
SAID: Final = {
    "a request line, a header field": (f"{serving._MAX_LINE} bytes each",),
    "header fields": (f"{serving._MAX_HEADERS},", f"{door._MAX_HEAD // 1024} KiB"),
    "the time for a head": (f"{LIMITS.head_s:g} s",),
    "silence between requests": (f"{LIMITS.head_s:g} s; {LIMITS.idle_s:g} s on a proxy",),
    "a webhook's body": (
        f"{BODIES.size // MIB} MiB; {BODIES.grace_s:g} s, then {BODIES.rate / 1024:g} KiB a second, ",
        f"{BODIES.within_s:g} s in all",
    ),
    "a report's body": (f"{MAX_BYTES // MIB} MiB, {reports._BODY_S:g} s",),
    "sizes and extensions of chunks, a trailer": (f"{door._MAX_AROUND // 1024} KiB, and as much",),
    "webhooks' bodies at once": (
        f"{BODIES.small_held // MIB} MiB of those up to {SMALL // 1024} KiB",
        f"{BODIES.large_held // MIB} MiB of larger ones",
    ),
    "the rest of a body that was refused": (f"{serving._LINGER_S:g} s",),
    "requests on a connection": (f"{web_protocol.MAX_MSG_QUEUE_SIZE} read ahead",),
    "connections": (f"{PLAIN} a listener, {SECURE} with TLS",),
    "silent connections of one address": (f"{LIMITS.per_address} (",),
    "an agent that does not read its stream": (f"{streams._STALLED_S:g} s",),
}


@pytest.mark.parametrize("what", SAID)
def test_a_bound_is_that_of_the_code(what: str) -> None:
    assert [part for part in SAID[what] if part not in ROWS[what]] == []


def test_every_row_is_held_to_the_code() -> None:
    assert ROWS.keys() - {"of", "---"} == SAID.keys()
