"""`bellpull enroll`: admits an agent. Makes its record for the gateway, and its folder with all that it needs.

The agent's private key and token exist in its folder only: the record has the public key and the token's hash.
The record is written last, so that the gateway never hears of an agent that could not be made.
"""

import re
import secrets
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from bellpull.cli.broker_access import Access, Ca, ManagementUrl, PasswordFile, Username
from bellpull.cli.failure import FailureError, explained
from bellpull.cli.new_files import OPEN, NewFile, make
from bellpull.cli.records import check_record, name_of, pattern_of, sealing_key, write_record

if TYPE_CHECKING:
    from bellpull.cli.broker_user import BrokerUser
    from gateway.app.config import GatewayConfig

__all__ = ["enroll"]

_AGENT: Final = """\
# The agent {name}; `bellpull agent` in this folder runs it, `bellpull check` explains it. Paths are relative to here.
agent: {name}
environment: {environment}
gateway:
  url: {url}
  installation: {installation}
  keys: {{file: gateway-keys.json}}    # the gateway's public keys, pinned
  token: {{file: token}}
report_key: {{file: report.jwk}}
{queue}syncs: syncs.yaml
secrets: ./secrets                   # for each secretRef a folder with its files
state: ./state
"""

_SYNC: Final = """\
# What this agent makes match what: one document a Sync, more after a line of ---.
apiVersion: bellpull.dev/v1alpha1
kind: Sync
metadata: {{name: {sync}}}
spec:
  source:
    url: {url}
    branch: main
    path: ./                           # a folder of the repository
    {secret}secretRef: {{name: {sync}-git}}      # username, password; SSH: identity, known_hosts
  interval: 5m                         # looks by itself too, should no event come
  target:
    directory: {{path: ./site}}          # a link that is switched; its releases are kept beside it
"""


def enroll(
    name: Annotated[str, typer.Argument(help="The name, such as web-1.")],
    repository: Annotated[
        list[str],
        typer.Option("--repository", "-r", help="What it may hear: HOST/PATH, * within a part, ** across; or a URL."),
    ],
    *,
    environment: Annotated[str, typer.Option("--environment", "-e", help="What it may report for.")] = "production",
    config: Annotated[
        Path, typer.Option("--config", "-c", envvar="BELLPULL_GATEWAY_CONFIG", help="The gateway's configuration.")
    ] = Path("gateway.yaml"),
    gateway_url: Annotated[
        str | None,
        typer.Option("--gateway-url", envvar="BELLPULL_GATEWAY_URL", help="Where the agent finds the gateway."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The folder to make; ./NAME if not said.")] = None,
    observer: Annotated[
        bool, typer.Option("--observer", help="Other software, which only listens; needs queue.rabbitmq.")
    ] = False,
    kind: Annotated[
        list[str] | None,
        typer.Option("--type", help="What an observer hears: pushes, outcomes; both if not said."),
    ] = None,
    management: ManagementUrl = None,
    username: Username = None,
    password_file: PasswordFile = None,
    ca: Ca = None,
) -> None:
    """Admit an agent: make its record for the gateway and its folder, and print the agent's configuration.

    Where the gateway speaks over RabbitMQ the agent's user and queue are made there, or written as definitions.
    """
    access = Access(management, username, password_file, ca)
    if kind and not observer:
        raise typer.BadParameter("is for observers: say --observer", param_hint="--type")
    with explained(extra="gateway"):
        from gateway.app.config import load_config

        settings = load_config(config)
        if observer:
            from bellpull.cli.enroll_observer import enroll_observer

            enroll_observer(name_of(name, "NAME"), repository, kind or [], settings, config, access, out)
            return
        record = config.parent / settings.agents / f"{name_of(name, 'NAME')}.yaml"
        if record.exists():
            raise FailureError(
                f"{record}: an agent of this name is enrolled already; nothing was written",
                "to take its rights away, and enroll it anew, remove that file",
            )
        url = _url(gateway_url or f"{settings.listen.agents.scheme}://{settings.listen.agents.address}")
        if (other := config.parent / settings.observers / record.name).exists():
            raise FailureError(f"{other}: {name} is an observer's name; nothing was written")
        admitted = _admit(name, name_of(environment, "--environment"), repository, settings, config)
        folder = out or Path(name)
        user = _broker_user(admitted, settings, config, access)
        files = _files(admitted, url, settings.installation, user)
        if user:
            user.look()
        make(folder, files)
        made = user.make(folder) if user else None
        write_record(record, admitted.record)
    print(files["agent.yaml"].data.decode(), end="")
    _say(folder, record, url, made)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Admitted:
    name: str
    environment: str
    repositories: tuple[str, ...]
    first_url: str
    token: str
    report_key: bytes
    gateway_keys: bytes
    record: dict[str, Any]


def _admit(
    name: str, environment: str, repositories: list[str], settings: "GatewayConfig", config: Path
) -> _Admitted:
    from bellpull.runtime import jose
    from gateway.app.enrolment import Enrolment

    seal = sealing_key(settings, config)
    patterns = tuple(pattern_of(each) for each in repositories)
    key = jose.generate()
    token = f"bpa_{name}_{secrets.token_hex(32)}"
    record = {
        "agent": name,
        "environments": [environment],
        "repositories": list(patterns),
        "token": {"sha256": sha256(token.encode()).hexdigest()},
        "keys": [jose.public_jwk(key.public)],
    }
    check_record(Enrolment, record)
    return _Admitted(
        name=name,
        environment=environment,
        repositories=patterns,
        first_url=_clone_url(repositories[0], patterns[0]),
        token=token,
        report_key=jose.dump_private(key),
        gateway_keys=jose.public_set([jose.public_jwk(seal.public)]),
        record=record,
    )


def _broker_user(admitted: _Admitted, settings: "GatewayConfig", config: Path, access: Access) -> "BrokerUser | None":
    if settings.queue is None:
        return None
    from bellpull.cli.broker_user import BrokerUser
    from bellpull.contract.text import Name
    from gateway.core.topology import of_agent, owner_tag

    name, tag = Name(admitted.name), owner_tag(settings.installation)
    return BrokerUser(
        name=name,
        settings=settings.queue.rabbitmq,
        folder=config.parent,
        tag=tag,
        own=of_agent(name, admitted.repositories, tag),
        access=access,
    )


def _files(admitted: _Admitted, url: str, installation: str, user: "BrokerUser | None") -> dict[str, NewFile]:
    agent = _AGENT.format(
        name=admitted.name,
        environment=admitted.environment,
        url=url,
        installation=installation,
        queue=user.lines() if user else "",
    )
    secret = "" if admitted.first_url.startswith("ssh://") else "# "  # SSH needs one
    sync = re.sub(r"[^a-z0-9]+", "-", admitted.first_url.rsplit("/", 1)[-1].lower().removesuffix(".git")).strip("-")
    return {
        "agent.yaml": NewFile(agent.encode(), OPEN),
        "gateway-keys.json": NewFile(admitted.gateway_keys, OPEN),
        "syncs.yaml": NewFile(
            _SYNC.format(sync=sync[:50] or "site", url=admitted.first_url, secret=secret).encode(), OPEN
        ),
        ".gitignore": NewFile(b"/token\n/report.jwk\n/broker-password\n/secrets/\n/state/\n/site\n", OPEN),
        "report.jwk": NewFile(admitted.report_key),
        "token": NewFile(admitted.token.encode() + b"\n"),
        **(user.files() if user else {}),
    }


def _url(value: str) -> str:
    if not re.fullmatch(r"https?://[A-Za-z0-9.:\[\]_-]+(?:/[A-Za-z0-9._~/-]*)?", value):
        raise typer.BadParameter("is no http:// or https:// URL", param_hint="--gateway-url")
    return value.rstrip("/")


def _clone_url(repository: str, pattern: str) -> str:
    """Return a URL for the first Sync: as given, or made from the pattern, with a name where it has a star."""
    if repository.startswith(("https://", "http://", "ssh://")):
        return repository
    named = pattern if "://" in repository else repository.strip("/")
    return "https://" + re.sub(r"[^/]*\*[^/]*", "example", named)


def _say(folder: Path, record: Path, url: str, made: str | None) -> None:
    for line in (
        *([made] if made else []),
        f"wrote {record}: the gateway reads it by itself",
        f"wrote {folder}: bring it to the agent's machine; it holds the agent's token and private key",
        f"edit  {folder / 'syncs.yaml'}: which repository goes where",
        f"run   bellpull agent --config {folder / 'agent.yaml'}   (it dials {url})",
    ):
        typer.echo(line, err=True)
