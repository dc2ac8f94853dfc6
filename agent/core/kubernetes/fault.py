"""What is wrong with manifests: each fault with its place, all of them at once."""

from dataclasses import dataclass

from agent.core.kubernetes.object import Origin

__all__ = ["Fault"]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Fault:
    """Why manifests cannot be applied.

    Attributes:
        origin: the file and document.
        field: the path of the field, such as `spec.ports[1].name`; empty for the whole document.
        problem: what is wrong and what to do; it never quotes a value.
    """

    origin: Origin
    field: str = ""
    problem: str

    def __str__(self) -> str:
        """For people: `apps/web.yaml:14 (document 2): spec.ports[1]: is there twice`."""
        return ": ".join(part for part in (str(self.origin), self.field, self.problem) if part)
