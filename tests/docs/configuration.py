"""The page of the configuration files: every key, by its path, from the models that read them."""

import inspect
import types
from collections.abc import Iterator, Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NewType, Union, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel, HttpUrl
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from agent.app.config import AgentConfig
from agent.core.bounds import MAX_DEPTH, MAX_ENTRIES, MAX_FILE_BYTES, MAX_NAME_BYTES, MAX_TOTAL_BYTES
from agent.spec import Sync
from bellpull.runtime.address import Address
from bellpull.runtime.config import SecretRef
from gateway.app.config import GatewayConfig
from gateway.app.enrolment import Enrolment
from gateway.app.listen import Listener
from gateway.app.observers import Observer
from tests.docs.source import field_docs, table

__all__ = ["page"]

_HEAD: Final = """\
# Configuration

Files are YAML. An unknown key is an error, and all errors of a file are said at once, each with its path;
`bellpull check` says them without starting anything.

A *secret* is never written into a file but named: `{file: PATH}`, relative to the file that names it, or
`{env: NAME}`. A *duration* has units: `90s`, `5m`, `1h30m`. A *name* is up to 63 of a-z, 0-9, `-` and `.`.
A *pattern* is `HOST/PATH`, with `*` within a part and `**` across parts.
"""
_BOUNDS: Final = f"""\
A tree larger than this is `rejected` as `TreeTooLarge`: {MAX_ENTRIES} files and folders, {MAX_DEPTH} levels,
{MAX_NAME_BYTES >> 20} MiB of paths, {MAX_FILE_BYTES >> 20} MiB in one file, {MAX_TOTAL_BYTES >> 30} GiB in all files.
"""
_FILES: Final[tuple[tuple[str, str, type[BaseModel]], ...]] = (
    ("The gateway", "`gateway.yaml`, made by `bellpull init`.", GatewayConfig),
    (
        "An enrolment record",
        "`agents/NAME.yaml` beside it, made by `bellpull enroll`; read again when it changes.",
        Enrolment,
    ),
    ("An observer's record", "`observers/NAME.yaml`, made by `bellpull enroll --observer`.", Observer),
    ("The agent", "`agent.yaml`, made by `bellpull enroll`.", AgentConfig),
    ("A Sync", "A document of the agent's `syncs`; several in a file are parted by `---`.", Sync),
)
_WORDS: Final[Mapping[Any, str]] = {
    Address: "host:port",
    HttpUrl: "URL",
    Listener: "host:port or mapping",
    Path: "path",
    SecretRef: "secret",
    bool: "true or false",
    int: "whole number",
    str: "text",
    timedelta: "duration",
}


def page() -> str:
    """Return the page."""
    return "\n".join([_HEAD, _BOUNDS, *(_section(*each) for each in _FILES)])


def _section(title: str, where: str, model: type[BaseModel]) -> str:
    about = " ".join((inspect.getdoc(model) or "").split())
    rows = list(_rows(model, ""))
    return f"## {title}\n\n{where} {about}\n\n{table(('key', 'type', 'default', 'what it is'), rows)}\n"


def _rows(model: type[BaseModel], before: str) -> Iterator[tuple[str, str, str, str]]:
    docs = field_docs(model)
    for name, field in model.model_fields.items():
        key = f"{before}{field.alias or name}"
        nested, suffix = _nested(field.annotation)
        about = docs.get(name) or (" ".join((nested.__doc__ or "").split()) if nested else "")
        yield f"`{key}`", _type(field.annotation, field), _default(field), about
        if nested is not None:
            yield from _rows(nested, f"{key}{suffix}.")


def _nested(hint: Any) -> tuple[type[BaseModel] | None, str]:
    """Return the model inside `hint` whose keys are listed too, and what stands between."""
    hint = _plain(hint)
    if get_origin(hint) is tuple:
        return _nested(get_args(hint)[0])[0], "[]"
    if isinstance(hint, type) and issubclass(hint, BaseModel) and hint is not SecretRef:
        return hint, ""
    return None, ""


def _type(hint: Any, field: FieldInfo | None = None) -> str:
    hint = _plain(hint)
    origin = get_origin(hint)
    if origin is tuple:
        return f"list of {_type(get_args(hint)[0])}"
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in get_args(hint))
    if origin is Mapping or (isinstance(hint, type) and issubclass(hint, BaseModel) and hint not in _WORDS):
        return "mapping"
    if isinstance(hint, NewType):
        return "name"
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return " or ".join(f"`{value}`" for value in hint)
    return _WORDS[hint] + _limits(field)


def _plain(hint: Any) -> Any:
    if get_origin(hint) is Annotated:
        return _plain(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        (inner,) = (arg for arg in get_args(hint) if arg is not type(None))
        return _plain(inner)
    return hint


def _limits(field: FieldInfo | None) -> str:
    bounds = [each for each in field.metadata if isinstance(each, Ge | Le)] if field else []
    return "".join(f", at least {each.ge}" if isinstance(each, Ge) else f", at most {each.le}" for each in bounds)


def _default(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "default" in extra:
        return f"`{extra['default']}`"
    match field.default:
        case default if default is PydanticUndefined:
            return "required"
        case None | () | "" | BaseModel():
            return ""
        case bool(flag):
            return f"`{str(flag).lower()}`"
        case (*several,):
            return ", ".join(f"`{each}`" for each in several)
        case default:
            return f"`{default}`"
