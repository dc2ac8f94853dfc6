"""What a stranger puts into a message's properties does not end who reads it."""

import struct
import time
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import frame
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from bellpull.contract.routing import SEAL
from bellpull.runtime.rabbitmq.properties import MOST, read_with_care
from tests.parts.amqp import UNREADABLE, content_header, table

read_with_care()


def read(flags: int, properties: bytes) -> ContentHeader:
    _, _, header = frame.unmarshal(content_header(7, flags, properties))
    assert isinstance(header, ContentHeader)
    return header


@pytest.mark.parametrize("properties", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_absent(properties: tuple[int, bytes]) -> None:
    """All of it, so that nothing is taken from a half-read header; the size of the body is known all the same."""
    header = read(*properties)
    assert header.body_size == 7
    assert dict(header.properties) == dict(Basic.Properties())


def test_what_can_be_read_is_there() -> None:
    sealed = frame.marshal(
        ContentHeader(body_size=7, properties=Basic.Properties(user_id="web-1", headers={SEAL: "sealed"})), 1
    )
    _, _, header = frame.unmarshal(sealed)
    assert isinstance(header, ContentHeader)
    assert (header.properties.user_id, header.properties.headers) == ("web-1", {SEAL: "sealed"})


@given(st.integers(0, 2**16 - 1), st.binary(max_size=300))
def test_no_bytes_raise(flags: int, properties: bytes) -> None:
    assert read(flags, properties).body_size == 7


def test_a_header_that_is_all_small_entries_costs_little() -> None:
    """The library copies the rest of a table for each entry: 100 KiB of it would hold up everybody for long."""
    entries = table(b"".join(struct.pack(">B", 2) + struct.pack(">H", n) + b"V" for n in range(25_000)))
    assert len(entries) > MOST
    begun = time.process_time()
    for _ in range(20):
        read(1 << 13, entries)
    assert time.process_time() - begun < 0.2
    within = table(reduce(lambda all_, n: all_ + struct.pack(">BH", 2, n) + b"V", range(4_000), b""))
    assert len(within) < MOST
    read(1 << 13, within)
