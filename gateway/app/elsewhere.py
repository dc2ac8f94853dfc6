"""What other gateways accepted, by what they say over the broker (R22): kept, so that all know what was announced.

They seal with the installation's key, as this one does. What is long sealed is a replay: nobody could be told that
it was announced now.
"""

from bellpull.contract.errors import ContractError
from bellpull.contract.event import RefUpdated
from bellpull.contract.message import Message, Unknown, decode
from bellpull.contract.seal import PinnedKey, Sealed, SealError, SealType, unseal
from bellpull.runtime.clock import utc_now
from gateway.app.admission import AgentsParts
from gateway.app.words import NOT_NOW, NotTaken, refuse_old
from gateway.core.answer import Announcement
from gateway.ports.state import StateError

__all__ = ["Elsewhere"]


class Elsewhere:
    """Keeps it."""

    def __init__(self, parts: AgentsParts) -> None:
        self._parts = parts

    async def take(self, seal: str, body: bytes) -> None:
        """Keep what another gateway's message announces; the same again is taken again.

        Raises:
            NotTaken: it does not count, or cannot be kept now.
        """
        try:
            message = decode(self._unseal(seal, body).body)
        except ContractError as error:
            raise NotTaken(400, str(error)) from None
        if isinstance(message, Unknown) or not isinstance(message.data, RefUpdated):
            return
        try:
            await self._parts.state.put_announcement(_announcement(message, message.data))
        except StateError as error:
            raise NotTaken(NOT_NOW, "it cannot be kept now") from error

    def _unseal(self, seal: str, body: bytes) -> Sealed:
        signer, now = self._parts.signer(), utc_now()
        keys = {signer.kid: PinnedKey(verifier=signer.public)}
        try:
            sealed = unseal(
                seal, body, seal_type=SealType.EVENT, audience=self._parts.installation, keys=keys, now=now
            )
        except SealError as error:
            raise NotTaken(403, f"{error.fault.value}: have all gateways the same seal.key?") from None
        refuse_old(sealed, now)
        return sealed


def _announcement(message: Message, event: RefUpdated) -> Announcement:
    return Announcement(
        seq=None,
        event_id=message.id,
        repository=event.repository.key,
        ref=event.ref.full,
        commit=event.after,
        source=event.delivery.source,
        accepted=utc_now(),
    )
