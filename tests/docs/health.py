"""The page of the rules by which objects are judged, from the docstrings of the rules."""

import inspect
from collections.abc import Callable
from typing import Any, Final

from agent.app.kubernetes.health import FAILS_S
from agent.core.health import EXTENDED, KSTATUS
from agent.core.health.pods import OWNERS
from tests.docs.source import table

__all__ = ["page"]

_HEAD: Final = f"""\
# How health is judged

With `wait: true` an agent judges every object that a Sync applied, by what the API server shows of it, in this order:

1. An object that is being deleted is Terminating.
2. One whose `status.observedGeneration` is not its `metadata.generation` is InProgress; where either is missing or
   is no integer, this is left out.
3. One with the condition `Reconciling` is InProgress, with `Stalled` Failed, whichever stands first.
4. The rules of its kind, below: first those beyond kstatus, then those of kstatus.
5. Any other is InProgress while its condition `Ready` is False or Unknown, and Current else.

For the kinds that `healthExprs` names, its expressions stand in place of the last three.

What is not there is NotFound, and what cannot be read is Unknown. What is always Current is not read. A Sync is
*failing* when any object is Failed and was so for {FAILS_S:.0f} seconds, *unknown* when any is Unknown, *healthy*
when all are Current, and *progressing* else.
"""
_PODS: Final = f"""\
## By their Pods

What runs Pods ({", ".join(f"`{kind}`" for kind in sorted(OWNERS))}) and is InProgress is Failed when a
Pod of it is, for that reason; Pods of what it ran before do not count. Where Pods may not be listed this is left
out, which the log says.
"""
_KSTATUS: Final = """\
## Rules of kstatus

As kubernetes-sigs/cli-utils 0.37.2 has them, compared with it by the tests over some ten thousand objects. For a
suspended Job it is the rule of its main branch.
"""
_BEYOND: Final = """\
## Beyond kstatus

Where such a rule says nothing, that of kstatus does.
"""


def page() -> str:
    """Return `health.md`."""
    known = [(f"`{kind}`", _said(rule)) for kind, rule in sorted(KSTATUS.kinds.items())]
    beyond = [(f"`{kind}`", _said(rule)) for kind, rule in sorted(EXTENDED.further.items())]
    parts = (
        _HEAD,
        _KSTATUS,
        table(("kind", "rule"), known) + "\n",
        _BEYOND,
        table(("kind", "rule"), beyond) + "\n",
        _PODS,
    )
    return "\n".join(parts)


def _said(rule: Callable[..., Any]) -> str:
    return " ".join((inspect.getdoc(rule) or "").split())
