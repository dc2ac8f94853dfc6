"""`bellpull apply --once`: makes a cluster match a folder of manifests, without a gateway."""

import asyncio
import re
import sys
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from bellpull.cli.failure import FailureError
from bellpull.cli.manifests import Context, Folder, Kubeconfig, Name, Namespace, mended
from bellpull.cli.output import Output

if TYPE_CHECKING:
    from agent.app.kubernetes.reconcile import Result
    from agent.core.kubernetes.policy import Done, Undone

__all__ = ["apply"]

_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def apply(
    folder: Folder,
    name: Name,
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Apply now and end. An agent does it again and again.")
    ] = False,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    accept_deletions: Annotated[
        bool, typer.Option("--accept-deletions", help="Let any number of objects be deleted, this time.")
    ] = False,
    output: Annotated[Output, typer.Option("--output", "-o", help="table or json.")] = Output.TABLE,
) -> None:
    """Make a cluster match a folder of manifests.

    What is new is made, what differs is changed, and what was made before and is no longer there is deleted. What
    others made is never deleted.
    """
    if not once:
        raise FailureError("say --once: applying again and again is what `bellpull agent` does", code=2)
    checked(name)
    with mended():
        from agent.app.kubernetes.once import Once, apply_once

        asked = Once(
            folder=folder,
            name=name,
            namespace=namespace,
            kubeconfig=kubeconfig,
            context=context,
            accept=accept_deletions,
        )
        result = asyncio.run(apply_once(asked, _tell if output is Output.TABLE else lambda _: None))
    print(_as_json(result) if output is Output.JSON else _summary(result))
    raise typer.Exit(1 if result.undone else 0)


def checked(name: str) -> None:
    """Go on with a name that can be one.

    Raises:
        FailureError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise FailureError("--name: is not a name of a-z, 0-9 and '-' in between, up to 63 characters", code=2)


def _tell(made: "Done | Undone") -> None:
    """Print what became of an object, at once."""
    action = getattr(made, "action", None)
    if action is None:
        print(f"failed      {made}", file=sys.stderr, flush=True)
        return
    print(f"{action:<11} {made.id}", flush=True)
    for note in getattr(made, "notes", ()):
        print(f"            {note}", flush=True)


def _summary(result: "Result") -> str:
    counts = Counter(str(each.action) for each in result.done)
    parts = [f"{count} {action}" for action, count in sorted(counts.items())]
    if result.undone:
        parts.append(f"{len(result.undone)} failed")
    return ", ".join(parts) or "nothing to do"


def _as_json(result: "Result") -> str:
    import orjson

    rows: list[dict[str, Any]] = [
        {"object": str(each.id), "group": each.id.kind.group, "action": str(each.action), "notes": list(each.notes)}
        for each in result.done
    ]
    rows += [
        {
            "object": str(each.id),
            "group": each.id.kind.group,
            "action": "failed",
            "problem": each.problem,
            "where": str(each.origin) if each.origin else None,
        }
        for each in result.undone
    ]
    return orjson.dumps({"ok": not result.undone, "objects": rows}, option=orjson.OPT_INDENT_2).decode()
