import pytest

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
