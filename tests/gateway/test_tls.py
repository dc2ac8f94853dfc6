"""TLS that ends in the gateway: certificates that follow their files, strangers who say nothing, what check says."""

import asyncio
import http.client
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import orjson
import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from bellpull.runtime.tls import TlsError, certificate, server_context
from tests.cli.command import Ended, bellpull
from tests.gateway.github import headers, payload
from tests.gateway.process import TOKEN, Folder, Gateway, eventually
from tests.gateway.strangers import KINDS, crowd

PLAIN = 'hooks: "127.0.0.1:0", agents: "127.0.0.1:0"'
WITH_TLS = (
    "hooks: {address: '127.0.0.1:0', tls: {cert: tls/cert.pem, key: tls/key.pem}}, "
    "agents: {address: '127.0.0.1:0', tls: {cert: tls/cert.pem, key: tls/key.pem}}"
)


class Authority:
    """Issues what the gateway shows, and trusts it."""

    def __init__(self, folder: Folder) -> None:
        self._authority = trustme.CA()
        self._folder = folder
        self.context = ssl.create_default_context()
        self._authority.configure_trust(self.context)

    def issue(self, *names: str, ends: datetime | None = None) -> None:
        """Put another certificate into the gateway's place: the key first, as a careless script does."""
        made = self._authority.issue_cert(*names, not_after=ends)
        self._folder.write("tls/key.pem", made.private_key_pem.bytes())
        self._folder.write("tls/cert.pem", b"".join(blob.bytes() for blob in made.cert_chain_pems))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path)
    config = (tmp_path / "gateway.yaml").read_text()
    assert PLAIN in config
    folder.write("gateway.yaml", config.replace(PLAIN, WITH_TLS))
    return folder


@pytest.fixture
def authority(folder: Folder) -> Authority:
    return Authority(folder)


@pytest.fixture
def gateway(folder: Folder, authority: Authority) -> Iterator[Gateway]:
    authority.issue("localhost", "127.0.0.1")
    folder.enroll()
    with folder.running() as running:
        yield running


def _address(url: str) -> str:
    return url.removeprefix("http://")


def _connect(address: str, authority: Authority) -> http.client.HTTPSConnection:
    return http.client.HTTPSConnection(address, timeout=20, context=authority.context)


def _push(connection: http.client.HTTPSConnection, delivery: str = "d1") -> int:
    body = orjson.dumps(payload())
    fields = {key.decode(): value.decode() for key, value in headers(body)} | {"X-GitHub-Delivery": delivery}
    connection.request("POST", "/hooks/github", body, fields)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def _names(address: str, authority: Authority) -> set[str]:
    """Return what a new connection is shown."""
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=20) as plain,
        authority.context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        shown = connection.getpeercert() or {}
    return {str(value) for _, value in shown["subjectAltName"]}  # type: ignore[str-unpack]


def test_a_push_and_a_stream_come_by_tls_and_plain_text_does_not(gateway: Gateway, authority: Authority) -> None:
    with closing(_connect(_address(gateway.hooks), authority)) as connection:
        assert _push(connection) == 202
    with closing(_connect(_address(gateway.agents), authority)) as connection:
        connection.request("GET", "/v1/events", headers={"Authorization": f"Bearer {TOKEN}"})
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")
        assert answer.readline()
    with closing(http.client.HTTPConnection(_address(gateway.hooks), timeout=20)) as connection:
        connection.request("GET", "/")
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            connection.getresponse()


def test_a_certificate_that_was_replaced_is_shown_to_who_comes_and_nobody_is_cut_off(
    gateway: Gateway, folder: Folder, authority: Authority
) -> None:
    address = _address(gateway.hooks)
    with closing(_connect(address, authority)) as before:
        assert _push(before) == 202
        authority.issue("localhost", "127.0.0.1", "new.example.org")
        with eventually("the new certificate is shown") as look:
            while "new.example.org" not in _names(address, authority):
                look.again()
        assert _push(before, "d2") == 202
    folder.write("tls/cert.pem", "nonsense")
    with eventually("the mistake is seen") as look:
        while not any(line["event"] == "keeping the old value" for line in folder.lines()):
            look.again()
    assert "new.example.org" in _names(address, authority)


async def test_strangers_do_not_hold_up_a_listener_with_tls(gateway: Gateway, authority: Authority) -> None:
    """R42: there is room for 256; 500 of all kinds come, some of whom never begin TLS, and a push is answered."""
    address = _address(gateway.hooks)

    def push(number: int) -> float:
        begun = time.monotonic()
        with closing(_connect(address, authority)) as connection:
            assert _push(connection, f"good-{number}") == 202
        return time.monotonic() - begun

    async with asyncio.TaskGroup() as tasks:
        silent = tasks.create_task(crowd(address, 50))
        agreed = tasks.create_task(crowd(address, 50, tls=authority.context))
        await asyncio.sleep(1)
        took = [await asyncio.to_thread(push, number) for number in range(5)]
    for ended in (silent.result(), agreed.result()):
        for kind, seconds in ended.items():
            assert median(seconds) < 10, (kind, sorted(seconds))
            assert max(seconds) < 20, (kind, sorted(seconds))
    assert sum(map(len, silent.result().values())) == 50 * len(KINDS)
    assert median(took) < 1, took


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("key.pem", None, "key.pem cannot be read: no such file or directory"),
        ("cert.pem", b"nonsense", "cert.pem holds no certificate in PEM"),
        ("key.pem", b"nonsense", "key.pem holds no private key in PEM"),
        ("key.pem", b"another", "key.pem is not the key of the certificate in"),
        ("key.pem", b"encrypted", "key.pem is encrypted"),
    ],
)
def test_files_that_cannot_be_used_are_named_at_the_start_and_by_check(
    folder: Folder, authority: Authority, name: str, content: bytes | None, problem: str
) -> None:
    authority.issue("localhost")
    other = trustme.CA().issue_cert("localhost").private_key_pem.bytes()
    written = {b"another": other, b"encrypted": _encrypted(other)}.get(content or b"", content)
    if written is None:
        (folder.path / "tls" / name).unlink()
    else:
        folder.write(f"tls/{name}", written)
    for verb in (["gateway", "--config"], ["check", "--gateway"]):
        ended = bellpull(*verb, str(folder.path / "gateway.yaml"))
        assert ended.code != 0
        assert problem in (ended.out + ended.err)
    with pytest.raises(TlsError, match=problem):
        server_context(folder.path / "tls" / "cert.pem", folder.path / "tls" / "key.pem")


def test_check_says_for_whom_a_certificate_is_and_until_when(folder: Folder, authority: Authority) -> None:
    authority.issue("hooks.example.org", "192.0.2.7")
    found = _check(folder)
    ends = certificate(folder.path / "tls" / "cert.pem").ends
    assert found.code == 0, found.out
    assert f"for hooks.example.org, 192.0.2.7, until {ends:%Y-%m-%d}" in found.out


def test_check_refuses_a_certificate_that_ended(folder: Folder, authority: Authority) -> None:
    authority.issue("hooks.example.org", ends=datetime.now(UTC) - timedelta(days=1))  # noqa: TID251
    found = _check(folder)
    assert found.code == 1
    assert "for hooks.example.org ended at" in found.out


def test_check_warns_of_a_key_that_others_may_read(folder: Folder, authority: Authority) -> None:
    authority.issue("localhost")
    (folder.path / "tls" / "key.pem").chmod(0o644)
    found = _check(folder)
    assert "key.pem may be read by others (mode 0644)" in found.out


def test_check_asks_a_gateway_that_runs_by_its_own_certificate(folder: Folder, authority: Authority) -> None:
    """Whatever name it has; the file says which certificate it must be."""
    authority.issue("console.example.org")
    config = folder.path / "gateway.yaml"
    tls = "{address: '127.0.0.1:0', tls: {cert: tls/cert.pem, key: tls/key.pem}}"
    folder.write("gateway.yaml", config.read_text().replace('console: "127.0.0.1:0"', f"console: {tls}"))
    with folder.running() as gateway:
        port = gateway.console.rpartition(":")[2]
        folder.write(
            "gateway.yaml",
            config.read_text().replace(f"console: {tls}", f"console: {tls}".replace(":0'", f":{port}'")),
        )
        found = _check(folder)
        assert f"https://127.0.0.1:{port}/readyz answers 200" in found.out, found.out


def _check(folder: Folder) -> Ended:
    return bellpull("check", "--gateway", folder.path / "gateway.yaml", env={"OLD_SECRET": "old one"})


def _encrypted(key: bytes) -> bytes:
    return serialization.load_pem_private_key(key, None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    )
