"""The embedded stream's frames, however their bytes are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellpull.contract.cursor import Cursor
from bellpull.contract.errors import ContractError
from bellpull.contract.message import MAX_BYTES
from bellpull.contract.stream import (
    RETRY,
    Frame,
    FrameReader,
    MessageFrame,
    Receipt,
    ResetFrame,
    TickFrame,
    encode_frame,
)
from tests.contract.strategies import cursors

_SEALS = st.text("abcdefghijklmnopqrstuvwxyzABC019_-.", max_size=200)
_BODIES = st.binary(max_size=200).map(lambda body: body.replace(b"\n", b" "))
_FRAMES: st.SearchStrategy[Frame] = (
    st.builds(MessageFrame, cursor=cursors, seal=_SEALS, body=_BODIES)
    | st.builds(TickFrame, cursor=cursors)
    | st.builds(ResetFrame, cursor=cursors)
)
_NOISE = st.sampled_from([b"", RETRY, b": still here\n\n", b"event: applause\ndata: x\n\n", b"\n\n", b"data: x\n\n"])
_CURSOR = Cursor(epoch="abcdefgh", seq=7)


@given(st.lists(st.tuples(_NOISE, _FRAMES), max_size=5), st.data())
def test_the_same_frames_are_read_however_the_bytes_are_cut(
    parts: list[tuple[bytes, Frame]], drawn: st.DataObject
) -> None:
    """Comments, `retry` and events of a later version lie between them."""
    stream = b"".join(noise + encode_frame(frame) for noise, frame in parts)
    cuts = sorted(drawn.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    reader = FrameReader()
    read = [
        frame
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for frame in reader.feed(stream[start:end])
    ]
    assert read == [frame for _, frame in parts]


@given(_FRAMES)
def test_a_frame_is_there_with_its_last_byte_and_not_before(frame: Frame) -> None:
    reader = FrameReader()
    *before, last = (encode_frame(frame)[at : at + 1] for at in range(len(encode_frame(frame))))
    assert [found for byte in before for found in reader.feed(byte)] == []
    assert reader.feed(last) == [frame]


@given(st.lists(st.binary() | st.sampled_from([b"id: abcdefgh.1\n", b"event: message\n", b"data: x\n", b"\n"])))
def test_any_bytes_are_frames_or_a_contract_error(chunks: list[bytes]) -> None:
    reader = FrameReader()
    try:
        for chunk in chunks:
            reader.feed(chunk)
    except ContractError:
        pass


@pytest.mark.parametrize("size", [MAX_BYTES, MAX_BYTES + 1024])
def test_the_largest_message_fits(size: int) -> None:
    frame = MessageFrame(cursor=_CURSOR, seal="x" * 500, body=b"x" * size)
    assert FrameReader().feed(encode_frame(frame)) == [frame]


@pytest.mark.parametrize("chunk", [MAX_BYTES // 3, 2 * MAX_BYTES], ids=["in chunks", "at once"])
@pytest.mark.parametrize("end", [b"", b"\n\n"], ids=["unended", "ended"])
def test_an_event_that_is_too_large_is_refused(chunk: int, end: bytes) -> None:
    """Without end, so that memory stays bounded; with one, so that the cut decides nothing."""
    stream = b"data: " + b"x" * (MAX_BYTES + 64 * 1024) + end
    reader = FrameReader()
    chunks = [stream[start : start + chunk] for start in range(0, len(stream), chunk)]
    with pytest.raises(ContractError, match="has an event of more than"):
        [reader.feed(part) for part in chunks]


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        (b"event: tick\n\n", "id: is missing"),
        (b"id: 5000\nevent: tick\n\n", "is not a cursor"),
        (b"id: \xff\nevent: reset\n\n", "id: is missing or not ASCII"),
        (b"id: abcdefgh.1\nevent: message\ndata: {}\n\n", "data: is not a seal and a body, a line each"),
        (b"id: abcdefgh.1\nevent: message\ndata: a\ndata: b\ndata: c\n\n", "data: is not a seal and a body"),
        (b"id: abcdefgh.1\nevent: message\ndata: \xff\ndata: {}\n\n", "data: has a seal that is not ASCII"),
    ],
)
def test_a_broken_frame_is_refused_with_its_reason(event: bytes, problem: str) -> None:
    with pytest.raises(ContractError, match=problem):
        FrameReader().feed(event)


@pytest.mark.parametrize(("seal", "body"), [("x", b"{\n}"), ("x\nid: abcdefgh.9", b"{}")])
def test_what_would_become_other_frames_is_not_written(seal: str, body: bytes) -> None:
    with pytest.raises(ContractError, match="is more than one line"):
        encode_frame(MessageFrame(cursor=_CURSOR, seal=seal, body=body))


def test_a_frame_is_this_on_the_wire() -> None:
    frame = MessageFrame(cursor=_CURSOR, seal="aaa..bbb", body=b'{"a":1}')
    assert encode_frame(frame) == b'id: abcdefgh.7\nevent: message\ndata: aaa..bbb\ndata: {"a":1}\n\n'


@pytest.mark.parametrize("want_full", [True, False])
def test_a_receipt_is_read_as_it_is_written(want_full: bool) -> None:
    assert Receipt.decode(Receipt(want_full=want_full).encode()) == Receipt(want_full=want_full)


@pytest.mark.parametrize(
    ("body", "want_full"), [(b'{"want":"full"}', True), (b'{"want":"tea"}', False), (b"{}", False)]
)
def test_a_wish_of_a_later_version_is_ignored(body: bytes, want_full: bool) -> None:
    assert Receipt.decode(body).want_full is want_full


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 5000])
def test_what_is_no_receipt_is_refused(body: bytes) -> None:
    with pytest.raises(ContractError):
        Receipt.decode(body)
