"""What `bellpull check` says of a listener's certificate."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import aiohttp

from bellpull.cli.finding import Finding, bad, good
from bellpull.runtime.config import SecretRef, exposed
from bellpull.runtime.tls import TlsError, certificate, server_context
from gateway.app.listen import TlsSettings

__all__ = ["fingerprint", "of_tls"]

_SOON: Final = timedelta(days=14)


def of_tls(where: str, tls: TlsSettings, folder: Path, now: datetime) -> Finding:
    """Return whether a certificate and its key can be used, for which names, and until when."""
    path = folder / tls.cert
    try:
        server_context(path, folder / tls.key)
        found = certificate(path)
    except TlsError as error:
        return bad(where, str(error), "put there what belongs together, readable by the user the gateway runs as")
    names = ", ".join(found.names) or "no name"
    if now < found.begins:
        return bad(where, f"{path} for {names} begins only at {found.begins:%Y-%m-%d %H:%M} UTC", "see the clock")
    if now >= found.ends:
        return bad(where, f"{path} for {names} ended at {found.ends:%Y-%m-%d %H:%M} UTC", "renew it")
    if not found.names:
        return bad(where, f"{path} names nobody: no sender and no agent accepts it", "make one for the host's name")
    soon = "renew it" if found.ends - now < _SOON else ""
    note = f"{path} for {names}, until {found.ends:%Y-%m-%d} ({(found.ends - now).days} days)"
    return good(where, note, exposed(SecretRef(file=tls.key), folder) or soon)


def fingerprint(tls: TlsSettings | None, folder: Path) -> aiohttp.Fingerprint | bool:
    """Return what a listener's certificate is known by, whatever names it has; True without TLS: nothing to know.

    Raises:
        TlsError: it cannot be read.
    """
    return True if tls is None else aiohttp.Fingerprint(certificate(folder / tls.cert).sha256)
