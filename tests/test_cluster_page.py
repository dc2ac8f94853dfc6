"""The how-to for a cluster, done as it is written."""

from pathlib import Path

from tests.console import Console
from tests.parts.control_plane import ControlPlane

PAGE = Path(__file__).parent.parent / "docs" / "how-to" / "apply-to-a-cluster.md"


async def test_a_folder_is_applied_to_a_cluster(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    control_plane.write_kubeconfig(kubeconfig, "admin", namespace=namespace)
    async with Console.open(tmp_path, {"KUBECONFIG": str(kubeconfig)}) as console:
        await console.follow(PAGE.read_text())
    assert control_plane.seen(f"/api/v1/namespaces/{namespace}/configmaps/settings") is not None
