"""Events as a gateway would send them."""

from datetime import UTC, datetime

from bellpull.contract.event import Assurance, Delivery, EventHops, RefUpdated
from bellpull.contract.repository import Ref, Repository
from bellpull.contract.text import CommitId, Name

__all__ = ["push"]

WHEN = datetime(2026, 1, 1, tzinfo=UTC)


def push(
    url: str, ref: str, *, before: str | None = None, after: str | None = "a" * 40, when: datetime = WHEN
) -> RefUpdated:
    """Return the event of a push to `ref` of the repository at `url`."""
    return RefUpdated(
        repository=Repository.from_url(url),
        ref=Ref.parse(ref),
        before=CommitId(before) if before else None,
        after=CommitId(after) if after else None,
        created=before is None,
        deleted=after is None,
        forced=False,
        actor="octocat",
        delivery=Delivery(provider=Name("github"), source=Name("github"), id="d-1", assurance=Assurance.SIGNATURE),
        hops=EventHops(received=when, accepted=when),
    )
