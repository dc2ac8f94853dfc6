"""The page of the messages, and a JSON Schema for each type, from the dataclasses that read them."""

import json
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from bellpull.contract import text as kinds
from bellpull.contract.codec import schema
from bellpull.contract.message import MAX_BYTES, MEDIA_TYPE, TYPES, message_schema
from bellpull.contract.routing import SEAL
from bellpull.contract.standing import AGENT_PATH, Standing
from bellpull.contract.text import KINDS
from bellpull.contract.word import WORDS, Word
from tests.docs.source import field_docs, name_docs, sentence, slug, table

__all__ = ["SCHEMAS", "page"]

_HEAD: Final = f"""\
# Messages

CloudEvents 1.0 in structured JSON (`{MEDIA_TYPE}`), one line of UTF-8, at most {MAX_BYTES:,} bytes, with its
seal beside it. Unknown fields are ignored, unknown types skipped. A type's version changes only when a reader of the
old one could not read the new one.

Round every message: `specversion` (`1.0`), `type`, `id`, `source` (a URI reference), `time`, `datacontenttype`
(`application/json`), `subject` and `traceparent` (both optional), `data`: what the tables here describe.

Over RabbitMQ each has the header `{SEAL}`, and copies of its attributes as `cloudEvents_…`, which are not sealed.
An [AsyncAPI document](asyncapi.json) says where they go there, and a how-to [how to listen](../how-to/observe.md).
"""
_WORDS_HEAD: Final = """\
What a Sync says of a commit that was announced to it. A final word stays, except that what `failed`, or was
`rejected` and is then allowed, may become `applied`.
"""
_STANDING_FILE: Final = "schemas/standing.v1.json"
_STANDING: Final = f"""\
## Standing

The answer to `GET {AGENT_PATH}` on the `agents` listener, with the agent's token: plain JSON, no message, not
sealed ([JSON Schema]({_STANDING_FILE})).
"""
_SCALARS: Final[Mapping[Any, str]] = {
    str: "text",
    bool: "true or false",
    int: "whole number",
    float: "number",
    datetime: "time",
}


def page() -> str:
    """Return the page."""
    parts = list(dict.fromkeys(part for cls in TYPES.values() for part in _parts(cls)))
    objects = [part for part in parts if is_dataclass(part) and isinstance(part, type)]
    enums = [part for part in parts if not is_dataclass(part) and part is not Word]
    sections = [
        *(_message(name, cls) for name, cls in TYPES.items()),
        f"{_STANDING}\n{_object(Standing)}",
        "## Parts\n",
        *(f"### {cls.__name__}\n\n{_object(cls)}" for cls in objects),
        *(f"### {cls.__name__}\n\n{_enum(cls)}" for cls in enums),
        f"## Word\n\n{_WORDS_HEAD}\n{_words()}",
        f"## Kinds of text\n\n{_kinds()}",
    ]
    return "\n".join([_HEAD, *sections])


def _schema(name: str) -> str:
    return json.dumps(message_schema(name), indent=2) + "\n"


def _file(name: str) -> str:
    return f"schemas/{name.removeprefix('dev.bellpull.')}.json"


def _standing_schema() -> str:
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": Standing.__name__}
    return json.dumps(dialect | schema(Standing), indent=2) + "\n"


SCHEMAS: Final[Mapping[str, Callable[[], str]]] = {
    **{_file(name): partial(_schema, name) for name in TYPES},
    _STANDING_FILE: _standing_schema,
}


def _message(name: str, cls: type) -> str:
    return f"## {name.removeprefix('dev.bellpull.')}\n\n`{name}` ([JSON Schema]({_file(name)}))\n\n{_object(cls)}"


def _object(cls: Any) -> str:
    hints, docs = get_type_hints(cls), field_docs(cls)
    required = schema(cls)["required"]
    rows = [
        (
            f"`{field.name}`",
            _type(hints[field.name]),
            "yes" if field.name in required else "",
            docs.get(field.name, ""),
        )
        for field in fields(cls)
    ]
    return f"{sentence(cls)}\n\n{table(('field', 'type', 'required', 'what it is'), rows)}\n"


def _enum(cls: type[StrEnum]) -> str:
    docs = field_docs(cls)
    rows = [(f"`{word}`", docs.get(word.name, "")) for word in cls]
    return f"{sentence(cls)}\n\n{table(('word', 'what it is'), rows)}\n"


def _words() -> str:
    rows = [(f"`{word}`", "yes" if rule.final else "", str(rule.verdict), rule.means) for word, rule in WORDS.items()]
    return table(("word", "final", "for who waits", "means"), rows) + "\n"


def _kinds() -> str:
    docs = name_docs(kinds)
    rows = [(kind.__name__, f"{rule.max_bytes:,}", docs.get(kind.__name__, "")) for kind, rule in KINDS.items()]
    return table(("kind", "bytes at most", "what it is"), rows) + "\n"


def _type(hint: Any) -> str:
    if hint in KINDS:
        return f"[{hint.__name__}](#kinds-of-text)"
    if hint in _SCALARS:
        return _SCALARS[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join("null" if each is type(None) else _type(each) for each in arguments)
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if origin is Mapping:
        return f"{_type(arguments[1])} by {_type(arguments[0])}"
    return f"[{hint.__name__}](#{slug(hint.__name__)})"


def _parts(hint: Any) -> Iterator[Any]:
    """Yield the dataclasses and enumerations inside `hint`, but not itself."""
    for inner in get_type_hints(hint).values() if is_dataclass(hint) else get_args(hint):
        if is_dataclass(inner) or (isinstance(inner, type) and issubclass(inner, StrEnum)):
            yield inner
        if inner not in KINDS:
            yield from _parts(inner)
