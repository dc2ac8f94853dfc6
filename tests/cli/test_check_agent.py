"""`bellpull check` for an agent: its files, a running gateway, its Git remotes."""

import asyncio
import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from bellpull.cli.check_agent import look
from bellpull.runtime.jose import generate, public_jwk, public_set
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
    """Yield the folder of a gateway that runs, with agents in it; the Git server of web-1 is away."""
    folder = tmp_path_factory.mktemp("world")
    ports = _free_ports()
    assert bellpull("init", folder).code == 0
    _change(folder / "gateway.yaml", listen={n: f"127.0.0.1:{p}" for n, p in zip(PORTS, ports, strict=True)})
    of_any_port = ("-r", "127.0.0.1/**")
    assert bellpull("enroll", "web-1", "-r", "http://127.0.0.1:9/acme/site.git", *of_any_port, cwd=folder).code == 0
    assert bellpull("enroll", "web-2", "-r", "github.com/acme/*", cwd=folder).code == 0
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
    assert "127.0.0.1:9: connection refused" in failed["default/site source"]


def test_a_running_gateway_is_not_in_its_own_way(world: Path) -> None:
    ended = bellpull("check", cwd=world)
    assert ended.code == 0
    assert ended.out.count("(the gateway is running)") == 3


def _other_token(agent: Path) -> None:
    (agent / "token").write_text("bpa_web-1_" + "hunter2" * 9)


def _keys_of_another_installation(agent: Path) -> None:
    (agent / "gateway-keys.json").write_bytes(public_set([public_jwk(generate().public)]))


def _key_out_of_time(agent: Path) -> None:
    (key,) = json.loads((agent / "gateway-keys.json").read_bytes())["keys"]
    (agent / "gateway-keys.json").write_text(json.dumps({"keys": [key | {"exp": 1}]}))


def _installation_misspelt(agent: Path) -> None:
    settings = yaml.safe_load((agent / "agent.yaml").read_text())["gateway"]
    _change(agent / "agent.yaml", gateway=settings | {"installation": "acme-typo"})


def _of_web_2(name: str) -> Callable[[Path, Path], None]:
    def exchange(agent: Path, world: Path) -> None:
        (agent / name).write_bytes((world / "web-2" / name).read_bytes())

    return exchange


def _other_repository(agent: Path) -> None:
    document = yaml.safe_load((agent / "syncs.yaml").read_text())
    document["spec"]["source"]["url"] = "https://127.0.0.2:9/acme/site.git"
    (agent / "syncs.yaml").write_text(yaml.safe_dump(document))


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


def _differs(agent: Path) -> dict[str, str]:
    """Return what is wrong but the Git server, that is away; a process less than the command."""
    findings = (each for each in look(agent / "agent.yaml") if not each.ok and each.what != "default/site source")
    return {each.what: f"{each.found} -> {each.do}" for each in findings}


DIFFERENT: dict[str, tuple[Callable[[Path, Path], object], str, tuple[str, ...]]] = {
    "keys of another installation": (
        lambda agent, _: _keys_of_another_installation(agent),
        "gateway.keys",
        ("gateway-keys.json is without the key", "no event is accepted", "bring that public key"),
    ),
    "a key that is no longer to be used": (
        lambda agent, _: _key_out_of_time(agent),
        "gateway.keys",
        ("gateway-keys.json: the key", "no longer, valid", "mend its nbf and exp"),
    ),
    "a misspelt installation": (
        lambda agent, _: _installation_misspelt(agent),
        "gateway.installation",
        ("agent.yaml says acme-typo, and the gateway is", "write installation: "),
    ),
    "the token of another agent": (
        _of_web_2("token"),
        "agent",
        ("agent.yaml says web-1, and token is the token of web-2", "put the token of web-1 there"),
    ),
    "the report key of another agent": (
        _of_web_2("report.jwk"),
        "report_key",
        ("report.jwk is the key", "agents/web-1.yaml", "reports are refused", "keys in the record"),
    ),
    "another environment": (
        lambda agent, _: _change(agent / "agent.yaml", environment="staging"),
        "environment",
        ("agent.yaml says staging", "agents/web-1.yaml at the gateway) has production", "write environment: "),
    ),
    "a repository that is not in the record": (
        lambda agent, _: _other_repository(agent),
        "default/site repository",
        ("syncs.yaml says 127.0.0.2/acme/site", "has 127.0.0.1/acme/site, 127.0.0.1/**", "no push is heard"),
    ),
}


@pytest.mark.parametrize(("breaks", "what", "said"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_what_gateway_and_agent_say_differently_is_one_finding(
    breaks: Callable[[Path, Path], object], what: str, said: tuple[str, ...], agent: Path, world: Path
) -> None:
    """Each says what differs, in which file, and what to do; before, only a log of one of them told (P11)."""
    breaks(agent, world)
    failed = _differs(agent)
    assert failed.keys() == {what}
    assert [part for part in said if part not in failed[what]] == []


def test_of_the_token_of_another_agent_nothing_else_is_compared(agent: Path, world: Path) -> None:
    """Its record says nothing of this agent's key, environment and repositories."""
    for name in ("token", "report.jwk"):
        _of_web_2(name)(agent, world)
    _change(agent / "agent.yaml", environment="staging")
    assert _differs(agent).keys() == {"agent"}


def test_all_that_differs_is_said_at_once(agent: Path, world: Path) -> None:
    """P11."""
    for breaks, what, _ in DIFFERENT.values():
        if what not in ("agent", "gateway.keys"):
            breaks(agent, world)
    _keys_of_another_installation(agent)
    every = {"gateway.installation", "gateway.keys", "report_key", "environment", "default/site repository"}
    assert _differs(agent).keys() == every
    assert every < _failed(agent).keys()


@contextmanager
def _answering(**statuses: int) -> Iterator[str]:
    """Yield the URL of a server that answers each path with its status; others with 404."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses.get(self.path.rpartition("/")[2], 404))
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server, ThreadPoolExecutor(1) as threads:
        threads.submit(server.serve_forever)
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


ANSWERS: dict[str, tuple[dict[str, int], bool, str]] = {
    "not let in": ({"agent": 401}, False, "does not accept the token (401)"),
    "kept away by what is before it": ({"agent": 403}, False, "kept from this machine by what is before it (403)"),
    "an older gateway": ({"events": 200}, True, "has no /v1/agent, so its records were not compared"),
    "an older gateway that does not let in": ({"events": 401}, False, "does not accept the token (401)"),
    "something else": ({}, False, "has no /v1/events"),
    "something else that says yes": ({"agent": 200}, False, "what came is no answer of a gateway: agent: is missing"),
    "an error": ({"agent": 502}, False, "answered 502"),
}


@pytest.mark.parametrize(("statuses", "is_ok", "said"), ANSWERS.values(), ids=ANSWERS.keys())
def test_each_answer_of_a_gateway_is_told_apart(
    statuses: dict[str, int], is_ok: bool, said: str, agent: Path
) -> None:
    with _answering(**statuses) as url:
        settings = yaml.safe_load((agent / "agent.yaml").read_text())["gateway"]
        _change(agent / "agent.yaml", gateway=settings | {"url": url})
        (finding,) = (each for each in look(agent / "agent.yaml") if each.what == "gateway")
    assert (finding.ok, said in finding.found) == (is_ok, True), finding
    assert finding.do


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
