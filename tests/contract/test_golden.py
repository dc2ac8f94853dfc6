"""Messages as they were once sent (`golden`): every later version reads them, and writes them the same."""

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
from jsonschema import Draft202012Validator

from bellpull.contract.codec import read, schema, write
from bellpull.contract.errors import ContractError
from bellpull.contract.message import TYPES, Message, decode, encode, message_schema
from tests.contract.places import MISSING, places, put

FOLDER: Final = Path(__file__).parent / "golden" / "v1"
GOLDEN: Final = sorted(FOLDER.glob("*.json"))
each_golden: Final = pytest.mark.parametrize("path", GOLDEN, ids=[path.stem for path in GOLDEN])


def _type(path: Path) -> str:
    return "dev.bellpull." + path.stem.partition("-")[0]


def _message(path: Path) -> Message:
    message = decode(path.read_bytes())
    assert isinstance(message, Message)
    return message


def test_there_is_one_for_every_type() -> None:
    assert {_type(path) for path in GOLDEN} == set(TYPES)
    assert {f"dev.bellpull.{path.stem}" for path in GOLDEN} >= set(TYPES)


@each_golden
def test_a_golden_message_is_read_and_written_the_same(path: Path) -> None:
    message = _message(path)
    assert message.type == _type(path)
    assert orjson.loads(encode(message)) == orjson.loads(path.read_bytes())


@each_golden
def test_a_golden_message_fits_the_schema_of_its_type(path: Path) -> None:
    validator = Draft202012Validator(message_schema(_type(path)))
    validator.check_schema(validator.schema)
    validator.validate(orjson.loads(path.read_bytes()))


def test_every_field_of_every_type_has_a_value_in_some_golden_message() -> None:
    """A field that is null or empty everywhere would be promised by nothing."""
    used: set[tuple[str, str]] = set()
    known: set[tuple[str, str]] = set()
    for path in GOLDEN:
        _note(_message(path).data, used, known)
    assert known - used == set()


def _note(value: Any, used: set[tuple[str, str]], known: set[tuple[str, str]]) -> None:
    if isinstance(value, tuple):
        for item in value:
            _note(item, used, known)
    if not is_dataclass(value):
        return
    for field in fields(value):
        inner = getattr(value, field.name)
        known.add((type(value).__name__, field.name))
        if inner not in (None, (), "", {}):
            used.add((type(value).__name__, field.name))
        _note(inner, used, known)


@each_golden
def test_schema_and_reader_agree_on_what_may_be_absent(path: Path) -> None:
    """Each member of the message taken away by itself, at every depth; bar the rule that superseded says by what."""
    validator = Draft202012Validator(message_schema(_type(path)))
    for index, (_, key) in enumerate(places(orjson.loads(path.read_bytes()))):
        value = orjson.loads(path.read_bytes())
        put(list(places(value))[index], MISSING)
        if key != "superseded_by":
            assert validator.is_valid(value) == _is_read(value), key


@each_golden
@pytest.mark.parametrize("name", ["specversion", "type", "id", "source", "time", "data"])
def test_what_makes_a_message_one_cannot_be_absent(path: Path, name: str) -> None:
    value = orjson.loads(path.read_bytes())
    del value[name]
    assert not _is_read(value)


def _is_read(value: object) -> bool:
    try:
        decode(orjson.dumps(value))
    except ContractError:
        return False
    return True


@each_golden
def test_data_alone_is_read_and_written_the_same(path: Path) -> None:
    """What the journal and the agent's state keep."""
    data = orjson.loads(path.read_bytes())["data"]
    cls = TYPES[_type(path)]
    assert orjson.loads(write(read(cls, data))) == data
    Draft202012Validator(schema(cls)).validate(data)
