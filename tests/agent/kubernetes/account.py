"""The service account of a test's namespace, with the rights it is given, as a user of an agent."""

from pathlib import Path
from typing import Final

import yaml

from agent.core.kubernetes.object import Object
from tests.parts.control_plane import ControlPlane

__all__ = ["admit", "write_kubeconfig"]

_RBAC: Final = "rbac.authorization.k8s.io"


def admit(plane: ControlPlane, namespace: str, *rules: Object) -> str:
    """Give the default account of a namespace rights there; returns who that is."""
    root = f"/apis/{_RBAC}/v1/namespaces/{namespace}"
    role = {"apiVersion": f"{_RBAC}/v1", "kind": "Role", "metadata": {"name": "some"}, "rules": [*rules]}
    plane.ask("POST", f"{root}/roles", role)
    who = {"kind": "ServiceAccount", "name": "default", "namespace": namespace}
    bound = {"apiVersion": f"{_RBAC}/v1", "kind": "RoleBinding", "metadata": {"name": "some"}, "subjects": [who]}
    bound["roleRef"] = {"name": "some", "apiGroup": _RBAC, "kind": "Role"}
    plane.ask("POST", f"{root}/rolebindings", bound)
    return f"system:serviceaccount:{namespace}:default"


def write_kubeconfig(plane: ControlPlane, namespace: str, path: Path) -> Path:
    """Write a kubeconfig for that account."""
    asked = plane.ask("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token", {"spec": {}})
    access = yaml.safe_load(plane.kubeconfig.read_text())
    access["users"][0]["user"] = {"token": asked["status"]["token"]}
    access["contexts"][0]["context"]["namespace"] = namespace
    path.write_text(yaml.safe_dump(access))
    return path
