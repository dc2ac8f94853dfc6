"""`bellpull diff`: shows what applying manifests would change, as the API server itself says."""

import asyncio
import difflib
import sys
from typing import TYPE_CHECKING, Any

import typer

from bellpull.cli.apply import checked
from bellpull.cli.manifests import Context, Folder, Kubeconfig, Name, Namespace, mended

if TYPE_CHECKING:
    from agent.app.kubernetes.plan import Difference

__all__ = ["diff"]


def diff(
    folder: Folder,
    name: Name,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Show what `bellpull apply --once` would change, and end with 1 where that is something.

    The API server itself is asked, in a dry run. Nothing is written, and no value of a Secret is shown.
    """
    checked(name)
    with mended():
        from agent.app.kubernetes.once import Once, diff_once

        asked = Once(folder=folder, name=name, namespace=namespace, kubeconfig=kubeconfig, context=context)
        found = asyncio.run(diff_once(asked))
    for each in found:
        if each.problem is not None:
            print(f"{each.id}: {each.problem}", file=sys.stderr)
        else:
            sys.stdout.writelines(_lines(each))
    raise typer.Exit(1 if found else 0)


def _lines(each: "Difference") -> list[str]:
    before, after = (_as_yaml(item) for item in (each.live, each.planned))
    return [*difflib.unified_diff(before, after, f"live/{each.id}", f"git/{each.id}")]


def _as_yaml(item: dict[str, Any] | None) -> list[str]:
    import yaml

    return [] if item is None else yaml.safe_dump(item, allow_unicode=True, width=200).splitlines(keepends=True)
