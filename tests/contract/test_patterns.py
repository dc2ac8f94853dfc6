import re
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellpull.contract.patterns import is_pattern, matches


@pytest.mark.parametrize(
    ("pattern", "key", "expected"),
    [
        ("github.com/acme/site", "github.com/acme/site", True),
        ("GitHub.com/Acme/Site", "github.com/acme/site", True),
        ("github.com/acme/*", "github.com/acme/site", True),
        ("github.com/acme/*", "github.com/acme/group/site", False),
        ("github.com/acme/**", "github.com/acme/group/site", True),
        ("github.com/*/site", "github.com/acme/site", True),
        ("github.com/acme/site-*", "github.com/acme/site-1", True),
        ("**", "any.example/thing", True),
        ("github.com/acme/site", "github.com/acme/site2", False),
        ("github.com/acme/site", "xgithub.com/acme/site", False),
        ("github.com/acme/s.te", "github.com/acme/site", False),
        ("github.com/acme/*", "github.com/acme/", True),
        ("github.com/acme/*", "github.com/acme/a\nb", True),
    ],
)
def test_a_star_stays_within_a_part_and_everything_else_is_literal(pattern: str, key: str, expected: bool) -> None:
    """A name in a payload is never a pattern, and a pattern's dots are dots."""
    assert matches([pattern], key) is expected


@pytest.mark.parametrize(
    "value",
    ["", "github.com", "/acme/site", "github.com/acme/", "https://github.com/acme", "a b/c", "git@host:x/y", "a//b"],
)
def test_what_could_never_fit_is_no_pattern(value: str) -> None:
    """A URL or a bare host in a list would silently allow nothing."""
    assert not is_pattern(value)


def as_expression(pattern: str) -> str:
    parts = re.findall(r"\*\*|\*|[^*]+", pattern.casefold())
    return "".join({"**": ".*", "*": "[^/]*"}.get(part) or re.escape(part) for part in parts)


@given(st.text("ab/*", min_size=1, max_size=8), st.text("ab/", max_size=8))
def test_a_pattern_means_what_its_regular_expression_means(pattern: str, key: str) -> None:
    assert matches([pattern], key) is (re.fullmatch(as_expression(pattern), key, re.DOTALL) is not None)


@pytest.mark.parametrize(
    "pattern",
    ["**" * 500 + "/x", "*" + "a*" * 500 + "!/**", "**a" * 340, "*/" * 500 + "x"],
    ids=lambda text: text[:8],
)
def test_no_pattern_costs_more_than_its_length_times_that_of_the_key(pattern: str) -> None:
    """P13: it may come from whoever took over a gateway; a regular expression would go back and forth for years."""
    begun = process_time()
    matches([pattern], "a" * 1000)
    matches([pattern], "a/" * 500)
    assert process_time() - begun < 1
