"""A person with a folder of manifests and a kubeconfig."""

from pathlib import Path
from typing import Any

from tests.cli.command import Ended, bellpull
from tests.parts.control_plane import ControlPlane

__all__ = ["Person"]


class Person:
    """Has a folder of manifests, and a kubeconfig whose context is a namespace of this test's own."""

    def __init__(self, folder: Path, plane: ControlPlane, namespace: str) -> None:
        self.folder = folder / "app"
        self.folder.mkdir()
        self.plane = plane
        self.namespace = namespace
        self.kubeconfig = folder / "kubeconfig"
        plane.write_kubeconfig(self.kubeconfig, "admin", namespace=namespace)

    def write(self, **files: str) -> None:
        for old in self.folder.iterdir():
            old.unlink()
        for name, text in files.items():
            (self.folder / f"{name}.yaml").write_text(text)

    def run(self, verb: str, *words: str) -> Ended:
        return bellpull(verb, self.folder, "--name", "site", "--kubeconfig", self.kubeconfig, *words)

    def live(self, plural: str, name: str, *, root: str = "/api/v1") -> Any:
        return self.plane.seen(f"{root}/namespaces/{self.namespace}/{plural}/{name}")
