"""What the verbs that take manifests to a cluster share: their arguments, and how they fail."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from bellpull.cli.failure import FailureError, explained

__all__ = ["Context", "Folder", "Kubeconfig", "Name", "Namespace", "mended"]

Folder = Annotated[Path, typer.Argument(help="A folder of manifests (.yaml, .yml, .json), or one file.")]
Name = Annotated[
    str,
    typer.Option(
        "--name", help="What was made is remembered by this name; the next time what is no longer there is deleted."
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace", "-n", help="Of what is remembered, and of objects that name none; the context's by default."
    ),
]
Kubeconfig = Annotated[
    Path | None, typer.Option("--kubeconfig", help="Names the cluster; else KUBECONFIG or ~/.kube/config does.")
]
Context = Annotated[str | None, typer.Option("--context", help="Of the kubeconfig; else its current one.")]


@contextmanager
def mended() -> Iterator[None]:
    """Turn what a person can mend into lines.

    Raises:
        FailureError: instead of what the engine raises.
    """
    with explained(extra="agent"):
        from agent.app.kubernetes.once import FaultsError
        from agent.app.kubernetes.reconcile import GuardedError
        from agent.ports.cluster import ClusterError
        from agent.ports.inventory import InventoryError
        from bellpull.runtime import logs

        logs.configure("bellpull", level="critical")
        try:
            yield
        except FaultsError as error:
            raise FailureError(*(str(fault) for fault in error.faults)) from None
        except GuardedError as error:
            raise FailureError(f"{error}. If it is meant, add --accept-deletions") from None
        except (ClusterError, InventoryError) as error:
            raise FailureError(str(error)) from None
