"""HMAC over raw bytes, compared in constant time."""

import hmac
import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from bellpull.runtime.secret import Secret

__all__ = ["fits_sha256"]

_HEX: Final = re.compile(rb"[0-9a-f]{64}")


def fits_sha256(signature: bytes, body: bytes, secrets: Sequence[Secret]) -> bool:
    """Whether `signature`, 64 lower-case hexadecimal digits, is HMAC-SHA256 of `body` under one of `secrets`.

    All secrets are tried, so that the time taken does not tell which one it was.
    """
    if not _HEX.fullmatch(signature):
        return False
    fits = False
    for secret in secrets:
        digest = hmac.new(secret.reveal(), body, sha256).hexdigest().encode()
        fits |= hmac.compare_digest(digest, signature)
    return fits
