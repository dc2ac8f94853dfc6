"""`bellpull check` finds what is wrong, all of it, and says what to do."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from bellpull.runtime.files import FolderLock
from tests.cli.command import bellpull

FREE = {"agents": "127.0.0.1:0", "console": "127.0.0.1:0"}


@pytest.fixture
def gateway(tmp_path: Path) -> Path:
    """Return a gateway's folder on ports that are free, with an agent's beside it."""
    assert bellpull("init", tmp_path).code == 0
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        hooks, agents = one.getsockname()[1], two.getsockname()[1]
    _change(
        tmp_path / "gateway.yaml",
        listen={"hooks": f"127.0.0.1:{hooks}", "agents": f"127.0.0.1:{agents}", "console": "127.0.0.1:0"},
    )
    enrolled = bellpull("enroll", "web-1", "-r", "github.com/acme/site", "-c", "gateway.yaml", cwd=tmp_path)
    assert enrolled.code == 0
    return tmp_path


def _change(path: Path, **changes: object) -> None:
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))


def _checks(*words: object, code: int) -> dict[str, str]:
    """Return what failed, by what it is, if 1 is expected; else what is ok."""
    ended = bellpull("check", "-o", "json", *words)
    assert (ended.code, ended.err) == (code, "")
    result = json.loads(ended.out)
    assert result["ok"] is (code == 0)
    return {
        each["what"]: f"{each['found']} -> {each['do']}" for each in result["checks"] if each["ok"] is (code == 0)
    }


def test_a_gateway_that_is_well_passes(gateway: Path) -> None:
    checks = _checks("--gateway", gateway / "gateway.yaml", code=0)
    assert list(checks) == [
        str(gateway / "gateway.yaml"),
        *("seal.key", "sources[0].secrets[0]", "data"),
        str(gateway / "agents/web-1.yaml"),
        *("listen.hooks", "listen.agents", "listen.console"),
    ]


def test_too_few_open_files_are_said_beforehand(gateway: Path) -> None:
    """R42: the gateway would start, with fewer connections than its settings allow."""
    limited = ["bash", "-c", 'ulimit -n 256; exec "$@"', "-", sys.executable, "-m", "bellpull"]
    ended = subprocess.run(
        [*limited, "check", "--gateway", gateway / "gateway.yaml"], capture_output=True, text=True, check=True
    )
    assert "open files: with 256 there are fewer connections: hooks 64 of 2048" in ended.stdout


def test_the_configuration_of_the_folder_is_found(gateway: Path) -> None:
    ended = bellpull("check", cwd=gateway)
    assert ended.code == 0
    assert ended.out.startswith("ok      gateway.yaml\n")
    assert "\x1b" not in ended.out


def test_a_folder_without_any_says_so(tmp_path: Path) -> None:
    ended = bellpull("check", cwd=tmp_path)
    assert ended.code == 1
    assert ended.err == "neither gateway.yaml nor agent.yaml is in this folder: name one by --gateway or --agent\n"


def _seal_damaged(folder: Path) -> None:
    (folder / "secrets/seal.jwk").write_text('{"kty": "OKP", "d": "hunter2"}')


def _record_wrong(folder: Path) -> None:
    _change(folder / "agents/web-1.yaml", token={"sha256": "hunter2"})


def _data_a_file(folder: Path) -> None:
    (folder / "data").write_text("hunter2")


GATEWAYS: dict[str, tuple[Callable[[Path], object], dict[str, str]]] = {
    "no key": (lambda folder: (folder / "secrets/seal.jwk").unlink(), {"seal.key": "no such file"}),
    "a damaged key": (_seal_damaged, {"seal.key": "is not an Ed25519 key"}),
    "an empty secret": (
        lambda folder: (folder / "secrets/github").write_bytes(b""),
        {"sources[0].secrets[0]": "secrets/github is empty"},
    ),
    "a file where data goes": (_data_a_file, {"data": "is no folder"}),
    "a record that is wrong": (_record_wrong, {"agents/web-1.yaml": "token.sha256: "}),
    "an address elsewhere": (
        lambda folder: _change(
            folder / "gateway.yaml", listen={**FREE, "hooks": {"address": "192.0.2.1:80", "insecure": True}}
        ),
        {"listen.hooks": "192.0.2.1:80"},
    ),
}


@pytest.mark.parametrize(("breaks", "failed"), GATEWAYS.values(), ids=GATEWAYS.keys())
def test_what_is_wrong_with_a_gateway_is_named(
    breaks: Callable[[Path], object], failed: dict[str, str], gateway: Path
) -> None:
    breaks(gateway)
    checks = _checks("--gateway", gateway / "gateway.yaml", code=1)
    for what, said in failed.items():
        assert said in checks[what if what in checks else str(gateway / what)]
    assert len(checks) == len(failed)
    assert "hunter2" not in str(checks)


def test_all_that_is_wrong_with_a_configuration_is_said(gateway: Path) -> None:
    """P11."""
    _change(gateway / "gateway.yaml", installation="Acme!", secret="hunter2", listen={"hooks": "hunter2"})
    ended = bellpull("check", cwd=gateway)
    assert ended.code == 1
    assert ended.out.splitlines() == [
        "FAILED  gateway.yaml: installation: is not a name of a-z, 0-9, '-' and '.', up to 63 characters",
        "FAILED  gateway.yaml: listen.hooks: is not HOST:PORT (such as 127.0.0.1:8080 or [::1]:8080)",
        "FAILED  gateway.yaml: secret: is not known",
    ]


def test_a_port_that_another_program_has_is_named(gateway: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        _change(gateway / "gateway.yaml", listen={"hooks": f"127.0.0.1:{other.getsockname()[1]}", **FREE})
        checks = _checks("--gateway", gateway / "gateway.yaml", code=1)
    assert "is taken by another program" in checks["listen.hooks"]


def test_a_secret_that_others_may_read_is_ok_with_advice(gateway: Path) -> None:
    (gateway / "secrets/github").chmod(0o644)
    assert "chmod 600" in _checks("--gateway", gateway / "gateway.yaml", code=0)["sources[0].secrets[0]"]


def test_a_gateway_that_owns_its_data_and_does_not_answer_is_named(gateway: Path) -> None:
    (gateway / "data").mkdir()
    with FolderLock(gateway / "data"):
        checks = _checks("--gateway", gateway / "gateway.yaml", code=1)
    assert "does not answer" in checks["running"]
