"""What the gateway's two files hold: the steps that make their tables (R51).

A further table, index or column is a further step at the end of its file's list.

The laws are about the values that all rows hang on: numbers that the next row's is counted from, epochs, versions.
What else is odd costs its own row, when that is read (`gateway.adapters.reading`).
"""

from typing import Final

from gateway.adapters.schema import Schema

__all__ = ["JOURNAL", "STATE", "WORD_BYTES"]

WORD_BYTES: Final = "(256 + length({row}.answer) + coalesce(length({row}.report), 0))"
"""What a word counts as in its agent's share, whatever else of it is in indexes."""
_HELD: Final = "min(coalesce(CAST(bytes AS INTEGER), 0), 9007199254740991)"
"""What an agent has; damage may make it no number."""

JOURNAL: Final = Schema(
    laws=(
        "SELECT 1 FROM sqlite_sequence WHERE typeof(seq) <> 'integer' OR seq NOT BETWEEN 0 AND 9007199254740991",
        """SELECT 1 FROM epochs WHERE typeof(word) <> 'text' OR word GLOB '*[^a-z0-9]*'
            OR typeof(first) <> 'integer' OR first NOT BETWEEN 0 AND 9007199254740991
            OR place NOT BETWEEN 1 AND 9007199254740991""",
        """SELECT 1 FROM events
            WHERE seq > coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'events'), 0)""",
        """SELECT 1 FROM epochs
            WHERE first > 1 + coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = 'events'), 0)""",
        "SELECT 1 FROM events WHERE seq < 1",
    ),
    steps=(
        (
            """CREATE TABLE epochs (
                place INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE, first INTEGER NOT NULL, started INTEGER NOT NULL
            )""",
            """CREATE TABLE events (
                seq INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL, type TEXT NOT NULL,
                source TEXT NOT NULL, delivery TEXT NOT NULL, body_digest TEXT NOT NULL,
                repository TEXT NOT NULL, ref TEXT NOT NULL, commit_id TEXT, announces INTEGER NOT NULL,
                accepted INTEGER NOT NULL, body BLOB NOT NULL
            )""",
            "CREATE INDEX events_by_id ON events (event_id)",
            "CREATE INDEX events_by_ref ON events (repository, ref)",
            "CREATE INDEX events_by_commit ON events (commit_id) WHERE announces",
            "CREATE TABLE probe (place INTEGER PRIMARY KEY, turn INTEGER NOT NULL)",
            "INSERT INTO probe VALUES (0, 0)",
        ),
        (
            "CREATE TABLE life (place INTEGER PRIMARY KEY, seen INTEGER)",
            "INSERT INTO life VALUES (0, NULL)",
        ),
        ("CREATE TABLE outgoing (seq INTEGER PRIMARY KEY, parked INTEGER NOT NULL DEFAULT 0)",),
        ("ALTER TABLE epochs ADD COLUMN forwards INTEGER NOT NULL DEFAULT 0",),
    ),
)

STATE: Final = Schema(
    laws=(
        "SELECT 1 FROM words WHERE place > 9007199254740991",
        "SELECT 1 FROM announcements WHERE place > 9007199254740991",
    ),
    steps=(
        (
            """CREATE TABLE agents (
                agent TEXT PRIMARY KEY, epoch INTEGER NOT NULL, environment TEXT NOT NULL, heard INTEGER NOT NULL,
                beat_epoch INTEGER, beat_seq INTEGER, version TEXT,
                full_epoch INTEGER, full_seq INTEGER, full_state TEXT, full BLOB
            )""",
            """CREATE TABLE words (
                place INTEGER PRIMARY KEY, agent TEXT NOT NULL, identity TEXT NOT NULL, repository TEXT NOT NULL,
                ref TEXT NOT NULL, received INTEGER NOT NULL, answer BLOB NOT NULL, report BLOB,
                UNIQUE (agent, identity)
            )""",
            "CREATE INDEX words_by_ref ON words (repository, ref, received)",
        ),
        (
            """CREATE TABLE rejections (
                source TEXT NOT NULL, status INTEGER NOT NULL, address TEXT NOT NULL, reason TEXT NOT NULL,
                asked TEXT NOT NULL, count INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
                PRIMARY KEY (source, status, address, reason)
            )""",
        ),
        (
            """CREATE TABLE announcements (
                place INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, repository TEXT NOT NULL, ref TEXT NOT NULL,
                commit_id TEXT, source TEXT NOT NULL, heard INTEGER NOT NULL
            )""",
            "CREATE INDEX announcements_by_ref ON announcements (repository, ref, heard)",
            "CREATE INDEX announcements_by_commit ON announcements (commit_id)",
        ),
        (
            "CREATE INDEX words_by_agent ON words (agent, place)",
            "CREATE TABLE shares (agent TEXT PRIMARY KEY, bytes INTEGER NOT NULL)",
            f"INSERT INTO shares SELECT agent, sum({WORD_BYTES.format(row='words')}) FROM words GROUP BY agent",  # noqa: S608
            f"""CREATE TRIGGER word_came AFTER INSERT ON words BEGIN
                INSERT INTO shares VALUES (NEW.agent, {WORD_BYTES.format(row="NEW")})
                ON CONFLICT DO UPDATE SET bytes = {_HELD} + excluded.bytes;
            END""",  # noqa: S608 - constants
            f"""CREATE TRIGGER word_went AFTER DELETE ON words BEGIN
                UPDATE shares SET bytes = max({_HELD} - {WORD_BYTES.format(row="OLD")}, 0) WHERE agent IS OLD.agent;
            END""",  # noqa: S608 - the same
        ),
    ),
)
