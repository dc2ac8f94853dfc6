"""The JSON Schemas, made from the same type hints as the reader: what it reads, they admit."""

from typing import Any, Final

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from bellpull.contract.codec import schema
from bellpull.contract.errors import ContractError
from bellpull.contract.message import TYPES, Data, Message, decode, encode, message_schema
from bellpull.contract.text import KINDS
from tests.contract.places import MISSING, places, put
from tests.contract.strategies import full, json_values, of

_VALIDATORS: Final = {name: Draft202012Validator(message_schema(name)) for name in TYPES}
_LARGE: Final = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None, max_examples=30
)


@pytest.mark.parametrize("name", TYPES)
def test_a_schema_is_a_schema(name: str) -> None:
    Draft202012Validator.check_schema(message_schema(name))


@pytest.mark.parametrize(("name", "cls"), TYPES.items(), ids=TYPES)
@given(drawn=st.data())
@_LARGE
def test_what_is_read_fits_the_schema(name: str, cls: type[Data], drawn: st.DataObject) -> None:
    """Also where one member was changed to something else and is still read."""
    value = orjson.loads(encode(drawn.draw(full(cls))))
    _VALIDATORS[name].validate(value)
    place = drawn.draw(st.sampled_from(list(places(value))))
    put(
        place,
        drawn.draw(json_values | st.sampled_from([MISSING, None, {}, [], 0, True, "x", "2026-03-01T12:00:00Z"])),
    )
    try:
        read = decode(orjson.dumps(value))
    except ContractError:
        return
    if isinstance(read, Message):
        _VALIDATORS[name].validate(value)


@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
@given(drawn=st.data())
@settings(deadline=None)
def test_a_text_of_a_kind_fits_its_schema(kind: Any, drawn: st.DataObject) -> None:
    Draft202012Validator(schema(kind)).validate(drawn.draw(of(kind)))


@pytest.mark.parametrize(
    ("kind", "refused"),
    [
        ("CommitId", ["0" * 40, "a" * 39, "A" * 40, "a" * 41, ""]),
        ("MessageId", ["", "a b", "a" * 201, "\u00e9"]),
        ("Name", ["", "-a", "a-", "A", "a_b", "a" * 64]),
        ("SyncName", ["a", "/a", "a/", "a/b/c", "A/b"]),
        ("Host", ["", "GitHub.com", "a b", "-a", "github.com:443", "[::1]"]),
        ("RepositoryPath", ["", "/a", "a/", "a.git", "a.GIT", "a\nb", "a\x00"]),
        ("RefName", ["", "-a", "@", "a..b", "a@{b", "a//b", ".a", "a/.b", "a.lock", "a.lock/b", "a/", "a.", "a b"]),
        ("TreePath", ["/a", "a/", ".", "..", "a/../b", "a/.", "./a", "a//b", "a\tb"]),
        ("Note", ["x" * 1025]),
        ("TraceParent", ["", "00-" + "0" * 32 + "-b7ad6b7169203331-01", "01-" + "a" * 32 + "-b7ad6b7169203331-01"]),
    ],
)
def test_schema_and_reader_refuse_the_same_texts(kind: str, refused: list[str]) -> None:
    (of_kind,) = (each for each in KINDS if each.__name__ == kind)
    for value in refused:
        assert not KINDS[of_kind].admits(value)
        with pytest.raises(ValidationError):
            Draft202012Validator(schema(of_kind)).validate(value)
