"""`bellpull init`: a gateway's folder that runs as it is."""

import secrets
from pathlib import Path
from typing import Annotated, Final

import typer

from bellpull.cli.failure import explained
from bellpull.cli.new_files import OPEN, NewFile, make

__all__ = ["init"]

_GATEWAY: Final = """\
# The gateway; `bellpull gateway` in this folder runs it, `bellpull check` explains it. Paths are relative to here.
installation: bellpull               # agents hear this installation only; choose before the first is enrolled
data: ./data                         # journal and state; made at the first start
seal: {key: {file: secrets/seal.jwk}}
agents: ./agents                     # one record an agent, made by `bellpull enroll`

listen:
  hooks: 127.0.0.1:8080              # POST /hooks/github: put a proxy with TLS in front
  agents: 127.0.0.1:8081             # what agents dial: the same
  console: 127.0.0.1:8082            # API, metrics, health: keep it to yourself

sources:
  - name: github
    provider: github
    secrets: [{file: secrets/github}]        # several while you rotate
    repositories: ["github.com/*/*"]         # whose webhooks count; better: github.com/acme/*
"""

_NEXT: Final = """\
Next:
  1. run it:               bellpull gateway --config {config}
  2. on GitHub, Settings > Webhooks > Add webhook:
       Payload URL         https://YOUR-HOST/hooks/github   (leading to 127.0.0.1:8080)
       Content type        application/json
       Secret              what {secret} holds
  3. admit an agent:       bellpull enroll web-1 --repository github.com/OWNER/NAME --config {config}
  4. should it not work:   bellpull check --gateway {config}"""


def init(folder: Annotated[Path, typer.Argument(help="Where; made if it is not there.")] = Path()) -> None:
    """Make a gateway's configuration, sealing key and webhook secret. Asks nothing, overwrites nothing."""
    with explained(extra="gateway"):
        from bellpull.runtime.jose import dump_private, generate

        files = {
            "gateway.yaml": NewFile(_GATEWAY.encode(), OPEN),
            "secrets/.gitignore": NewFile(b"*\n", OPEN),
            "secrets/seal.jwk": NewFile(dump_private(generate())),
            "secrets/github": NewFile(secrets.token_hex(32).encode() + b"\n"),
        }
        make(folder, files)
    for name in files:
        typer.echo(f"wrote {folder / name}", err=True)
    print(_NEXT.format(config=folder / "gateway.yaml", secret=folder / "secrets/github"))
