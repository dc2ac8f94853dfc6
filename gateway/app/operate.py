"""What a person does to a gateway, running or not, from beside it."""

from collections.abc import Callable
from pathlib import Path

from bellpull.runtime.service import Fatal
from gateway.adapters import backup, damage
from gateway.app.config import load_config
from gateway.ports.disk import WriteRefused

__all__ = ["acknowledge", "back_up"]


def acknowledge(config_path: Path) -> tuple[str, ...]:
    """Take note of all damage; return what was noted.

    Raises:
        ConfigError: everything that is wrong with the configuration.
        OSError: the notes cannot be read or removed.
    """
    return damage.acknowledge(_data(config_path))


def back_up(config_path: Path, target: Path, tell: Callable[[float], None]) -> int:
    """Copy the journal to `target`, and return its size in bytes; `tell` is told what part is done, from 0 to 1.

    Raises:
        ConfigError: everything that is wrong with the configuration.
        Fatal: there is no journal, it cannot be read, or `target` is there.
        OSError: `target` cannot be written.
    """
    journal = _data(config_path) / "journal.db"
    if not journal.exists():
        raise Fatal(f"{journal}: there is no journal: did the gateway ever run with this configuration?")
    try:
        backup.back_up(journal, target, tell)
    except FileExistsError:
        raise Fatal(f"{target}: is there already, and nothing is overwritten: choose another name") from None
    except WriteRefused as error:
        raise Fatal(str(error)) from None
    return target.stat().st_size


def _data(config_path: Path) -> Path:
    return config_path.parent / load_config(config_path).data
