"""Manifests are read as kubectl reads them; what is odd is a fault that says where, and no input is an exception."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.adapters.manifests import read


def value(text: str) -> Any:
    """Return what a document's field is."""
    manifests, faults = read("a.yaml", f"x: {text}\n".encode())
    assert not faults, faults
    return manifests[0].item["x"]


AS_KUBECTL_READS_IT = {
    "yes": True,
    "y": True,
    "on": True,
    "True": True,
    "off": False,
    "NO": False,
    "n": False,
    '"yes"': "yes",
    "": None,
    "~": None,
    "null": None,
    "0777": 511,
    "0777_7": 4095,
    "0o17": 15,
    "0b101": 5,
    "-0b11": -3,
    "0x1F": 31,
    "0x_1": 1,
    "1_000": 1000,
    "1_": 1,
    "+5": 5,
    "-0": 0,
    "00": 0,
    "-0777": -511,
    "08": 8,
    "1.": 1,
    ".5": 0.5,
    "+.5": 0.5,
    "1.5": 1.5,
    "1e3": 1000,
    "1.0e+3": 1000,
    "12345678901234567890123": 1.2345678901234568e22,
    "9223372036854775808": 9223372036854775808,
    "-9223372036854775809": -9223372036854775808,
    "_1": "_1",
    "0b12": "0b12",
    "0o8": "0o8",
    "0xg": "0xg",
    "1:20": "1:20",
    "190:20:30": "190:20:30",
    "1e400": "1e400",
    "123e": "123e",
    ".e3": ".e3",
    "2001-12-14": "2001-12-14",
    "2001-12-14 21:59:43.10 -05:00": "2001-12-14 21:59:43.10 -05:00",
    "=": "=",
    "!!str 5": "5",
    '!!int "5"': 5,
    "! 5": "5",
    "!!float 5": 5,
    '!!bool "yes"': True,
    "!!timestamp 2001-12-14": "2001-12-14",
    "!!binary aGVsbG8=": "hello",
    "{1: a, true: b, 1.5: c, n: d}": {"1": "a", "true": "b", "1.5": "c", "false": "d"},
    "{a: &a {b: 1}, c: {<<: *a, d: 2}}": {"a": {"b": 1}, "c": {"b": 1, "d": 2}},
    "{a: &a {b: 1}, c: {<<: *a, b: 2}}": {"a": {"b": 1}, "c": {"b": 2}},
    "[&a x, *a]": ["x", "x"],
}


@pytest.mark.parametrize(("text", "expected"), AS_KUBECTL_READS_IT.items(), ids=str)
def test_a_value_is_what_kubectl_makes_of_it(text: str, expected: Any) -> None:
    """Tried with kubectl 1.37.1 (`kubectl annotate --local -o json`)."""
    found = value(text)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("a: 1\nb: 2\na: 3\n", ":3: the key 'a' is there twice", id="a key twice"),
        pytest.param("a: {b: 1, b: 2}\n", ":1: the key 'b' is there twice", id="below"),
        pytest.param("{a: 1, 'a': 2}\n", "the key 'a' is there twice", id="quoted and not"),
        pytest.param("a: 1\n---\nb: [\n", ":4 (document 2): is not YAML", id="no YAML"),
        pytest.param("a: .inf\n", "infinite", id="infinite"),
        pytest.param("a: !secret x\n", "has a tag that is not known here", id="a tag"),
        pytest.param("a: !Ref {b: c}\n", "has a tag that is not known here", id="a tag of a mapping"),
        pytest.param("a: !!int x\n", "is not what its tag !!int says", id="a tag that is not so"),
        pytest.param("? [1]\n: 2\n", "has a mapping or a list as a key", id="a list as a key"),
        pytest.param("~: 1\n", "is a key without a name", id="null as a key"),
        pytest.param("a: &a [*a]\n", "has an alias within what it stands for", id="a circle"),
        pytest.param("a: *b\n", "has an alias within what it stands for, or of nothing", id="of nothing"),
        pytest.param("a: &a 1\n*a : 2\n", "has an alias as a key", id="an alias as a key"),
        pytest.param("a: {<<: 1}\n", "merges something that is no mapping", id="merging a number"),
        pytest.param("a: " + "[" * 200, "is nested more than 100 deep", id="deep"),
        pytest.param("- a\n", "is no object", id="a list"),
        pytest.param("text", "is no object", id="a text"),
    ],
)
def test_what_is_wrong_says_where(text: str, problem: str) -> None:
    manifests, (fault,) = read("apps/web.yaml", text.encode())
    assert manifests == []
    assert str(fault).startswith("apps/web.yaml:")
    assert problem in str(fault)


def test_what_aliases_stand_for_is_bounded() -> None:
    """A few lines do not become a billion values."""
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    _, (fault,) = read("a.yaml", "\n".join(lines).encode())
    assert "aliases that stand for more than" in str(fault)


def test_an_alias_is_a_copy() -> None:
    """What is changed in one place stays in the other."""
    item = read("a.yaml", b"a: &a {b: [1]}\nc: *a\n")[0][0].item
    item["a"]["b"].append(2)
    assert item["c"] == {"b": [1]}


def test_documents_know_where_they_begin() -> None:
    """Empty ones and comments are none; the line is that of the first field."""
    text = "# a comment\n\na: 1\n---\n# nothing\n---\n---\n\n# more\nb: 2\n...\n"
    manifests, _ = read("all.yml", b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert [(str(each.origin), each.item) for each in manifests] == [
        ("all.yml:3", {"a": 1}),
        ("all.yml:10 (document 4)", {"b": 2}),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param('{"a": 1, "a": 2}', "the key 'a' is there twice", id="a key twice"),
        pytest.param('{"a": NaN}', "is not JSON", id="not a number"),
        pytest.param("[" * 100_000, "is not JSON", id="deep"),
        pytest.param('{"a": ' + "[" * 150 + "]" * 150 + "}", "is not JSON", id="deeper than YAML"),
        pytest.param('{"a": "\\ud800"}', "is not JSON", id="half a character"),
        pytest.param('{\n"a": }', ":2: is not JSON", id="no JSON"),
        pytest.param("[]", "is no object", id="a list"),
    ],
)
def test_json_is_held_to_the_same(text: str, problem: str) -> None:
    _, (fault,) = read("a.json", text.encode())
    assert problem in str(fault)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text("ab", min_size=1), JSON, min_size=1))
def test_json_is_read_as_it_is(item: dict[str, Any]) -> None:
    """By either reader: JSON is YAML."""
    text = json.dumps(item).encode()
    assert read("a.json", text)[0][0].item == item
    assert read("a.yaml", text)[0][0].item == item


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode), st.sampled_from(["a.yaml", "a.json"]))
def test_no_input_is_an_exception(data: bytes, path: str) -> None:
    manifests, faults = read(path, data)
    assert not (manifests and faults)
