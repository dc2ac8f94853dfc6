"""Deterministic ids: the same delivery gives the same ids, wherever and whenever it is received.

They are for people and for `wait`. Nobody drops an event because its id was seen before (R5).
"""

from hashlib import sha256

from bellpull.contract.text import MessageId, Name

__all__ = ["agent_message_id", "body_digest", "event_id"]


def event_id(source: Name, delivery: str, ref: str) -> MessageId:
    """Return the id of what `delivery` to `source` said of `ref` (full name, or another name of the part).

    Any strings have one, also what a header held that is no text.
    """
    digest = sha256(f"{source}\0{delivery}\0{ref}".encode("utf-8", "surrogatepass")).hexdigest()
    return MessageId(f"evt_{digest[:32]}")


def agent_message_id(agent: Name, epoch: int, seq: int) -> MessageId:
    """Return the id of an agent's report or heartbeat."""
    return MessageId(f"{agent}.{epoch}.{seq}")


def body_digest(body: bytes) -> str:
    """Return the hash by which twins are known, and a delivery whose provider gives it no id."""
    return sha256(body).hexdigest()
