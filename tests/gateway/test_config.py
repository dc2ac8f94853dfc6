"""The gateway's files: everything that is wrong, at once, with its place; never a value."""

from pathlib import Path

import pytest
from inline_snapshot import snapshot

from bellpull.contract.text import Name
from bellpull.runtime.address import Address
from bellpull.runtime.config import ConfigError
from gateway.app.config import GatewayConfig, load_config
from gateway.app.listen import TlsSettings

LEAST = """
installation: acme
data: ./data
seal: {key: {file: secrets/seal.jwk}}
"""
FULL = """
installation: acme
data: /var/lib/bellpull
seal: {key: {env: SEAL_KEY}}
listen:
  hooks: {address: "[::]:443", tls: {cert: tls/cert.pem, key: /etc/key.pem}, max_connections: 1000}
  agents: {address: 10.0.0.1:8081, insecure: true}
  console: localhost:0
  trusted_proxies: [10.0.0.0/8, 192.0.2.7, "fd00::/8"]
agents: records
sources:
  - name: github
    provider: github
    secrets: [{file: secrets/github}, {env: OLD_SECRET}]
    repositories: [github.com/acme/*, "github.com/acme-labs/**"]
"""
BAD = """
installation: Acme Corp
seal: {key: hunter2}
listen: {hooks: "8080"}
broker: {url: hunter2}
sources:
  - name: git hub
    provider: gitlob
    secrets: [hunter2]
    repositories: ["https://github.com/acme/site", github.com]
  - name: open
    provider: github
    secrets: []
    repositories: []
  - {name: bare}
"""


def read(folder: Path, text: str) -> GatewayConfig:
    path = folder / "gateway.yaml"
    path.write_text(text)
    return load_config(path)


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        read(folder, text)
    assert raised.value.path == folder / "gateway.yaml"
    return [str(problem) for problem in raised.value.problems]


def test_three_lines_are_enough_and_nothing_is_public_by_default(tmp_path: Path) -> None:
    config = read(tmp_path, LEAST)
    listen = config.listen
    assert [str(each) for each in (listen.hooks.address, listen.agents.address, listen.console.address)] == [
        "127.0.0.1:8080",
        "127.0.0.1:8081",
        "127.0.0.1:8082",
    ]
    assert (config.agents, config.sources) == (Path("agents"), ())


def test_all_of_it(tmp_path: Path) -> None:
    config = read(tmp_path, FULL)
    (source,) = config.sources
    hooks, agents, console = config.listen.each().values()
    assert (hooks.address, hooks.scheme, hooks.connections) == (Address(host="::", port=443), "https", 1000)
    assert hooks.tls == TlsSettings(cert=Path("tls/cert.pem"), key=Path("/etc/key.pem"))
    assert (agents.address, agents.scheme, agents.connections) == (Address(host="10.0.0.1", port=8081), "http", 2048)
    assert (str(console.address), console.connections) == ("localhost:0", 2048)
    assert config.listen.trusted_proxies == ("10.0.0.0/8", "192.0.2.7", "fd00::/8")
    assert (source.name, source.provider) == (Name("github"), "github")
    assert [str(ref) for ref in source.secrets] == ["secrets/github", "environment variable OLD_SECRET"]
    assert source.repositories == ("github.com/acme/*", "github.com/acme-labs/**")


def test_everything_wrong_is_said_at_once_with_its_place(tmp_path: Path) -> None:
    assert problems(tmp_path, BAD) == snapshot(
        [
            "installation: is not a name of a-z, 0-9, '-' and '.', up to 63 characters",
            "data: is missing",
            "seal.key: says no place: write {file: PATH} or {env: NAME}, never the secret itself",
            "listen.hooks: is not HOST:PORT (such as 127.0.0.1:8080 or [::1]:8080)",
            "sources[0].name: is not a name of a-z, 0-9, '-' and '.', up to 63 characters",
            "sources[0].provider: is none of generic, github",
            "sources[0].secrets[0]: says no place: write {file: PATH} or {env: NAME}, never the secret itself",
            "sources[0].repositories[0]: is no pattern: write HOST/PATH, with * within a part and ** across parts",
            "sources[0].repositories[1]: is no pattern: write HOST/PATH, with * within a part and ** across parts",
            "sources[1].secrets: needs at least one",
            "sources[1].repositories: needs at least one",
            "sources[2].provider: is missing",
            "sources[2].secrets: is missing",
            "sources[2].repositories: is missing",
            "broker: is not known",
        ]
    )


def test_no_problem_repeats_a_value_that_may_be_a_secret(tmp_path: Path) -> None:
    assert "hunter2" not in "\n".join(problems(tmp_path, BAD))


@pytest.mark.parametrize("part", ["secrets", "repositories"])
def test_a_source_that_anybody_may_use_or_that_allows_nothing_is_an_error(tmp_path: Path, part: str) -> None:
    """P2: without a secret there is no source; and a forgotten list is not `everything`."""
    lines = [line for line in FULL.splitlines() if part + ":" not in line]
    assert problems(tmp_path, "\n".join(lines)) == [f"sources[0].{part}: is missing"]


def test_two_sources_of_one_name_are_an_error(tmp_path: Path) -> None:
    source = FULL[FULL.index("  - name") :]
    assert problems(tmp_path, FULL + source) == ["sources: the name github is there twice"]


PUBLIC = """
listen:
  hooks: 0.0.0.0:8080
  agents: {address: agents.example.org:8081}
  console: {address: "[::1]:0", insecure: true}
"""
WRONG = """
listen:
  hooks: {address: 127.0.0.1:1, tls: {cert: a, key: b}, insecure: true}
  agents: {address: "8080", tls: {cert: hunter2}, max_connections: 1}
  trusted_proxies: [hunter2, 10.0.0.1/8]
"""


def test_without_tls_a_listener_is_on_loopback_or_says_that_it_is_not(tmp_path: Path) -> None:
    """R42; the error says what to write."""
    hooks, agents = problems(tmp_path, LEAST + PUBLIC)
    assert hooks == (
        "listen.hooks: 0.0.0.0:8080 can be reached from outside, without TLS: write {address: 0.0.0.0:8080, "
        "tls: {cert: FILE, key: FILE}}, or insecure: true in place of tls where a proxy in front ends it"
    )
    assert agents.startswith("listen.agents: agents.example.org:8081 can be reached from outside")


def test_what_is_wrong_with_listeners(tmp_path: Path) -> None:
    assert problems(tmp_path, LEAST + WRONG) == snapshot(
        [
            "listen.hooks: has tls and says insecure: leave one out",
            "listen.agents.address: is not HOST:PORT (such as 127.0.0.1:8080 or [::1]:8080)",
            "listen.agents.tls.key: is missing",
            "listen.agents.max_connections: Input should be greater than or equal to 8",
            "listen.trusted_proxies[0]: is no network (such as 10.0.0.0/8, 192.0.2.7 or fd00::/8)",
            "listen.trusted_proxies[1]: is no network (such as 10.0.0.0/8, 192.0.2.7 or fd00::/8)",
        ]
    )


GRACE = {
    "on loopback": ("", 0.0),
    "reached by others": ('listen: {hooks: {address: "0.0.0.0:8080", insecure: true}}\n', 5.0),
    "reached by others, told otherwise": (
        'listen: {hooks: {address: "0.0.0.0:8080", insecure: true}}\ndrain: {grace: 1m}\n',
        60.0,
    ),
    "on loopback, told otherwise": ("drain: {grace: 2s}\n", 2.0),
}


@pytest.mark.parametrize(("more", "grace_s"), GRACE.values(), ids=GRACE.keys())
def test_pushes_are_taken_for_a_while_where_balancers_may_be_in_front(
    tmp_path: Path, more: str, grace_s: float
) -> None:
    """R11: at a desk a stop is at once."""
    path = tmp_path / "gateway.yaml"
    path.write_text(f"installation: acme\ndata: data\nseal: {{key: {{file: seal.jwk}}}}\n{more}")
    assert load_config(path).grace().total_seconds() == grace_s


QUEUE = "queue: {{rabbitmq: {{{0}}}}}\n"
LOGIN = "username: gw, password: {file: pw}"
QUEUES = {
    "a password in the URL": ("url: 'amqps://gw:hunter2@mq.example.org', " + LOGIN, "has a user or password in it"),
    "a network without TLS": ("url: 'amqp://mq.example.org', " + LOGIN, "goes over a network without TLS"),
    "something else": ("url: 'https://mq.example.org', " + LOGIN, "is no amqps://HOST[:PORT][/VHOST]"),
    "a password": ("url: 'amqps://mq.example.org', username: gw, password: hunter2", "never the secret itself"),
    "nothing to log in with": (
        "url: 'amqps://mq.example.org', username: gw",
        "needs password, or certificate and key",
    ),
}


@pytest.mark.parametrize(("said", "problem"), QUEUES.values(), ids=QUEUES.keys())
def test_a_queue_that_cannot_be_meant_is_an_error_and_what_may_be_a_password_is_not_repeated(
    tmp_path: Path, said: str, problem: str
) -> None:
    (found,) = problems(tmp_path, LEAST + QUEUE.format(said))
    assert found.startswith("queue.rabbitmq")
    assert problem in found
    assert "hunter2" not in found


def test_a_queue(tmp_path: Path) -> None:
    """P12: one setting."""
    config = read(tmp_path, LEAST + QUEUE.format("url: 'amqps://mq.example.org/acme', " + LOGIN))
    assert config.queue is not None
    rabbitmq = config.queue.rabbitmq
    assert (rabbitmq.host, rabbitmq.port, rabbitmq.vhost) == ("mq.example.org", 5671, "acme")
    assert [str(ref) for ref in config.queue_secrets()] == ["pw"]
