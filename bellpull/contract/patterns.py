"""Patterns on `Repository.key`, in sources and enrolment records.

`*` stands for anything within one part, `**` across parts. Case is folded. Both sides ask here, so that what an agent
takes for a repository that it may hear is one.

A pattern may come from whoever took over a gateway, so none may cost more than its length times the key's: all
places of the pattern that the key has come to are kept at once, a bit each, and there is nothing to go back to.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

__all__ = ["is_pattern", "matches"]

_PATTERN: Final = re.compile(r"(?!/)(?!.*//)(?!.*/$)[^\x00-\x20\x7f:@?#\[\]\\]{1,1024}")
_TOKENS: Final = re.compile(r"\*\*+|\*|[^*]")


def is_pattern(value: str) -> bool:
    """Whether `value` is a pattern: `HOST/PATH`, `HOST/*`, `**`; no scheme, no user, no port."""
    return _PATTERN.fullmatch(value) is not None and ("/" in value or value == "**")


def matches(patterns: Iterable[str], key: str) -> bool:
    """Whether one of `patterns` fits `key`, a `Repository.key`."""
    return any(_fits(pattern, key) for pattern in patterns)


class _Places(NamedTuple):
    """A pattern's tokens, a bit for the place before each.

    Attributes:
        before: the places before a character, by that character.
        star: those before `*`.
        stars: those before `**`.
        end: the place behind the last token.
    """

    before: Mapping[str, int]
    star: int
    stars: int
    end: int


@lru_cache(maxsize=4096)
def _fits(pattern: str, key: str) -> bool:
    before, star, stars, end = _places(pattern)
    skips = star | stars
    here = 1 | (1 & skips) << 1
    for character in key:
        stay = stars if character == "/" else skips
        here = (here & before.get(character, 0)) << 1 | here & stay
        here |= (here & skips) << 1
        if not here:
            return False
    return bool(here & end)


@lru_cache(maxsize=4096)
def _places(pattern: str) -> _Places:
    before: dict[str, int] = {}
    star = stars = 0
    tokens = _TOKENS.findall(pattern.casefold())
    for place, each in enumerate(tokens):
        if each == "*":
            star |= 1 << place
        elif each[0] == "*":
            stars |= 1 << place
        else:
            before[each] = before.get(each, 0) | 1 << place
    return _Places(before, star, stars, 1 << len(tokens))
