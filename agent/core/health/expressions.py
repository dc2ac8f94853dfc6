"""Rules that users write, in CEL (the Common Expression Language, as Flux's `healthCheckExprs` are).

An expression sees the fields of an object: `apiVersion`, `kind`, `metadata`, `spec`, `status` and `data`, empty where
the object has none. What it may compute is bounded by the library, and so is the time that takes.
"""

from datetime import datetime
from functools import cache
from typing import Any, Final

from agent.core.health.judge import Rule
from agent.core.health.judgement import Judgement, current, failed, in_progress
from agent.core.health.reading import UnreadableError

__all__ = ["ExpressionError", "compiled", "own_rule"]

_FIELDS: Final = ("metadata", "spec", "status", "data")
_NAMES: Final = ("apiVersion", "kind")


class ExpressionError(ValueError):
    """An expression is none, or says neither true nor false; says where."""


def own_rule(*, is_current: str, is_in_progress: str | None = None, is_failed: str | None = None) -> Rule:
    """Return the rule of a kind: what is neither in progress, nor failed, nor current, is in progress.

    Args:
        is_current: the expression.
        is_in_progress: likewise, asked first.
        is_failed: likewise, asked then.

    Raises:
        ExpressionError: of any of them.
    """
    asked = [
        (compiled(text), text, says)
        for text, says in (
            (is_in_progress, in_progress("InProgress", f"It is so that {is_in_progress}")),
            (is_failed, failed("Failed", f"It is so that {is_failed}")),
            (is_current, current(f"It is so that {is_current}")),
        )
        if text is not None
    ]

    def judge(item: dict[str, Any], _now: datetime) -> Judgement:
        data = {name: item.get(name) or "" for name in _NAMES} | {name: item.get(name) or {} for name in _FIELDS}
        for expression, text, says in asked:
            if _holds(expression, text, data):
                return says
        return in_progress("NotCurrent", f"It is not so that {is_current}")

    return judge


def compiled(text: str) -> Any:
    """Return an expression, ready to be asked.

    Raises:
        ExpressionError: it is none.
    """
    environment, condition = _environment()
    try:
        expression = environment.compile(text)
    except RuntimeError as error:
        problem = " ".join(str(error).removeprefix("INVALID_ARGUMENT: ERROR: ").splitlines()[:1])
        raise ExpressionError(f"is no CEL expression: {problem}") from None
    if expression.return_type().name() not in condition:
        raise ExpressionError(f"is no condition: it is a {expression.return_type().name()}")
    return expression


def _holds(expression: Any, text: str, data: dict[str, Any]) -> bool:
    """Return what an expression says of an object.

    Raises:
        UnreadableError: it says nothing of it.
    """
    try:
        said = expression.eval(data=data).plain_value()
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise UnreadableError(f"{text}: {error}") from None
    if not isinstance(said, bool):
        raise UnreadableError(f"{text}: {said}")
    return said


@cache
def _environment() -> tuple[Any, frozenset[str]]:
    """Return what expressions are compiled by, and the types of what may be true or false.

    Raises:
        ExpressionError: there is no library for them.
    """
    try:
        from cel_expr_python import cel  # noqa: PLC0415 - not loaded where nobody writes any
    except ImportError:
        raise ExpressionError("needs the library cel-expr-python: pip install 'bellpull[agent]'") from None
    variables = dict.fromkeys(_FIELDS, cel.Type.DYN) | dict.fromkeys(_NAMES, cel.Type.STRING)
    return cel.NewEnv(variables=variables), frozenset({cel.Type.BOOL.name(), cel.Type.DYN.name()})
