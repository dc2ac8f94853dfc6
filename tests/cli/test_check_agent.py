"""`bellpull check` for an agent: its files, a running gateway, its Git remotes."""

import asyncio
import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.cli.command import bellpull
from tests.parts.git import Repository

PORTS = ("hooks", "agents", "console")


def _free_ports() -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in PORTS]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _change(path: Path, **changes: object) -> None:
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))


@contextmanager
def _running(folder: Path, console: int) -> Iterator[None]:
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen([sys.executable, "-m", "bellpull", "gateway"], cwd=folder, stderr=log) as process,
    ):
        try:
            for _ in range(200):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{console}/healthz", timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the folder of a gateway that runs, with the agent web-1 in it, whose Git server is away."""
    folder = tmp_path_factory.mktemp("world")
    ports = _free_ports()
    assert bellpull("init", folder).code == 0
    _change(folder / "gateway.yaml", listen={n: f"127.0.0.1:{p}" for n, p in zip(PORTS, ports, strict=True)})
    assert bellpull("enroll", "web-1", "-r", "http://127.0.0.1:9/acme/site.git", cwd=folder).code == 0
    with _running(folder, ports[2]):
        yield folder


@pytest.fixture
def agent(world: Path, tmp_path: Path) -> Path:
    """Return a copy of the agent's folder, to be broken."""
    for path in (world / "web-1").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
        (tmp_path / path.name).chmod(path.stat().st_mode)
    return tmp_path


def _failed(agent: Path) -> dict[str, str]:
    ended = bellpull("check", "--agent", agent / "agent.yaml", "-o", "json")
    assert (ended.code, ended.err) == (1, "")
    token = (agent / "token").read_text().strip() if (agent / "token").exists() else "bpa_"
    assert token not in ended.out
    assert "hunter2" not in ended.out
    rows = json.loads(ended.out)["checks"]
    return {each["what"]: f"{each['found']} -> {each['do']}" for each in rows if not each["ok"]}


def test_all_is_well_but_the_git_server(agent: Path) -> None:
    failed = _failed(agent)
    assert list(failed) == ["default/site source"]
    assert "http://127.0.0.1:9/acme/site.git" in failed["default/site source"]


def test_a_running_gateway_is_not_in_its_own_way(world: Path) -> None:
    ended = bellpull("check", cwd=world)
    assert ended.code == 0
    assert ended.out.count("(the gateway is running)") == 3


def _other_token(agent: Path) -> None:
    (agent / "token").write_text("bpa_web-1_" + "hunter2" * 9)


def _other_listener(agent: Path) -> None:
    settings = yaml.safe_load((agent / "agent.yaml").read_text())
    hooks = int(settings["gateway"]["url"].rpartition(":")[2])
    settings["gateway"]["url"] = f"http://127.0.0.1:{hooks}/elsewhere"
    (agent / "agent.yaml").write_text(yaml.safe_dump(settings))


def _nobody_there(agent: Path) -> None:
    settings = yaml.safe_load((agent / "agent.yaml").read_text())
    settings["gateway"]["url"] = "http://127.0.0.1:9"
    (agent / "agent.yaml").write_text(yaml.safe_dump(settings))


def _private_key_pinned(agent: Path) -> None:
    key = json.loads((agent / "report.jwk").read_bytes())
    (agent / "gateway-keys.json").write_text(json.dumps({"keys": [key]}))


def _folder_in_the_way(agent: Path) -> None:
    (agent / "site").mkdir()


def _nowhere_for_the_link(agent: Path) -> None:
    document = yaml.safe_load((agent / "syncs.yaml").read_text())
    document["spec"]["target"]["directory"]["path"] = "./absent/site"
    (agent / "syncs.yaml").write_text(yaml.safe_dump(document))


def _tls_to_a_listener_without(agent: Path) -> None:
    settings = yaml.safe_load((agent / "agent.yaml").read_text())
    settings["gateway"]["url"] = settings["gateway"]["url"].replace("http://", "https://")
    (agent / "agent.yaml").write_text(yaml.safe_dump(settings))


def _credential_missing(agent: Path) -> None:
    document = yaml.safe_load((agent / "syncs.yaml").read_text())
    document["spec"]["source"]["secretRef"] = {"name": "site-git"}
    (agent / "syncs.yaml").write_text(yaml.safe_dump(document))


WRONG: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a token the gateway does not know": (_other_token, "gateway", "does not accept the token"),
    "no token": (lambda agent: (agent / "token").unlink(), "gateway.token", "no such file"),
    "an address that is not the stream's": (_other_listener, "gateway", "name the gateway's `agents` listener"),
    "nobody at the address": (_nobody_there, "gateway", "is it running"),
    "a private key among the pinned": (_private_key_pinned, "gateway.keys", "is a private key"),
    "no report key": (lambda agent: (agent / "report.jwk").unlink(), "report_key", "no such file"),
    "a file where state goes": (lambda agent: (agent / "state").touch(), "state", "is no folder"),
    "a folder where the link goes": (_folder_in_the_way, "default/site target", "say adopt: true"),
    "no folder for the link": (_nowhere_for_the_link, "default/site target", "make it"),
    "TLS to a listener that has none": (_tls_to_a_listener_without, "gateway", "does not speak TLS"),
    "a credential that is not there": (_credential_missing, "default/site source", "site-git/username"),
}


@pytest.mark.parametrize(("breaks", "what", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_with_an_agent_is_named(
    breaks: Callable[[Path], object], what: str, said: str, agent: Path
) -> None:
    breaks(agent)
    failed = _failed(agent)
    assert said in failed[what]
    assert failed.keys() <= {what, "default/site source", "gateway"}


def test_each_mistake_in_the_syncs_is_named(agent: Path) -> None:
    """P11."""
    document = yaml.safe_load((agent / "syncs.yaml").read_text())
    document["spec"]["interval"] = "hunter2"
    document["spec"]["source"]["tag"] = "v1"
    (agent / "syncs.yaml").write_text(yaml.safe_dump(document))
    ended = bellpull("check", "--agent", agent / "agent.yaml")
    assert ended.code == 1
    assert f"FAILED  {agent}/syncs.yaml: document 1 spec.interval: is no duration" in ended.out
    assert f"FAILED  {agent}/syncs.yaml: document 1 spec.source: needs exactly one of branch and tag" in ended.out
    assert "hunter2" not in ended.out


REFS: dict[str, tuple[str, str, str]] = {
    "a branch": ("branch", "main", ""),
    "a tag": ("tag", "v1", ""),
    "a branch that is not there": ("branch", "nowhere", "name a branch or tag that is there"),
    "a repository that is not there": ("branch", "main", "is the URL right?"),
}


@pytest.mark.parametrize(("ref", "name", "said"), REFS.values(), ids=REFS.keys())
async def test_a_remote_is_asked_for_the_ref(
    ref: str, name: str, said: str, agent: Path, repository: Repository
) -> None:
    commit = await asyncio.to_thread(repository.commit, {"index.html": b"hello"})
    await asyncio.to_thread(repository.tag, "v1", commit, annotated=True)
    url = repository.url.replace("site", "other") if said.startswith("is the URL") else repository.url
    document = yaml.safe_load(await asyncio.to_thread((agent / "syncs.yaml").read_text))
    document["spec"]["source"] = {"url": url, ref: name}
    await asyncio.to_thread((agent / "syncs.yaml").write_text, yaml.safe_dump(document))
    ended = await asyncio.to_thread(bellpull, "check", "--agent", agent / "agent.yaml")
    assert ended.code == (1 if said else 0)
    assert (said or f"is at {commit[:12]}") in ended.out
    assert not await asyncio.to_thread((agent / "state").exists)
