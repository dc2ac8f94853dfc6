"""The requests of an apply: each says enough that it can only do what was meant (M3, M8)."""

from typing import Any, Final

from agent.core.kubernetes.applyset import PART_OF
from agent.core.kubernetes.normalise import Desired
from agent.core.kubernetes.object import Object
from agent.core.kubernetes.requests import Accept, Content, Method, Request

__all__ = ["apply", "create_to_prove", "delete", "look", "members_item", "rewrite"]

_VALIDATION: Final = "Strict"


def members_item(desired: Desired, parent: str, uid: str | None = None, version: str | None = None) -> Object:
    """Return what is sent: with the label of the set.

    Args:
        desired: the object.
        parent: the set.
        uid: where it is known, so that it can only update that object.
        version: the only one that may be written over; any if it is None.
    """
    metadata = dict(desired.item["metadata"])
    metadata["labels"] = {**(metadata.get("labels") or {}), PART_OF: parent}
    if uid is not None:
        metadata["uid"] = uid
    if version is not None:
        metadata["resourceVersion"] = version
    return {**desired.item, "metadata": metadata}


def apply(
    path: str, item: Object, manager: str, *, force: bool, dry_run: bool = False, whole: bool = False
) -> Request:
    """Return a server-side apply.

    Args:
        path: of the object.
        item: what is applied.
        manager: the field manager.
        force: whether fields are taken from other managers.
        dry_run: whether nothing is kept.
        whole: whether the answer is the object; else it is its metadata.
    """
    query = {"fieldManager": manager, "force": "true" if force else "false", "fieldValidation": _VALIDATION}
    return Request(
        method=Method.PATCH,
        path=path,
        query=query | ({"dryRun": "All"} if dry_run else {}),
        body=item,
        content=Content.APPLY,
        accept=Accept.OBJECT if whole else Accept.METADATA,
    )


def look(path: str, *, whole: bool = False) -> Request:
    """Return a request for an object, or for its metadata."""
    return Request(method=Method.GET, path=path, accept=Accept.OBJECT if whole else Accept.METADATA)


def rewrite(path: str, patch: list[dict[str, Any]]) -> Request:
    """Return a JSON patch, which says which version it was made for."""
    return Request(
        method=Method.PATCH,
        path=path,
        body=patch,
        content=Content.JSON_PATCH,
        accept=Accept.METADATA,
        repeatable=False,
    )


def delete(path: str, *, uid: str, revision: str | None = None) -> Request:
    """Return a deletion of exactly this object, in the background as far as its dependents go."""
    preconditions = {"uid": uid} | ({"resourceVersion": revision} if revision else {})
    body = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": "Background",
        "preconditions": preconditions,
    }
    return Request(method=Method.DELETE, path=path, body=body)


def create_to_prove(folder: str, item: Object) -> Request:
    """Return a create that is only tried: a name that is taken is the answer where all else is well (M12)."""
    return Request(method=Method.POST, path=folder, query={"dryRun": "All"}, body=item)
