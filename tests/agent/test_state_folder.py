"""What the agent keeps over a restart beside its records."""

from pathlib import Path

from agent.adapters.state import StateFolder


def test_the_key_is_the_same_at_each_start_and_nobody_elses(tmp_path: Path) -> None:
    """Another one would have every object of every cluster asked for."""
    key = StateFolder(tmp_path).key()
    assert len(key) == 32
    assert StateFolder(tmp_path).key() == key
    assert StateFolder(tmp_path / "other").key() != key
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_a_damaged_key_is_replaced(tmp_path: Path) -> None:
    """Half of one would be easier to guess."""
    (tmp_path / "key").write_bytes(b"short")
    key = StateFolder(tmp_path).key()
    assert len(key) == 32
    assert StateFolder(tmp_path).key() == key
