"""What tests of several commands use."""

from pathlib import Path

import pytest

from tests.cli.person import Person
from tests.parts.control_plane import ControlPlane


@pytest.fixture
def person(tmp_path: Path, control_plane: ControlPlane, namespace: str) -> Person:
    return Person(tmp_path, control_plane, namespace)
