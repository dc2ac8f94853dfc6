"""What a person does to a gateway, running or not, from beside it."""

from pathlib import Path

from gateway.adapters import damage
from gateway.app.config import load_config

__all__ = ["acknowledge"]


def acknowledge(config_path: Path) -> tuple[str, ...]:
    """Take note of all damage; return what was noted.

    Raises:
        ConfigError: everything that is wrong with the configuration.
        OSError: the notes cannot be read or removed.
    """
    return damage.acknowledge(_data(config_path))


def _data(config_path: Path) -> Path:
    return config_path.parent / load_config(config_path).data
