"""How agents were heard last, as rows of the state: a row each, which moves only forward in (epoch, seq) (R18).

Writing goes by what is there, so a row that no program writes is forgotten at the start: the agent's next heartbeat
makes another.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import apsw

from bellpull.contract.codec import read
from bellpull.contract.errors import ContractError
from bellpull.contract.report import Heartbeat, Report, SyncState
from bellpull.contract.text import Name
from gateway.adapters.moment import NO_MOMENT, microseconds
from gateway.adapters.reading import LeftOut, OddValueError, json_of, text_of, time_of
from gateway.ports.state import LastHeard, Put

__all__ = ["Agents", "forget_odd", "has_state", "highest_epoch", "note_agent", "note_beat", "place"]

_PUT_AGENT: Final = """INSERT INTO agents (agent, epoch, environment, heard) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET epoch = max(epoch, excluded.epoch), environment = excluded.environment,
    heard = max(heard, excluded.heard)"""
_PUT_BEAT: Final = "UPDATE agents SET beat_epoch = ?, beat_seq = ?, version = ? WHERE agent = ?"
_PUT_FULL: Final = "UPDATE agents SET full_epoch = ?, full_seq = ?, full_state = ?, full = ? WHERE agent = ?"
_AGENTS: Final = "SELECT rowid AS number, agent, heard, environment, version, full_epoch, full_seq FROM agents"
_ODD: Final = f"""typeof(epoch) <> 'integer' OR epoch NOT BETWEEN 0 AND 9007199254740991
    OR typeof(heard) <> 'integer' OR heard NOT BETWEEN 0 AND {NO_MOMENT - 1}
    OR typeof(agent) <> 'text' OR typeof(environment) <> 'text'
    OR coalesce(beat_epoch, beat_seq) IS NOT NULL AND (
        typeof(beat_epoch) <> 'integer' OR typeof(beat_seq) <> 'integer' OR beat_epoch NOT BETWEEN 0 AND epoch
        OR beat_seq NOT BETWEEN 0 AND 9007199254740991)
    OR coalesce(full_epoch, full_seq) IS NOT NULL AND (
        typeof(full_epoch) <> 'integer' OR typeof(full_seq) <> 'integer' OR full_epoch NOT BETWEEN 0 AND epoch
        OR full_seq NOT BETWEEN 0 AND 9007199254740991)"""
_FULL: Final = "SELECT full FROM agents WHERE rowid = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Full:
    order: tuple[int, int]
    syncs: tuple[SyncState, ...] | None


class Agents:
    """Reads all of them; a full state is read into values once."""

    def __init__(self, left_out: LeftOut) -> None:
        self._left_out = left_out
        self._full: dict[Name, _Full] = {}

    def read(self, connection: apsw.Connection) -> Mapping[Name, LastHeard]:
        """Return how each was heard last; a job for a reading thread.

        One with a value that no program writes is as one that was not heard, one whose full state cannot be read as
        one that sent none: the next one says it again.
        """

        def make(values: Any) -> tuple[Name, LastHeard]:
            return self._last(connection, values)

        return dict(self._left_out.reading("agents", _AGENTS, (), make)(connection).values)

    def _last(self, connection: apsw.Connection, values: Any) -> tuple[Name, LastHeard]:
        number, agent, heard, environment, version, *order = values
        name = text_of(agent, "agent", Name)
        is_there = all(isinstance(each, int) for each in order)
        full = self._read_full(connection, number, name, order) if is_there else None
        syncs = None if full is None else full.syncs
        last = LastHeard(
            heard=time_of(heard, "heard"),
            environment=text_of(environment, "environment", Name),
            version=None if version is None else text_of(version, "version"),
            syncs=syncs,
            full=None if full is None or syncs is None else full.order,
        )
        return name, last

    def _read_full(self, connection: apsw.Connection, number: int, agent: Name, order: list[int]) -> _Full:
        known = self._full.get(agent)
        if known is not None and known.order == tuple(order):
            return known
        body = connection.execute(_FULL, (number,)).get
        full = _Full(order=(order[0], order[1]), syncs=self._syncs(number, body))
        self._full[agent] = full
        return full

    def _syncs(self, number: int, body: Any) -> tuple[SyncState, ...] | None:
        try:
            return read(Heartbeat, json_of(body, "full")).full or ()
        except (OddValueError, ContractError) as error:
            self._left_out.note("agents", number, str(error))
            return None


def forget_odd(connection: apsw.Connection) -> list[int]:
    """Remove the rows that hold what no program writes; return their numbers."""
    found: list[Any] = connection.execute(f"SELECT rowid FROM agents WHERE {_ODD}").fetchall()  # noqa: S608 - constant
    connection.executemany("DELETE FROM agents WHERE rowid = ?", found)
    return [number for (number,) in found]


def highest_epoch(connection: apsw.Connection, agent: Name) -> int:
    """Return the highest epoch that was heard of an agent; 0 before the first."""
    found = connection.execute("SELECT epoch FROM agents WHERE agent = ? AND typeof(epoch) = 'integer'", (agent,)).get
    return 0 if found is None else int(found)


def place(connection: apsw.Connection, heartbeat: Heartbeat) -> Put:
    """Say whether a heartbeat is the newest of its agent."""
    if heartbeat.epoch < highest_epoch(connection, heartbeat.agent):
        return Put.BEHIND
    last = """SELECT beat_epoch, beat_seq FROM agents
        WHERE agent = ? AND typeof(beat_epoch) = 'integer' AND typeof(beat_seq) = 'integer'"""
    found: Any = connection.execute(last, (heartbeat.agent,)).fetchone()
    newer = found is None or (heartbeat.epoch, heartbeat.seq) > tuple(found)
    return Put.STORED if newer else Put.KNOWN


def has_state(connection: apsw.Connection, heartbeat: Heartbeat) -> bool:
    """Whether the agent's last full state is the one of which a heartbeat has the digest."""
    known = "SELECT full_state = ? FROM agents WHERE agent = ?"
    return bool(connection.execute(known, (heartbeat.state, heartbeat.agent)).get)


def note_agent(connection: apsw.Connection, said: Report | Heartbeat, received: datetime) -> None:
    """Write down that an agent was heard."""
    connection.execute(_PUT_AGENT, (said.agent, said.epoch, said.environment, microseconds(received)))


def note_beat(connection: apsw.Connection, beat: Heartbeat, full: bytes | None) -> None:
    """Write down its newest heartbeat, with its full state where it has one."""
    connection.execute(_PUT_BEAT, (beat.epoch, beat.seq, beat.version, beat.agent))
    if full is not None:
        connection.execute(_PUT_FULL, (beat.epoch, beat.seq, beat.state, full, beat.agent))
