"""What the code says of itself: docstrings of classes, and the strings below fields and names."""

import ast
import inspect
import textwrap
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from types import ModuleType

__all__ = ["field_docs", "name_docs", "sentence", "slug", "table"]


@cache
def field_docs(cls: type) -> dict[str, str]:
    """Return the string below each field (or word of an enumeration) of `cls` that has one."""
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    return _below(node.body) if isinstance(node, ast.ClassDef) else {}


@cache
def name_docs(module: ModuleType) -> dict[str, str]:
    """Return the string below each name of `module` that has one."""
    return _below(ast.parse(inspect.getsource(module)).body)


def _below(body: list[ast.stmt]) -> dict[str, str]:
    docs: dict[str, str] = {}
    for field, below in pairwise(body):
        name = _name(field)
        if name and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            docs[name] = " ".join(str(below.value.value).split())
    return docs


def _name(node: ast.stmt) -> str | None:
    match node:
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
            return name
        case _:
            return None


def sentence(cls: type) -> str:
    """Return the class's docstring without the lists that are for programmers, on one line."""
    doc = inspect.cleandoc(cls.__doc__ or "").partition("\n\nAttributes:")[0]
    return " ".join(doc.split())


def slug(heading: str) -> str:
    """Return the anchor of a heading."""
    kept = "".join(char for char in heading.lower() if char.isalnum() or char in "-_ ")
    return kept.replace(" ", "-")


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table in Markdown."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)
