"""The how-to for a cluster, done as it is written."""

from pathlib import Path

import yaml

from agent.app.sync_files import load_sync_files
from tests.console import Console, blocks
from tests.parts.control_plane import ControlPlane

PAGE = Path(__file__).parent.parent / "docs" / "how-to" / "apply-to-a-cluster.md"


async def test_a_folder_is_applied_to_a_cluster(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    control_plane.write_kubeconfig(kubeconfig, "admin", namespace=namespace)
    async with Console.open(tmp_path, {"KUBECONFIG": str(kubeconfig)}) as console:
        await console.follow(PAGE.read_text())
    assert control_plane.seen(f"/api/v1/namespaces/{namespace}/configmaps/settings") is not None


def test_what_the_page_adds_to_a_sync_is_taken(tmp_path: Path) -> None:
    """Each further fragment, over the whole Sync."""
    whole, *fragments = (yaml.safe_load(block) for block in blocks(PAGE.read_text(), "yaml"))
    more = [each["spec"] for each in fragments if "spec" in each]
    assert len(more) >= 3
    for number, each in enumerate(more):
        kubernetes = whole["spec"]["target"]["kubernetes"] | each["target"]["kubernetes"]
        sync = whole | {"spec": whole["spec"] | each | {"target": {"kubernetes": kubernetes}}}
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "sync.yaml").write_text(yaml.safe_dump(sync))
        assert len(load_sync_files(folder)) == 1


def test_the_page_has_a_sync_that_the_agent_takes(tmp_path: Path) -> None:
    (tmp_path / "sync.yaml").write_text(blocks(PAGE.read_text(), "yaml")[0])
    (sync,) = load_sync_files(tmp_path)
    kubernetes = sync.spec.target.kubernetes
    assert kubernetes is not None
    assert (sync.name, kubernetes.kubeconfig) == ("shop/shop", tmp_path / "kubeconfig")
