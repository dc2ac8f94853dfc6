"""What an agent is told of how it stands: read as it was written, whatever else comes refused in one way."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from bellpull.contract.codec import schema
from bellpull.contract.errors import ContractError
from bellpull.contract.standing import MAX_STANDING, Standing
from bellpull.contract.text import Name
from tests.contract.strategies import json_values

GOLDEN = (
    b'{"agent":"web-1","installation":"acme","seal":"kid-1","keys":["kid-2","kid-3"],'
    b'"environments":["production"],"repositories":["github.com/acme/*","**"]}'
)
"""As it was once sent: every later version reads it, and writes it the same."""
STANDING = Standing(
    agent=Name("web-1"),
    installation=Name("acme"),
    seal="kid-1",
    keys=("kid-2", "kid-3"),
    environments=(Name("production"),),
    repositories=("github.com/acme/*", "**"),
)


def test_it_is_read_and_written_the_same() -> None:
    assert Standing.decode(GOLDEN) == STANDING
    assert STANDING.encode() == GOLDEN
    Draft202012Validator(schema(Standing)).validate(orjson.loads(GOLDEN))


@given(json_values)
def test_what_a_later_version_adds_is_ignored(value: object) -> None:
    later = orjson.loads(GOLDEN) | {"later": 1.5 if isinstance(value, float) else str(value)}
    assert Standing.decode(orjson.dumps(later)) == STANDING


@given(st.binary() | st.just(GOLDEN[:-1]) | json_values.map(lambda value: repr(value).encode("utf-8", "replace")))
def test_any_bytes_are_one_or_the_one_error(body: bytes) -> None:
    try:
        Standing.decode(body)
    except ContractError:
        return
    raise AssertionError(body)


@pytest.mark.parametrize("name", ["agent", "installation", "seal", "keys", "environments", "repositories"])
def test_nothing_may_be_missing(name: str) -> None:
    value = orjson.loads(GOLDEN)
    del value[name]
    with pytest.raises(ContractError, match=f"{name}: is missing"):
        Standing.decode(orjson.dumps(value))


def test_what_is_no_pattern_is_refused_with_its_place() -> None:
    """It would fit nothing, and the agent would take itself for deaf."""
    value = orjson.loads(GOLDEN) | {"repositories": ["**", "https://github.com/acme"]}
    with pytest.raises(ContractError, match=r"repositories\[1\]: is no pattern"):
        Standing.decode(orjson.dumps(value))


def test_a_large_answer_is_not_read() -> None:
    with pytest.raises(ContractError, match="is larger than"):
        Standing.decode(b" " * (MAX_STANDING + 1))
