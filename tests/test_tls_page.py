"""The how-to for TLS: what it shows is a configuration, and what it types works through both shipped proxies."""

import json
import ssl
from pathlib import Path
from typing import Final

import pytest

from bellpull.runtime.http import Limits
from gateway.app.config import GatewayConfig, load_config
from tests.console import Console, blocks, section
from tests.deploy import shipped
from tests.deploy.shipped import AGENTS, HOOKS
from tests.parts.caddy import Caddy
from tests.parts.front import Front
from tests.parts.nginx import Nginx

PAGE: Final = (Path(__file__).parent.parent / "docs" / "how-to" / "tls.md").read_text()
GATEWAY: Final = shipped.Gateway(hooks=8080, agents=8081)
CLIENT: Final = "127.0.0.2"
_CURL: Final = """\
connect-to = "{hooks}:443:{address}"
connect-to = "{agents}:443:{address}"
interface = "{client}"
cacert = "{authority}"
"""


@pytest.mark.usefixtures("free_ports")
async def test_what_the_page_types_works_through_both(
    tmp_path: Path, nginx_program: Path, caddy_program: Path
) -> None:
    """The names lead to loopback, and curl comes from an address that is not the proxies'."""
    home, tls = tmp_path / "home", tmp_path / "tls"
    home.mkdir()
    config = shipped.nginx(GATEWAY, tls, ssl.create_default_context())
    async with (
        Nginx(nginx_program, tmp_path / "nginx", config) as nginx,
        Caddy(caddy_program, tmp_path / "caddy", shipped.caddy(GATEWAY)) as caddy,
        Console.open(home, {}) as console,
    ):
        await console.type("bellpull init .")
        _set_listen(home / "gateway.yaml", blocks(section(PAGE, "Name the proxy"), "yaml")[0])
        await console.type("bellpull gateway 2> gateway.log & sleep 3")
        for front, authority in ((nginx, tls / "authority.pem"), (caddy, caddy.authority)):
            _lead_to(home, front, authority)
            await console.follow(section(PAGE, "See that it works"))
            listed = await console.type("curl -sS http://127.0.0.1:8082/api/v1/rejections")
            assert [row["address"] for row in json.loads("".join(listed))["rejections"]] == [CLIENT]


def _set_listen(config: Path, shown: str) -> None:
    """Add what the page shows below `listen` to what `init` wrote there."""
    heading, _, added = shown.partition("\n")
    assert config.read_text().count(f"{heading}\n") == 1
    config.write_text(config.read_text().replace(f"{heading}\n", f"{heading}\n{added}"))


def _lead_to(home: Path, front: Front, authority: Path) -> None:
    config = _CURL.format(hooks=HOOKS, agents=AGENTS, address=front.address, client=CLIENT, authority=authority)
    (home / ".curlrc").write_text(config)


def _loaded(folder: Path, shown: str) -> GatewayConfig:
    config = folder / "gateway.yaml"
    config.write_text(f"installation: acme\ndata: data\nseal: {{key: {{file: seal.jwk}}}}\n{shown}")
    return load_config(config)


def test_the_listeners_shown_are_configurations(tmp_path: Path) -> None:
    named, elsewhere, itself = (_loaded(tmp_path, shown).listen for shown in blocks(PAGE, "yaml"))
    assert (named.hooks.is_local, named.trusted_proxies) == (True, ("127.0.0.1",))
    assert (elsewhere.hooks.insecure, elsewhere.trusted_proxies) == (True, ("10.0.0.2",))
    assert itself.hooks.tls is not None
    assert f"{itself.hooks.connections} connections at once" in PAGE


def test_figures_are_those_of_the_code() -> None:
    limits = Limits()
    says = f"hangs up after {limits.head_s:g} s of silence ({limits.idle_s:g} s on a listed proxy)"
    assert says in PAGE
