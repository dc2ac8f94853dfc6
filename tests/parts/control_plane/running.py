"""A control plane of the tests' own: etcd, kube-apiserver and kube-controller-manager, on loopback and free ports.

Rights are RBAC's, service accounts are real, and every request is written to an audit log before it is answered, so
that requests can be counted. There is no kubelet: nothing runs, and what a pod would say a test says itself.
"""

import json
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import orjson
import trustme
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.parts.control_plane.audit import Audit
from tests.parts.front import free_port

__all__ = ["ADMIN", "ControlPlane"]

ADMIN: Final = "admin"
"""May do everything; `kubeconfig` is theirs."""
_START_S: Final = 90.0
_STOP_S: Final = 20.0
_AUDIT: Final = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"]}


class ControlPlane:
    """One cluster without nodes.

    Args:
        programs: the folder that `programs.find` found.
        folder: for all that it writes; made if need be.
        etcd: another etcd than that of `programs`.
        flags: more of kube-apiserver's.
    """

    def __init__(self, programs: Path, folder: Path, *, etcd: Path | None = None, flags: Sequence[str] = ()) -> None:
        self.folder = folder
        self._programs = programs
        self._etcd = etcd or programs / "etcd"
        self._flags = flags
        self._ports = {name: free_port() for name in ("etcd", "peers", "api", "controllers")}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._tokens = {ADMIN: os.urandom(16).hex()}
        self._groups = {ADMIN: "system:masters"}
        self.audit = Audit(folder / "audit.log")
        self.kubeconfig = folder / "kubeconfig"

    @property
    def url(self) -> str:
        """Where its API is."""
        return f"https://127.0.0.1:{self._ports['api']}"

    @property
    def authority(self) -> Path:
        """Whom to trust for it, in PEM."""
        return self.folder / "ca.crt"

    def user(self, name: str, *groups: str) -> str:
        """Admit a user without any right, before `start`, and return the token."""
        self._tokens[name] = os.urandom(16).hex()
        self._groups[name] = ",".join(groups)
        return self._tokens[name]

    def token(self, name: str) -> str:
        """Return the token of a user who was admitted."""
        return self._tokens[name]

    def start(self) -> None:
        """Start it, and return once it serves and its controllers work. Blocks."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_files()
        self._start("etcd", self._etcd_command())
        self._start("api", self._api_command())
        self._wait("the API server", self._is_ready)
        self.write_kubeconfig(self.kubeconfig, ADMIN)
        self._start("controllers", self._controllers_command())
        self._wait("the controllers", self._has_accounts)

    def stop(self) -> None:
        """End it at once. Blocks."""
        for name in ("controllers", "api", "etcd"):
            process = self._processes.pop(name, None)
            if process is None:
                continue
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(_STOP_S)

    def restart_api(self) -> None:
        """Kill the API server, and start it again. Blocks."""
        process = self._processes.pop("api")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(_STOP_S)
        self._start("api", self._api_command())
        self._wait("the API server", self._is_ready)

    def write_kubeconfig(self, path: Path, user: str, *, namespace: str = "default") -> None:
        """Write a kubeconfig for a user who was admitted."""
        access: Mapping[str, Any] = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "tests",
            "clusters": [
                {"name": "tests", "cluster": {"server": self.url, "certificate-authority": str(self.authority)}}
            ],
            "users": [{"name": user, "user": {"token": self._tokens[user]}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": user, "namespace": namespace}}],
        }
        path.write_text(yaml.safe_dump(access))
        path.chmod(0o600)

    def ask(
        self, method: str, path: str, value: object = None, *, content: str = "application/json", user: str = ADMIN
    ) -> Any:
        """Ask the API server; returns the JSON that it answers with. Blocks.

        Raises:
            HTTPError: it answered with an error.
        """
        return orjson.loads(self._answer(method, path, value, content=content, user=user))

    def streamed(self, path: str, *, user: str = ADMIN) -> list[Any]:
        """Return the events of a watch that ends by itself, by its `timeoutSeconds` or an error. Blocks.

        Raises:
            HTTPError: it was refused before it began.
        """
        said = self._answer("GET", path, None, content="application/json", user=user)
        return [orjson.loads(line) for line in said.splitlines()]

    def _answer(self, method: str, path: str, value: object, *, content: str, user: str) -> bytes:
        headers = {"Authorization": f"Bearer {self._tokens[user]}", "Content-Type": content}
        body = None if value is None else orjson.dumps(value)
        request = Request(f"{self.url}{path}", body, headers, method=method)  # noqa: S310 - our own
        context = ssl.create_default_context(cafile=self.authority)
        with urlopen(request, timeout=_STOP_S, context=context) as answer:  # noqa: S310 - the same
            said: bytes = answer.read()
        return said

    def seen(self, path: str) -> Any:
        """Return what is at a path, None where that is nothing. Blocks."""
        try:
            return self.ask("GET", path)
        except HTTPError as error:
            if error.code == 404:
                return None
            raise

    def say_status(self, path: str, status: Mapping[str, Any]) -> None:
        """Say what a kubelet or a controller would: the status of the object at `path`. Blocks."""
        self.ask("PATCH", f"{path}/status", {"status": status}, content="application/merge-patch+json")

    @contextmanager
    def namespace(self, name: str) -> Iterator[str]:
        """Make a namespace, with its default service account, that is told to go at the end. Blocks."""
        metadata = {"name": name}
        self.ask("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        self._wait(
            f"the service account of {name}",
            lambda: self.seen(f"/api/v1/namespaces/{name}/serviceaccounts/default") is not None,
        )
        try:
            yield name
        finally:
            with suppress(HTTPError):
                self.ask("DELETE", f"/api/v1/namespaces/{name}")

    def _write_files(self) -> None:
        authority = trustme.CA(key_type=trustme.KeyType.RSA)
        authority.cert_pem.write_to_path(self.authority)
        served = authority.issue_cert("127.0.0.1", "localhost", "kubernetes.default.svc")
        served.private_key_pem.write_to_path(self.folder / "api.key")
        (self.folder / "api.crt").write_bytes(b"".join(part.bytes() for part in served.cert_chain_pems))
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (self.folder / "accounts.key").write_bytes(private)
        lines = [f'{self._tokens[name]},{name},{name},"{groups}"' for name, groups in self._groups.items()]
        (self.folder / "tokens.csv").write_text("\n".join(lines) + "\n")
        rule = {"level": "Metadata"}
        (self.folder / "audit.yaml").write_text(json.dumps({**_AUDIT, "rules": [rule]}))

    def _etcd_command(self) -> list[str]:
        here, peers = (f"http://127.0.0.1:{self._ports[name]}" for name in ("etcd", "peers"))
        return [
            str(self._etcd),
            f"--data-dir={self.folder / 'etcd'}",
            "--unsafe-no-fsync",
            f"--listen-client-urls={here}",
            f"--advertise-client-urls={here}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
        ]

    def _api_command(self) -> list[str]:
        folder = self.folder
        return [
            str(self._programs / "kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{self._ports['etcd']}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._ports['api']}",
            f"--tls-cert-file={folder / 'api.crt'}",
            f"--tls-private-key-file={folder / 'api.key'}",
            f"--service-account-issuer={self.url}",
            f"--service-account-key-file={folder / 'accounts.key'}",
            f"--service-account-signing-key-file={folder / 'accounts.key'}",
            f"--token-auth-file={folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--allow-privileged=true",
            f"--audit-log-path={folder / 'audit.log'}",
            f"--audit-policy-file={folder / 'audit.yaml'}",
            "--audit-log-mode=blocking-strict",
            "--endpoint-reconciler-type=none",
            *self._flags,
        ]

    def _controllers_command(self) -> list[str]:
        return [
            str(self._programs / "kube-controller-manager"),
            f"--kubeconfig={self.kubeconfig}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._ports['controllers']}",
            f"--cert-dir={self.folder / 'controllers'}",
            f"--service-account-private-key-file={self.folder / 'accounts.key'}",
            f"--root-ca-file={self.authority}",
            "--use-service-account-credentials=true",
        ]

    def _start(self, name: str, command: list[str]) -> None:
        """Start one in a process group of its own, to end when whoever runs the tests does, however that ends."""
        with (self.folder / f"{name}.log").open("ab") as said:
            self._processes[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def _is_ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._ports["api"]), timeout=1):
                pass
            request = Request(f"{self.url}/readyz", headers={"Authorization": f"Bearer {self._tokens[ADMIN]}"})  # noqa: S310
            context = ssl.create_default_context(cafile=self.authority)
            with urlopen(request, timeout=_STOP_S, context=context) as answer:  # noqa: S310 - our own
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def _has_accounts(self) -> bool:
        return self.seen("/api/v1/namespaces/default/serviceaccounts/default") is not None

    def _wait(self, what: str, is_there: Callable[[], bool]) -> None:
        end = time.monotonic() + _START_S
        while not is_there():
            for name, process in self._processes.items():
                assert process.poll() is None, f"{name} ended:\n{self._said(name)}"
            assert time.monotonic() < end, f"{what} did not come within {_START_S:g} s"
            time.sleep(0.05)

    def _said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-4000:]
