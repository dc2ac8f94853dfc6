"""What is too large for an API server, found before it is sent: the server's own words name no file."""

import json
from collections.abc import Iterator
from typing import Any, Final

from agent.core.kubernetes.object import Object

__all__ = ["too_large"]

_ANNOTATIONS: Final = 256 << 10
_DATA: Final = 1 << 20
_BODY: Final = 3 << 20
_MANY: Final = 100_000
"""Characters below which nothing can be too large."""


def too_large(item: Object) -> Iterator[tuple[str, str]]:
    """Yield the fields that an API server would refuse for their size."""
    text = json.dumps(item, ensure_ascii=False, separators=(",", ":"))
    if len(text) < _MANY:
        return
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > _BODY:
        yield "", f"has {size} bytes, and an API server takes {_BODY}: split it"
    annotations = _bytes(item["metadata"].get("annotations"))
    if annotations > _ANNOTATIONS:
        yield "metadata.annotations", f"have {annotations} bytes together, and {_ANNOTATIONS} is the most"
    if item["apiVersion"] == "v1" and item["kind"] in ("ConfigMap", "Secret"):
        data = _bytes(item.get("data")) + _bytes(item.get("binaryData"))
        encoded = item["kind"] == "Secret"
        if (data * 3 // 4 if encoded else data) > _DATA:
            yield "data", f"has more than {_DATA} bytes, which is the most: split it"


def _bytes(value: Any) -> int:
    if not isinstance(value, dict):
        return 0
    texts = [text for pair in value.items() for text in pair if isinstance(text, str)]
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
