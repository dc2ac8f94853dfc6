"""The shipped examples of proxies, with nothing changed but what is listed here: certificates, ports, addresses."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trustme

from tests.parts.front import PORT

__all__ = ["AGENTS", "HOOKS", "Gateway", "caddy", "nginx", "nginx_without_tls", "read"]

HOOKS: Final = "hooks.example.org"
AGENTS: Final = "agents.example.org"
_DEPLOY: Final = Path(__file__).parent.parent.parent / "deploy"
_FILES: Final = {"nginx": _DEPLOY / "nginx" / "bellpull.conf", "caddy": _DEPLOY / "caddy" / "Caddyfile"}
_OWN_CERTIFICATES: Final = f"""
{{
	admin off
	local_certs
	skip_install_trust
	auto_https disable_redirects
	https_port {PORT}
	servers"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """Where its listeners are, on loopback."""

    hooks: int
    agents: int


def read(kind: str) -> str:
    """Return an example as it is shipped: `nginx` or `caddy`."""
    return _FILES[kind].read_text()


def nginx(gateway: Gateway, folder: Path, context: ssl.SSLContext) -> str:
    """Return the example for nginx; certificates are made in `folder`, and `context` trusts them.

    Their authority is `authority.pem` there.
    """
    listen = (("listen 443 ssl;", f"listen 127.0.0.1:{PORT} ssl;"), ("  listen [::]:443 ssl;\n", ""))
    return _replaced(read("nginx"), [*listen, *_addresses(gateway), *_certificates(folder, context)])


def nginx_without_tls(gateway: Gateway, folder: Path) -> str:
    """Return the example for nginx, for who looks at what passes: plain HTTP, the agents' host being 127.0.0.1."""
    listen = (("listen 443 ssl;", f"listen 127.0.0.1:{PORT};"), ("  listen [::]:443 ssl;\n", ""))
    name = (f"server_name {AGENTS};", "server_name 127.0.0.1;")
    certificates = _certificates(folder, ssl.create_default_context())
    return _replaced(read("nginx"), [*listen, name, *_addresses(gateway), *certificates])


def caddy(gateway: Gateway) -> str:
    """Return the example for Caddy, which issues its certificates itself and asks nobody."""
    return _replaced(read("caddy"), [("\n{\n\tservers", _OWN_CERTIFICATES), *_addresses(gateway)])


def _addresses(gateway: Gateway) -> Sequence[tuple[str, str]]:
    return (("127.0.0.1:8080", f"127.0.0.1:{gateway.hooks}"), ("127.0.0.1:8081", f"127.0.0.1:{gateway.agents}"))


def _certificates(folder: Path, context: ssl.SSLContext) -> Sequence[tuple[str, str]]:
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    authority.configure_trust(context)
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    for name in (HOOKS, AGENTS):
        (folder / name).mkdir()
        made = authority.issue_cert(name)
        made.private_key_pem.write_to_path(str(folder / name / "privkey.pem"))
        (folder / name / "fullchain.pem").write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    return (("/etc/letsencrypt/live/", f"{folder}/"),)


def _replaced(text: str, replacements: Sequence[tuple[str, str]]) -> str:
    for old, new in replacements:
        assert old in text, f"the example has no {old!r}"
        text = text.replace(old, new)
    return text
