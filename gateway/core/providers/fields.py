"""What payloads of all providers have in common, read from where each has it."""

import re
from typing import Any, Final

from bellpull.contract.errors import ContractError
from bellpull.contract.repository import Ref, Repository, commit_or_none
from bellpull.contract.text import CommitId
from gateway.core.json_reader import PayloadError, explained, get, get_or_none

__all__ = ["commit_at", "login_at", "ref_at", "repository_at"]

_LOGIN: Final = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")
_PASSWORD: Final = re.compile(r"[a-z]+://[^/@]*:[^/@]*@", re.IGNORECASE)
_MAX_URL: Final = 2048


def commit_at(payload: dict[str, Any], field: str, *, default: CommitId | None = None) -> CommitId | None:
    """Return the commit at `field`, None where all zeros say that there is none; missing only with a `default`.

    Raises:
        PayloadError: it is missing, or no commit id.
    """
    value = get(payload, field, str) if default is None else get_or_none(payload, field, str)
    if value is None:
        return default
    try:
        return commit_or_none(value)
    except ContractError as error:
        raise explained(error, field) from None


def ref_at(field: str, full_ref: str) -> Ref:
    """Return the branch or tag with this full name, which stood at `field`.

    Raises:
        PayloadError: Git admits no such name.
    """
    try:
        return Ref.parse(full_ref)
    except ContractError as error:
        raise explained(error, field) from None


def repository_at(payload: dict[str, Any], field: str) -> Repository:
    """Return the repository whose clone URL is at `field`.

    Raises:
        PayloadError: it is missing, no clone URL, too long, or has a password in it.
    """
    url = get(payload, field, str)
    if len(url) > _MAX_URL:
        raise PayloadError(f"{field} is longer than {_MAX_URL} characters")
    if _PASSWORD.match(url):
        raise PayloadError(f"{field} has a password in it")
    try:
        return Repository.from_url(url)
    except ContractError as error:
        raise explained(error, field) from None


def login_at(payload: dict[str, Any], field: str) -> str | None:
    """Return the login at `field`, None where there is none or something else, such as an address.

    Raises:
        PayloadError: it is no string.
    """
    login = get_or_none(payload, field, str)
    return login if login is not None and _LOGIN.fullmatch(login) else None
