"""Patterns on `Repository.key`, in sources and enrolment records.

`*` stands for anything within one part, `**` across parts. Case is folded. Both sides ask here, so that what an agent
takes for a repository that it may hear is one.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

__all__ = ["is_pattern", "matches"]

_PATTERN: Final = re.compile(r"(?!/)(?!.*//)(?!.*/$)[^\x00-\x20\x7f:@?#\[\]\\]{1,1024}")
_PARTS: Final = re.compile(r"\*\*|\*|[^*]+")
_MEANS: Final = {"**": ".*", "*": "[^/]*"}


def is_pattern(value: str) -> bool:
    """Whether `value` is a pattern: `HOST/PATH`, `HOST/*`, `**`; no scheme, no user, no port."""
    return _PATTERN.fullmatch(value) is not None and ("/" in value or value == "**")


def matches(patterns: Iterable[str], key: str) -> bool:
    """Whether one of `patterns` fits `key`, a `Repository.key`."""
    return any(_compiled(pattern).fullmatch(key) for pattern in patterns)


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    folded = pattern.casefold()
    return re.compile("".join(_MEANS.get(part) or re.escape(part) for part in _PARTS.findall(folded)), re.DOTALL)
