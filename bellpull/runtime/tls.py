"""Certificates of our own listeners: made into what a server needs, and read for people. Blocks: files are read."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

__all__ = ["Certificate", "TlsError", "certificate", "server_context"]


class TlsError(ValueError):
    """A certificate or key that cannot be used; the message names the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What a certificate says.

    Attributes:
        names: whom it is for: DNS names and addresses, as it lists them.
        begins: from when on it holds.
        ends: until when.
        sha256: its fingerprint.
    """

    names: tuple[str, ...]
    sha256: bytes = field(repr=False)
    begins: datetime
    ends: datetime


def certificate(path: Path) -> Certificate:
    """Read the first certificate of a PEM file.

    Raises:
        TlsError: there is none, or it cannot be read.
    """
    found = _leaf(path)
    try:
        listed = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [*listed.get_values_for_type(x509.DNSName), *map(str, listed.get_values_for_type(x509.IPAddress))]
    except x509.ExtensionNotFound:
        names = []
    return Certificate(
        names=tuple(names),
        sha256=found.fingerprint(SHA256()),
        begins=found.not_valid_before_utc,
        ends=found.not_valid_after_utc,
    )


def server_context(cert: Path, key: Path) -> ssl.SSLContext:
    """Return what a listener needs to speak TLS, 1.2 or later.

    Raises:
        TlsError: one of the files cannot be read or used, or they do not belong together.
    """
    leaf, pem = _leaf(cert), _read(key)
    try:
        private = load_pem_private_key(pem, password=None)
    except TypeError:
        raise TlsError(f"{key} is encrypted: what starts by itself needs a key without a password") from None
    except ValueError:
        raise TlsError(f"{key} holds no private key in PEM") from None
    if private.public_key() != leaf.public_key():
        raise TlsError(f"{key} is not the key of the certificate in {cert}")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key, password=_no_password(key))
    except (OSError, ValueError) as error:  # what OpenSSL refuses: a key too short, a chain out of order
        raise TlsError(f"{cert} and {key} cannot be used: {getattr(error, 'reason', None) or error}") from None
    return context


def _leaf(path: Path) -> x509.Certificate:
    pem = _read(path)
    try:
        return x509.load_pem_x509_certificates(pem)[0]
    except ValueError:
        raise TlsError(f"{path} holds no certificate in PEM") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None


def _no_password(key: Path) -> Callable[[], bytes]:
    """Keep OpenSSL from asking at the terminal for a file that was replaced since it was read."""

    def refuse() -> bytes:
        raise ValueError(f"{key} is encrypted")

    return refuse
