"""What was announced, by this gateway, which has it in its journal, or by another one that was heard (R22)."""

from collections.abc import Iterable
from dataclasses import dataclass

from bellpull.contract.text import CommitId
from gateway.core.answer import Announcement
from gateway.ports.journal import Journal
from gateway.ports.state import State

__all__ = ["Announcements"]


@dataclass(frozen=True, slots=True)
class Announcements:
    """All of them, by the order in which they were accepted or heard here."""

    journal: Journal
    state: State

    async def of(self, commit: CommitId) -> list[Announcement]:
        """Return where `commit` was announced as a ref's tip, oldest first; an event that came both ways once."""
        own = await self.journal.announcements(commit)
        known = {one.event_id for one in own}
        others = await self.state.announcements(commit)
        return _in_order((*own, *(one for one in others if one.event_id not in known)))

    async def later(self, announcement: Announcement) -> list[Announcement]:
        """Return what was announced of the same ref after `announcement`, oldest first."""
        return _in_order((*await self.journal.later(announcement), *await self.state.later(announcement)))


def _in_order(announcements: Iterable[Announcement]) -> list[Announcement]:
    return sorted(announcements, key=lambda one: one.accepted)
