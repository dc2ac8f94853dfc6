"""Reading and writing of messages: the laws that hold for every type."""

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bellpull.contract.errors import ContractError
from bellpull.contract.message import MAX_BYTES, TYPES, Data, Message, Unknown, decode, encode
from tests.contract.places import MISSING, places, put
from tests.contract.strategies import full, json_values, messages

_SLOW_DATA = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
_WRONG = st.sampled_from([MISSING, None, "x", "", -1, 0, 2**64 - 1, 0.5, True, [], [None], {}, {"a": [{}]}])


@given(messages)
@_SLOW_DATA
def test_decoding_what_was_encoded_gives_the_message(message: Message) -> None:
    assert decode(encode(message)) == message


@pytest.mark.parametrize("cls", TYPES.values(), ids=TYPES)
@given(drawn=st.data())
@settings(_SLOW_DATA, max_examples=10)
def test_a_message_with_every_field_survives_the_round_trip(cls: type[Data], drawn: st.DataObject) -> None:
    message = drawn.draw(full(cls))
    assert decode(encode(message)) == message


@given(messages)
@_SLOW_DATA
def test_a_message_is_one_line(message: Message) -> None:
    """The stream puts a message on one `data:` line."""
    assert b"\n" not in encode(message)
    assert b"\r" not in encode(message)


@given(messages, json_values)
@_SLOW_DATA
def test_unknown_fields_are_ignored_at_every_depth(message: Message, value: object) -> None:
    """A later minor version may add fields (design: within one minor version either way)."""
    grown = _grow(orjson.loads(encode(message)), value)
    assert decode(orjson.dumps(grown)) == message


@given(st.binary() | json_values.map(orjson.dumps))
def test_any_bytes_decode_or_give_a_contract_error(body: bytes) -> None:
    _decode_or_contract_error(body)


@pytest.mark.parametrize("cls", TYPES.values(), ids=TYPES)
@given(drawn=st.data())
@settings(_SLOW_DATA, max_examples=60)
def test_a_message_with_one_leaf_changed_decodes_or_gives_a_contract_error(
    cls: type[Data], drawn: st.DataObject
) -> None:
    """Every place in every type, with every kind of JSON value in it, or gone."""
    value = orjson.loads(encode(drawn.draw(full(cls))))
    place = drawn.draw(st.sampled_from(list(places(value))))
    put(place, drawn.draw(_WRONG | json_values))
    _decode_or_contract_error(orjson.dumps(value))


@given(messages, st.data())
@_SLOW_DATA
def test_a_message_cut_short_or_with_a_byte_changed_decodes_or_gives_a_contract_error(
    message: Message, drawn: st.DataObject
) -> None:
    body = encode(message)
    at = drawn.draw(st.integers(0, len(body) - 1))
    with pytest.raises(ContractError):
        decode(body[:at])
    _decode_or_contract_error(body[:at] + bytes([drawn.draw(st.integers(0, 255))]) + body[at + 1 :])


_TICK: dict[str, Any] = {
    "specversion": "1.0",
    "type": "dev.bellpull.tick.v1",
    "id": "t-1",
    "source": "/gateway",
    "time": "2026-03-01T12:00:00Z",
    "data": {"agent": "web-1", "sent": 3},
}
_TIMES_REFUSED = (
    "2026-03-01T12:00:00",
    "2026-03-01",
    "2026-W09-1T12:00:00Z",
    "20260301T120000Z",
    "2026-03-01 12:00:00Z",
    "2026-03-01T24:00:00Z",
    "2026-02-30T12:00:00Z",
    "2026-03-01T12:00:60Z",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "2026-03-01T12:00:00+24:00",
    "\u0662026-03-01T12:00:00Z",
    "",
)  # fmt: skip


def _with(path: str, value: object) -> dict[str, Any]:
    changed = orjson.loads(orjson.dumps(_TICK))
    *parents, last = path.split(".")
    holder = changed
    for parent in parents:
        holder = holder[parent]
    holder[last] = value
    return changed  # type: ignore[no-any-return]  # JSON


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("specversion", "0.3", "specversion: is not 1.0"),
        ("id", "", "id: is not a message id"),
        ("data", None, "data: is not an object"),
        ("data.agent", "Web 1", "data.agent: is not a name of"),
        ("data.sent", -1, "data.sent: is not a whole number from 0 to 2^53"),
        ("data.sent", 2**53, "data.sent: is not a whole number from 0 to 2^53"),
        ("data.sent", True, "data.sent: is not a whole number from 0 to 2^53"),
        ("data.sent", "3", "data.sent: is not a whole number from 0 to 2^53"),
        ("type", "dev.bellpull.tick.v2", "type: is version 2, and this program speaks version 1: update"),
        ("traceparent", "00-0", "traceparent: is not a W3C traceparent"),
        ("source", "x" * 1025, "source: is not a source of up to 1 KiB"),
        ("source", "", "source: is not a source of up to 1 KiB"),
        ("subject", "x" * 4097, "subject: is not a subject of up to 4 KiB"),
        *[("time", time, "time: is no") for time in _TIMES_REFUSED],
    ],
)
def test_an_error_says_where_and_what(path: str, value: object, problem: str) -> None:
    with pytest.raises(ContractError) as caught:
        decode(orjson.dumps(_with(path, value)))
    assert str(caught.value).startswith(problem)
    assert caught.value.path == path


@pytest.mark.parametrize(
    "time", ["2026-03-01T12:00:00.000000Z", "2026-03-01T13:30:00+01:30", "2026-03-01T07:00:00-05:00"]
)
def test_a_time_is_read_with_its_offset(time: str) -> None:
    assert decode(orjson.dumps(_with("time", time))) == decode(orjson.dumps(_TICK))


@pytest.mark.parametrize("name", ["dev.bellpull.applause.v1", "dev.bellpull.applause.v2", "com.example.tick", "x"])
def test_a_type_of_somebody_else_or_of_a_later_version_is_skipped(name: str) -> None:
    assert decode(orjson.dumps(_with("type", name))) == Unknown(id="t-1", type=name)


def test_an_error_repeats_nothing_of_the_value() -> None:
    """What was sent may be a secret in the wrong place."""
    for path in ("id", "time", "data.agent", "data.sent", "specversion", "traceparent"):
        with pytest.raises(ContractError) as caught:
            decode(orjson.dumps(_with(path, "hunter2 hunter2")))
        assert "hunter2" not in str(caught.value)


def test_what_is_too_large_is_not_even_read() -> None:
    with pytest.raises(ContractError, match="is larger than 4194304 bytes"):
        decode(b" " * (MAX_BYTES + 1))


def test_what_is_nested_without_end_is_a_contract_error() -> None:
    with pytest.raises(ContractError, match="is not JSON"):
        decode(b"[" * 100_000)


def test_an_update_that_contradicts_itself_is_refused() -> None:
    """A deletion has no commit after it, and an update leads from or to one."""
    body = _update(deleted=True, after="a" * 40, before="b" * 40)
    with pytest.raises(ContractError, match=r"data\.after: is null exactly when the ref was deleted"):
        decode(body)
    with pytest.raises(ContractError, match=r"data\.before: and after cannot both be null"):
        decode(_update(deleted=True, after=None, before=None))


def _update(**changed: object) -> bytes:
    data = {
        "repository": {"host": "github.com", "path": "acme/site"},
        "ref": {"kind": "branch", "name": "main"},
        "created": False,
        "forced": False,
        "actor": None,
        "delivery": {"provider": "github", "source": "github", "id": "d", "assurance": "signature"},
        "hops": {"received": "2026-03-01T12:00:00Z", "accepted": "2026-03-01T12:00:00Z"},
        **changed,
    }
    return orjson.dumps({**_TICK, "type": "dev.bellpull.ref.updated.v1", "data": data})


def _decode_or_contract_error(body: bytes) -> None:
    try:
        decoded = decode(body)
    except ContractError:
        return
    assert isinstance(decoded, Message | Unknown)
    if isinstance(decoded, Message):
        assert decode(encode(decoded)) == decoded


def _grow(value: Any, new: object, name: str = "") -> Any:
    if isinstance(value, list):
        return [_grow(item, new) for item in value]
    if not isinstance(value, dict) or name == "words":  # its names are words of a closed table
        return value
    return {key: _grow(item, new, key) for key, item in value.items()} | {"x-later": new}
