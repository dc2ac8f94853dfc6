"""Getting into a cluster in every way a kubeconfig or a pod knows, on real listeners; no error shows a credential."""

import asyncio
import json
import socket
import ssl
import tempfile
from base64 import b64encode
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import pytest
import trustme
import yaml
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from agent.adapters.kubernetes import client as speaking
from agent.adapters.kubernetes import kubeconfig as reading
from agent.adapters.kubernetes import reasons
from agent.adapters.kubernetes.client import connect
from agent.core.kubernetes.requests import Method, Request
from agent.ports.cluster import ClusterError
from tests.agent.kubernetes.listener import OK, UNAUTHORIZED, Seen, listen, said, server_tls
from tests.parts.control_plane import ADMIN, ControlPlane
from tests.parts.proxy import Proxy

GET: Final = Request(method=Method.GET, path="/version")
API: Final = "client.authentication.k8s.io/v1"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep a test from the files and variables of whoever runs it; returns where temporary files go."""
    for name in ("KUBECONFIG", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def written(folder: Path, cluster: dict[str, Any], user: dict[str, Any] | None, name: str = "kubeconfig") -> Path:
    """Write a kubeconfig of one context."""
    context = {"cluster": "a", "namespace": "shop"} | ({} if user is None else {"user": "a"})
    whole = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "a",
        "clusters": [{"name": "a", "cluster": cluster}],
        "users": [] if user is None else [{"name": "a", "user": user}],
        "contexts": [{"name": "a", "context": context}],
    }
    path = folder / name
    path.write_text(yaml.safe_dump(whole))
    return path


def at(port: int, authority: trustme.CA, **more: Any) -> dict[str, Any]:
    """Return a cluster whose certificates `authority` issued."""
    data = b64encode(authority.cert_pem.bytes()).decode()
    return {"server": f"https://127.0.0.1:{port}", "certificate-authority-data": data, **more}


def pem(issued: trustme.LeafCert) -> tuple[bytes, bytes]:
    """Return certificate and key of a client."""
    return b"".join(part.bytes() for part in issued.cert_chain_pems), issued.private_key_pem.bytes()


def client_pem(authority: trustme.CA, name: str) -> tuple[bytes, bytes]:
    return pem(authority.issue_cert("client@example.org", common_name=name))


def embedded_pem(certificate: bytes, key: bytes) -> dict[str, str]:
    """Return a user with these in the kubeconfig."""
    return {
        "client-certificate-data": b64encode(certificate).decode(),
        "client-key-data": b64encode(key).decode(),
    }


def is_empty(folder: Path) -> bool:
    return not list(folder.iterdir())


async def status(path: Path, **how: Any) -> int:
    async with connect(path, **how) as client:
        return (await client.send(GET)).status


async def problem(path: Path | None, **how: Any) -> str:
    """Return what is said where there is no way in."""
    with pytest.raises(ClusterError) as caught:
        async with connect(path, **how) as client:
            await client.send(GET)
    return str(caught.value)


@pytest.mark.parametrize("embedded", [True, False], ids=["data", "files"])
async def test_a_client_certificate(tmp_path: Path, alone: Path, authority: trustme.CA, *, embedded: bool) -> None:
    """A key that is in the kubeconfig is nowhere else, once it was read."""
    certificate, key = client_pem(authority, "deployer")
    if embedded:
        user = embedded_pem(certificate, key)
    else:
        (tmp_path / "me.crt").write_bytes(certificate)
        (tmp_path / "me.key").write_bytes(key)
        user = {"client-certificate": "me.crt", "client-key": str(tmp_path / "me.key")}
    async with listen(tls=server_tls(authority, "127.0.0.1", clients=True)) as server:
        assert await status(written(tmp_path, at(server.port, authority), user)) == 200
    assert [(seen.subject, seen.authorization) for seen in server.seen] == [("deployer", None)]
    assert is_empty(alone)


async def test_a_key_with_a_password_is_refused(tmp_path: Path, authority: trustme.CA) -> None:
    """Instead of waiting for a person to type it."""
    certificate, key = client_pem(authority, "deployer")
    locked = load_pem_private_key(key, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pw")
    )
    path = written(tmp_path, at(1, authority), embedded_pem(certificate, locked))
    assert "its certificates cannot be read" in await problem(path)


async def test_a_rotated_certificate_is_shown_on_new_connections(tmp_path: Path, authority: trustme.CA) -> None:
    def write(name: str) -> None:
        for file, content in zip(("me.crt", "me.key"), client_pem(authority, name), strict=True):
            (tmp_path / file).write_bytes(content)

    def answer(seen: Seen) -> bytes:
        return UNAUTHORIZED if seen.subject == "old" and (tmp_path / "ended").exists() else OK

    write("old")
    async with listen(answer, server_tls(authority, "127.0.0.1", clients=True)) as server:
        path = written(tmp_path, at(server.port, authority), {"client-certificate": "me.crt", "client-key": "me.key"})
        async with connect(path) as client:
            assert (await client.send(GET)).status == 200
            (tmp_path / "ended").touch()
            write("new")
            assert (await client.send(GET)).status == 200
    assert [seen.subject for seen in server.seen] == ["old", "old", "new"]


async def test_a_token_file_is_read_again_when_it_was_rotated(tmp_path: Path, authority: trustme.CA) -> None:
    """It comes before a token beside it, may end in a line's end, and keeps the connections that there are."""
    file = tmp_path / "token"
    file.write_text("one\n")

    def answer(seen: Seen) -> bytes:
        return OK if seen.authorization == f"Bearer {file.read_text().strip()}" else UNAUTHORIZED

    async with listen(answer, server_tls(authority, "127.0.0.1")) as server:
        path = written(tmp_path, at(server.port, authority), {"tokenFile": "token", "token": "stale"})
        async with connect(path) as client:
            assert (await client.send(GET)).status == 200
            file.write_text("two\n")
            assert (await client.send(GET)).status == 200
    assert [seen.authorization for seen in server.seen] == ["Bearer one", "Bearer one", "Bearer two"]
    assert server.connections == 1


@pytest.mark.parametrize("content", ["", "\n", "a\nb", "a\x00b"], ids=["empty", "a line's end", "two lines", "zero"])
async def test_a_token_file_without_a_token(tmp_path: Path, content: str) -> None:
    """Nobody is asked without a credential where one is meant."""
    (tmp_path / "token").write_text(content)
    assert "token" in await problem(written(tmp_path, {"server": "http://127.0.0.1:1"}, {"tokenFile": "token"}))


def program(folder: Path, script: str) -> Path:
    """Write a program that gives credentials; each run adds a line to `runs`."""
    path = folder / "bin" / "login"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\necho run >> {folder}/runs\n{script}\n")
    path.chmod(0o755)
    return path


def executed(folder: Path, script: str, **more: Any) -> dict[str, Any]:
    """Return a user whose credentials a program gives, which lies beside the kubeconfig."""
    program(folder, script)
    return {"exec": {"apiVersion": API, "command": "./bin/login", "interactiveMode": "Never", **more}}


def given(**status_: str) -> str:
    return json.dumps({"apiVersion": API, "kind": "ExecCredential", "status": status_})


async def test_a_program_gives_the_token_and_is_asked_once_for_all_who_were_refused(
    tmp_path: Path, authority: trustme.CA
) -> None:
    """Sixteen requests at once find that the token ended."""
    now = tmp_path / "now"
    now.write_text("one")
    script = f"""cat <<END\n{given(token="$(cat $WHERE)-$1")}\nEND"""
    user = executed(tmp_path, script, args=["x"], env=[{"name": "WHERE", "value": str(now)}])

    def answer(seen: Seen) -> bytes:
        return OK if seen.authorization == f"Bearer {now.read_text()}-x" else UNAUTHORIZED

    async with (
        listen(answer, server_tls(authority, "127.0.0.1")) as server,
        connect(written(tmp_path, at(server.port, authority), user)) as client,
    ):
        assert (await client.send(GET)).status == 200
        now.write_text("two")
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(client.send(GET)) for _ in range(16)]
    assert {task.result().status for task in asked} == {200}
    assert (tmp_path / "runs").read_text().count("run") == 2


async def test_a_program_gives_a_certificate(tmp_path: Path, alone: Path, authority: trustme.CA) -> None:
    """And another one when that is refused."""
    for name in ("one", "two"):
        certificate, key = client_pem(authority, name)
        (tmp_path / name).write_text(given(clientCertificateData=certificate.decode(), clientKeyData=key.decode()))
    user = executed(tmp_path, f"cat {tmp_path}/now")
    (tmp_path / "now").write_text((tmp_path / "one").read_text())

    def answer(seen: Seen) -> bytes:
        return OK if seen.subject == "two" else UNAUTHORIZED

    async with (
        listen(answer, server_tls(authority, "127.0.0.1", clients=True)) as server,
        connect(written(tmp_path, at(server.port, authority), user)) as client,
    ):
        (tmp_path / "now").write_text((tmp_path / "two").read_text())
        assert (await client.send(GET)).status == 200
    assert [seen.subject for seen in server.seen] == ["one", "two"]
    assert is_empty(alone)


@pytest.mark.parametrize(
    ("script", "said_"),
    [
        pytest.param("echo no session >&2; exit 3", "bin/login ended with 3: no session", id="it fails"),
        pytest.param("echo hello", "bin/login printed no ExecCredential", id="no JSON"),
        pytest.param(f"echo '{given()}'", "exec of the user gives neither a token nor a certificate", id="nothing"),
        pytest.param(
            f"echo '{given(clientCertificateData='x')}'", "neither a token nor a certificate", id="no key with it"
        ),
    ],
)
async def test_a_program_that_gives_nothing(tmp_path: Path, script: str, said_: str) -> None:
    path = written(tmp_path, {"server": "http://127.0.0.1:1"}, executed(tmp_path, script))
    assert (await problem(path)).startswith(f"{path}: ")
    assert said_ in await problem(path)


async def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    """The kubeconfig says how to get it."""
    user = executed(tmp_path, "", command="no-such-login", installHint="Get it from example.org")
    said_ = await problem(written(tmp_path, {"server": "http://127.0.0.1:1"}, user))
    assert "no-such-login: No such file or directory; Get it from example.org" in said_


async def test_a_program_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_PROGRAM_S", 0.2)
    user = executed(tmp_path, "exec sleep 5")
    said_ = await problem(written(tmp_path, {"server": "http://127.0.0.1:1"}, user))
    assert "bin/login gave no credential within 0 s" in said_


async def test_the_name_a_certificate_is_to_have(tmp_path: Path, authority: trustme.CA) -> None:
    """Of another host it is refused; `tls-server-name` says which one is meant, also through a proxy."""
    user = {"token": "s3cret"}
    async with listen(tls=server_tls(authority, "kubernetes.default.svc")) as server, Proxy() as proxy:
        other = await problem(written(tmp_path, at(server.port, authority), user))
        named = at(server.port, authority, **{"tls-server-name": "kubernetes.default.svc"})
        assert await status(written(tmp_path, named, user)) == 200
        assert await status(written(tmp_path, named | {"proxy-url": proxy.url}, user)) == 200
    assert "its certificate is another's" in other
    assert "tls-server-name" in other
    assert proxy.targets == [f"127.0.0.1:{server.port}"]


async def test_whom_to_trust(tmp_path: Path, authority: trustme.CA) -> None:
    """An authority in a file, none at all, and nobody asked for it."""
    user = {"token": "s3cret"}
    (tmp_path / "ca.crt").write_bytes(authority.cert_pem.bytes())
    async with listen(tls=server_tls(authority, "127.0.0.1")) as server:
        url = {"server": f"https://127.0.0.1:{server.port}"}
        assert await status(written(tmp_path, url | {"certificate-authority": "ca.crt"}, user)) == 200
        assert await status(written(tmp_path, url | {"insecure-skip-tls-verify": True}, user)) == 200
        untrusted = await problem(written(tmp_path, url, user))
        broken = await problem(written(tmp_path, url | {"certificate-authority": "kubeconfig"}, user))
    assert "certificate-authority in the kubeconfig" in untrusted
    assert "its certificates cannot be read" in broken
    assert len(server.seen) == 2


async def test_an_authority_that_says_little_is_taken(tmp_path: Path, authority: trustme.CA) -> None:
    """Python 3.13 alone refuses those that RFC 5280 would have say more."""
    async with listen() as server:
        path = written(tmp_path, at(server.port, authority), {"token": "s3cret"})
        async with connect(path) as client:
            shown = await client._access.credential()
    assert shown.tls is not None
    assert not shown.tls.verify_flags & ssl.VERIFY_X509_STRICT
    assert shown.tls.verify_mode is ssl.CERT_REQUIRED


async def test_a_proxy_of_the_kubeconfig(tmp_path: Path, authority: trustme.CA) -> None:
    """With its account; what goes wrong with it is said of it, without the password."""
    user = {"token": "s3cret"}
    tls = server_tls(authority, "127.0.0.1")
    async with listen(tls=tls) as server, Proxy(account="me:pa55") as asks, Proxy(refuses=HTTPStatus.FORBIDDEN) as no:
        through = asks.url.replace("//", "//me:pa55@")
        assert await status(written(tmp_path, at(server.port, authority, **{"proxy-url": through}), user)) == 200
        wrong, away = asks.url.replace("//", "//me:w0rse@"), no.url
        unknown = await problem(written(tmp_path, at(server.port, authority, **{"proxy-url": wrong}), user))
        refused = await problem(written(tmp_path, at(server.port, authority, **{"proxy-url": no.url}), user))
    gone = await problem(written(tmp_path, at(server.port, authority, **{"proxy-url": away}), user))
    assert "the proxy refused: 407" in unknown
    assert "w0rse" not in unknown
    assert "the proxy refused: 403" in refused
    assert f"the proxy {away.removeprefix('http://')} cannot be reached: Connection refused" in gone


async def test_a_proxy_of_the_environment(
    tmp_path: Path, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is used for what is elsewhere, and not for this machine."""
    tls = server_tls(authority, "api.example.org", "127.0.0.1")
    async with listen(tls=tls) as server, Proxy({"api.example.org:443": f"127.0.0.1:{server.port}"}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        elsewhere = at(server.port, authority) | {"server": "https://api.example.org"}
        assert await status(written(tmp_path, elsewhere, {"token": "s3cret"})) == 200
        assert await status(written(tmp_path, at(server.port, authority), {"token": "s3cret"})) == 200
    assert proxy.targets == ["api.example.org:443"]


async def test_what_netrc_has_is_for_others(
    tmp_path: Path, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is neither shown in place of a certificate, nor a reason to fail beside a token."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password pa55\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with listen(tls=server_tls(authority, "127.0.0.1")) as server:
        for user in ({"token": "s3cret"}, {}):
            assert await status(written(tmp_path, at(server.port, authority), user)) == 200
    assert [seen.authorization for seen in server.seen] == ["Bearer s3cret", None]


def pod(folder: Path, monkeypatch: pytest.MonkeyPatch, port: int, authority: bytes, token: str) -> Path:
    """Return the folder of a pod's service account, with the variables that go with it."""
    account = folder / "account"
    account.mkdir()
    for name, content in {"token": token.encode(), "ca.crt": authority, "namespace": b"shop\n"}.items():
        (account / name).write_bytes(content)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(port))
    return account


async def test_a_pod_gets_in_by_its_own_account(
    tmp_path: Path, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that was rotated is read again when the old one is refused; a missing one is said."""
    valid = ["one"]

    def answer(seen: Seen) -> bytes:
        return OK if seen.authorization == f"Bearer {valid[0]}" else UNAUTHORIZED

    async with listen(answer, server_tls(authority, "127.0.0.1")) as server:
        account = pod(tmp_path, monkeypatch, server.port, authority.cert_pem.bytes(), "one\n")
        async with connect(account=account) as client:
            assert client.namespace == "shop"
            assert (await client.send(GET)).status == 200
            valid[0] = "two"
            (account / "token").write_text("two\n")
            assert (await client.send(GET)).status == 200
            valid[0] = "three"
            (account / "token").unlink()
            with pytest.raises(ClusterError, match="the service account of this pod: Service token file"):
                await client.send(GET)
    (account / "token").write_text("")
    assert "Token file exists but empty" in await problem(None, account=account)


async def test_a_pod_gets_into_a_real_cluster(
    tmp_path: Path, control_plane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the service account, by a token that the API server made for it."""
    asked = control_plane.ask(
        "POST",
        f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
        user=ADMIN,
    )
    port = int(control_plane.url.rpartition(":")[2])
    account = pod(tmp_path, monkeypatch, port, control_plane.authority.read_bytes(), asked["status"]["token"])
    async with connect(account=account) as client:
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        answer = await client.send(Request(method=Method.POST, path=path, body=review))
    assert answer.body["status"]["userInfo"]["username"] == f"system:serviceaccount:{namespace}:default"


async def test_contexts_and_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each client has its own cluster and token; a server may be below a path."""
    async with listen() as one, listen() as two:
        first = written(tmp_path, {"server": f"http://127.0.0.1:{one.port}/k8s/clusters/c-1/"}, {"token": "1st"}, "1")
        second = yaml.safe_load(first.read_text().replace("1st", "2nd"))
        for section in ("clusters", "users", "contexts"):
            second[section][0]["name"] = "b"
        second["clusters"][0]["cluster"]["server"] = f"http://127.0.0.1:{two.port}"
        second["contexts"][0]["context"] = {"cluster": "b", "user": "b"}
        (tmp_path / "2").write_text(yaml.safe_dump(second))
        monkeypatch.setenv("KUBECONFIG", f"{first}:{tmp_path / '2'}:{tmp_path / 'absent'}")
        async with connect(context="a") as a, connect(context="b") as b:
            await b.send(GET)
            await a.send(GET)
            assert (a.namespace, b.namespace) == ("shop", "default")
        unknown = await problem(None, context="c")
    assert one.seen[0].head.startswith("GET /k8s/clusters/c-1/version ")
    assert [seen.authorization for seen in (*one.seen, *two.seen)] == ["Bearer 1st", "Bearer 2nd"]
    assert unknown.endswith(": has no context c: there are a, b")


async def test_a_client_stays_with_the_context_it_began_with(tmp_path: Path) -> None:
    """Else somebody's `kubectl config use-context` would show one cluster's token to another one."""
    async with listen(lambda seen: OK if seen.authorization == "Bearer renewed" else UNAUTHORIZED) as server:
        path = written(tmp_path, {"server": f"http://127.0.0.1:{server.port}"}, {"token": "ended"})
        async with connect(path) as client:
            assert client.context == "a"
            both = yaml.safe_load(path.read_text().replace("ended", "renewed"))
            both["users"].append({"name": "b", "user": {"token": "theirs"}})
            both["contexts"].append({"name": "b", "context": {"cluster": "a", "user": "b"}})
            both["current-context"] = "b"
            path.write_text(yaml.safe_dump(both))
            assert (await client.send(GET)).status == 200
    assert [seen.authorization for seen in server.seen] == ["Bearer ended", "Bearer renewed"]


async def test_a_kubeconfig_without_a_current_context(tmp_path: Path) -> None:
    path = written(tmp_path, PLAIN, {})
    path.write_text(path.read_text().replace("current-context: a", "current-context: ''"))
    assert await problem(path) == f"{path}: has no current context, and none is named: there are a"


PLAIN: Final = {"server": "http://127.0.0.1:1"}


@pytest.mark.parametrize(
    ("cluster", "user", "said_"),
    [
        pytest.param({"tls-server-name": "a"}, {}, "no address that begins with https://", id="no server"),
        pytest.param({"server": "10.0.0.1:6443"}, {}, "no address that begins with https://", id="no scheme"),
        pytest.param({"server": "https://me:s3cret@a"}, {}, "has a user or password in its address", id="a password"),
        pytest.param(PLAIN | {"proxy-url": "socks5://a:1"}, {}, "other proxies cannot be used", id="a SOCKS proxy"),
        pytest.param({"server": "https://a"}, None, "context a: names no user", id="no user"),
        pytest.param(PLAIN, {"token": "s3cret", "as": "limited"}, "acting as somebody else is not done", id="as"),
        pytest.param(PLAIN, {"tokenFile": "absent"}, "absent: No such file or directory", id="no file"),
        pytest.param(
            {"server": "https://a", "certificate-authority": "absent"}, {}, "File does not exist", id="no authority"
        ),
        pytest.param(
            {"server": "https://a", "certificate-authority-data": "s3cret"}, {}, "Error", id="data that is none"
        ),
    ],
)
async def test_a_kubeconfig_that_cannot_be_used(
    tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any] | None, said_: str
) -> None:
    """What is wrong and in which file, without what is secret in it."""
    path = written(tmp_path, cluster, user)
    shown = await problem(path)
    assert shown.startswith(f"{path}: ")
    assert said_ in shown
    assert "s3cret" not in shown


async def test_a_user_who_is_not_there(tmp_path: Path) -> None:
    path = written(tmp_path, {"server": "https://a"}, {"token": "s3cret"})
    path.write_text(path.read_text().replace("- name: a\n  user:", "- name: b\n  user:"))
    assert await problem(path) == f"{path}: context a: its user a is not there"


async def test_reasons_why_there_is_no_answer(tmp_path: Path, authority: trustme.CA) -> None:
    """A listener without TLS, and a name that nobody has."""
    user = {"token": "s3cret"}

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(said("400 Bad Request"))
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as plain:
        port = plain.sockets[0].getsockname()[1]
        no_tls = await problem(written(tmp_path, at(port, authority), user))
    unknown = await problem(written(tmp_path, at(1, authority) | {"server": "https://api.invalid"}, user))
    assert "no TLS comes about" in no_tls
    assert "is it an https address?" in no_tls
    assert "the host name api.invalid is not known" in unknown


async def test_a_connection_that_does_not_come_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener whose queue is full lets others wait, as a firewall does."""
    monkeypatch.setattr(speaking, "CONNECT_S", 0.2)
    monkeypatch.setattr(reasons, "CONNECT_S", 0.2)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        try:
            server = f"http://127.0.0.1:{full.getsockname()[1]}"
            assert "no connection within 0 s" in await problem(written(tmp_path, {"server": server}, {}))
        finally:
            for each in waiting:
                each.close()


async def test_who_is_asked_to_come_back_too_late_says_so(tmp_path: Path) -> None:
    """The answer stands, instead of a time-out that says there was none."""
    request = Request(method=Method.GET, path="/version", timeout_s=5)
    async with (
        listen(lambda _: said("429 Too Many Requests", "Retry-After: 3600")) as server,
        connect(written(tmp_path, {"server": f"http://127.0.0.1:{server.port}"}, {})) as client,
    ):
        answer = await client.send(request)
    assert (answer.status, len(server.seen)) == (429, 1)
