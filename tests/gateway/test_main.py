"""The gateway as a user runs it: a process, files, HTTP, signals."""

import json
import os
import re
import signal
import socket
import time
from pathlib import Path

import pytest

from bellpull.runtime.jose import dump_private
from tests.cli.command import bellpull
from tests.gateway.github import SECRET, B, headers, payload
from tests.gateway.process import TOKEN, Folder, ask, deliver, eventually

_PUSH = json.dumps(payload()).encode()
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_p1_a_push_answered_202_survives_a_kill(folder: Folder) -> None:
    with folder.running() as gateway:
        answer = deliver(gateway.hooks, payload())
        assert gateway.stop(signal.SIGKILL) == -signal.SIGKILL
    assert answer.status == 202
    (row,) = folder.rows()
    assert row == (answer.json()["events"][0], "refs/heads/main", B)
    with folder.running() as gateway:
        found = ask(f"{gateway.console}/api/v1/commits/{B}").json()
    assert [each["event"] for each in found["announcements"]] == answer.json()["events"]


def test_secrets_are_read_again_when_their_file_changes(folder: Folder) -> None:
    """A rotation needs no restart: the new one is good within seconds, the old one no more."""
    with folder.running() as gateway:
        assert deliver(gateway.hooks, payload(), secret=b"the next one").status == 401
        folder.write("github-secret", "the next one\n")
        with eventually("the new secret is accepted") as look:
            while deliver(gateway.hooks, payload(), secret=b"the next one").status != 202:
                look.again()
        assert deliver(gateway.hooks, payload()).status == 401
        assert deliver(gateway.hooks, payload(), secret=b"old one").status == 202


def test_a_secret_that_was_emptied_by_mistake_opens_nothing(folder: Folder) -> None:
    """The last good one stays, and a line says so."""
    with folder.running() as gateway:
        folder.write("github-secret", "")
        with eventually("the mistake is seen") as look:
            while not any(line["event"] == "keeping the old value" for line in folder.lines()):
                look.again()
        assert deliver(gateway.hooks, payload(), secret=b"").status == 401
        assert deliver(gateway.hooks, payload()).status == 202


def test_an_agent_is_heard_as_soon_as_its_record_is_there_and_no_longer(folder: Folder) -> None:
    with folder.running() as gateway:
        assert ask(f"{gateway.agents}/v1/events", fields=BEARER).status == 401
        folder.enroll()
        with eventually("the agent is let in") as look:
            while ask(f"{gateway.agents}/v1/events", fields=BEARER, read=False).status != 200:
                look.again()
        (folder.path / "agents" / "web-1.yaml").unlink()
        with eventually("the agent is shut out") as look:
            while ask(f"{gateway.agents}/v1/events", fields=BEARER, read=False).status != 401:
                look.again()


def test_asked_to_stop_it_finishes_what_is_in_flight_and_takes_no_more(folder: Folder) -> None:
    """R11: not ready, listeners closed, requests answered, the last commit done, exit code 0."""
    body = json.dumps(payload()).encode()
    with folder.running() as gateway:
        host, port = gateway.hooks.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as sender:
            sender.sendall(_head(body) + body[:10])
            time.sleep(0.3)
            gateway.process.send_signal(signal.SIGTERM)
            with eventually("it is not ready") as look:
                while ask(f"{gateway.console}/readyz").status != 503:
                    look.again()
            with eventually("the listener is closed") as look:
                while _listens(host, int(port)):
                    look.again()
            time.sleep(0.5)
            sender.sendall(body[10:])
            answer = sender.recv(1000)
        assert gateway.process.wait(20) == 0
    assert answer.startswith(b"HTTP/1.1 202")
    assert [commit for _, _, commit in folder.rows()] == [B]
    assert folder.lines()[-1]["event"] == "stopped"


def test_it_takes_pushes_for_a_grace_period_after_it_was_asked_to_stop(folder: Folder) -> None:
    """R11: a balancer that has not looked at /readyz yet sends one more; nothing of it is refused or lost."""
    folder.write("gateway.yaml", (folder.path / "gateway.yaml").read_text() + "drain: {grace: 3s}\n")
    with folder.running() as gateway:
        gateway.process.send_signal(signal.SIGTERM)
        with eventually("it is not ready") as look:
            while ask(f"{gateway.console}/readyz").status != 503:
                look.again()
        assert deliver(gateway.hooks, payload()).status == 202
        assert gateway.process.wait(20) == 0
    assert [commit for _, _, commit in folder.rows()] == [B]


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=10).close()
    except ConnectionRefusedError:
        return False
    return True


def _head(body: bytes, secret: bytes = SECRET) -> bytes:
    lines = [name + b": " + value for name, value in headers(body, secret=secret)]
    return b"\r\n".join(
        [b"POST /hooks/github HTTP/1.1", b"Host: x", b"Content-Length: %d" % len(body), *lines, b"", b""]
    )


def test_an_idle_gateway_with_streams_stops_at_once(folder: Folder) -> None:
    folder.enroll()
    with folder.running() as gateway:
        host, port = gateway.agents.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as agent:
            agent.sendall(f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
            assert agent.recv(100).startswith(b"HTTP/1.1 200")
            begun = time.monotonic()
            assert gateway.stop() == 0
        assert time.monotonic() - begun < 10


def test_two_gateways_never_share_a_folder(folder: Folder) -> None:
    with folder.running() as gateway:
        other = bellpull("gateway", "--config", folder.path / "gateway.yaml", env={"OLD_SECRET": "x"})
        assert other.code == 1
        assert f"in use by process {gateway.process.pid}" in other.err


BAD = {
    "no file": ("github-secret", None),
    "an empty secret": ("github-secret", "\n"),
    "no key": ("seal.jwk", None),
    "a key that is none": ("seal.jwk", "hunter2"),
}


@pytest.mark.parametrize(("name", "content"), BAD.values(), ids=BAD.keys())
def test_it_does_not_start_on_a_file_that_cannot_be_used(folder: Folder, name: str, content: str | None) -> None:
    """S10: an empty secret never means that none is needed. The file or its place is named, no value repeated."""
    if content is None:
        (folder.path / name).unlink()
    else:
        folder.write(name, content)
    ended = bellpull("gateway", "--config", folder.path / "gateway.yaml", env={"OLD_SECRET": "x"})
    assert ended.code not in (0, None)
    assert Path(name).name in ended.err or "seal.key" in ended.err
    assert "Traceback" not in ended.err
    assert "hunter2: hunter2" not in ended.err


def test_a_wrong_enrolment_record_stops_nobody_but_its_agent(folder: Folder) -> None:
    """What is pushed is kept whatever one record says; the log names the file."""
    folder.enroll()
    folder.write("agents/web-2.yaml", "hunter2: hunter2")
    with folder.running() as gateway:
        assert gateway.stop() == 0
    logged = (folder.path / "stderr").read_text()
    assert "web-2.yaml" in logged
    assert "hunter2: hunter2" not in logged


def test_all_secrets_that_are_missing_are_said_at_once(folder: Folder) -> None:
    queue = "queue: {rabbitmq: {url: 'amqps://localhost', username: gw, password: {file: broker-password}}}\n"
    folder.write("gateway.yaml", (folder.path / "gateway.yaml").read_text() + queue)
    (folder.path / "github-secret").unlink()
    (folder.path / "seal.jwk").unlink()
    environment = {name: value for name, value in os.environ.items() if name != "OLD_SECRET"}
    ended = bellpull("gateway", "--config", folder.path / "gateway.yaml", env=environment)
    for place in ("sources[0].secrets[0]", "sources[0].secrets[1]", "seal.key", "queue.rabbitmq: password"):
        assert place in ended.err


def test_nothing_secret_is_in_logs_errors_or_files(folder: Folder) -> None:
    """Whatever strangers and agents send, and whatever is configured: looked for in all that was written and said."""
    folder.enroll()
    sent = {
        "X-Github-Encoded-Secret": "c2VjcmV0LWluLWJhc2U2NA",
        "Authorization": "Basic dXNlcjpwYXNzd29yZA",
        "X-Gitlab-Token": "glpat-abcdef",
        "Cookie": "session=biscuit",
    }
    said = b""
    with folder.running() as gateway:
        for changes in ({}, {"X-Hub-Signature-256": "sha256=" + "f" * 64}, {"Content-Type": "text/x-odd-type"}):
            said += deliver(gateway.hooks, payload(), sent | changes).body
        said += deliver(gateway.hooks, b'{"ref": "in-the-body"', sent).body
        said += ask(f"{gateway.hooks}/hooks/nobody?secret=in-the-query", b"in-the-body", sent).body
        said += ask(f"{gateway.agents}/v1/reports", b"in-the-body", sent | BEARER).body
        said += ask(f"{gateway.agents}/v1/events", fields=sent).body
        said += ask(f"{gateway.console}/metrics").body
        assert gateway.stop() == 0
    written = folder.everything() + said
    assert b"refs/heads/main" in written
    private = json.loads(dump_private(folder.seal))["d"]
    values = [*sent.values(), SECRET.decode(), "old one", private, TOKEN, "f" * 64, "in-the-body", "in-the-query"]
    values += ["Say hello", "ada@example.org", "text/x-odd-type", "biscuit"]
    assert [value for value in values if value.encode() in written] == []


def test_a_flood_of_wrong_signatures_hides_no_push_and_is_listed_also_after_a_restart(folder: Folder) -> None:
    """R40: from one connection; two lines, 429 after a while, the push in the middle is taken."""
    forged, good = (_head(body, secret) + body for body, secret in ((b"{}", b"guess"), (_PUSH, SECRET)))
    with folder.running() as gateway:
        host, port = gateway.hooks.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as stranger:
            stranger.sendall(forged * 1000 + good + forged * 1000)
            answers = _answers(stranger, 2001)
        listed = ask(f"{gateway.console}/api/v1/rejections").json()
        assert gateway.stop() == 0
    lines = [line for line in folder.lines() if line["event"] == "delivery"]
    with folder.running() as gateway:
        kept = ask(f"{gateway.console}/api/v1/rejections").json()
    assert answers[1000] == 202
    assert answers[0] == 401
    assert answers.count(429) > 1000
    assert [(line["status"], line.get("held_back")) for line in lines] == [(401, None), (202, None), (429, 1998)]
    assert [(row["source"], row["address"], row["status"], row["count"]) for row in listed["rejections"]] == [
        ("github", "127.0.0.1", 401, 2000)
    ]
    assert kept == listed


def _answers(connection: socket.socket, count: int) -> list[int]:
    """Return the status of so many answers."""
    received = b""
    while received.count(b"HTTP/1.1 ") < count:
        received += connection.recv(1 << 20)
    return [int(status) for status in re.findall(rb"HTTP/1\.1 ([0-9]{3})", received)]
