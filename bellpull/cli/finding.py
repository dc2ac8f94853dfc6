"""What a check found."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bellpull.runtime.config import ConfigError, SecretError, SecretRef, exposed, read_secret
from bellpull.runtime.jose import JoseError

__all__ = ["Finding", "bad", "good", "of_config", "of_folder", "of_secret"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        ok: whether it may stay as it is.
        what: the thing.
        found: what is the matter, or how it stands; may be empty.
        do: what to do about it; also for what is ok, but could be better.
    """

    ok: bool
    what: str
    found: str = ""
    do: str = ""


def good(what: str, note: str = "", do: str = "") -> Finding:
    """Return that `what` is well."""
    return Finding(ok=True, what=what, found=note, do=do)


def bad(what: str, problem: str, do: str = "") -> Finding:
    """Return that `what` is not well."""
    return Finding(ok=False, what=what, found=problem, do=do)


def of_config(error: ConfigError) -> list[Finding]:
    """Return a finding for each problem of a file."""
    return [bad(str(error.path), str(problem)) for problem in error.problems]


def of_folder(what: str, folder: Path) -> Finding:
    """Return whether a program may write into `folder`, or make it."""
    there = folder
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if not there.is_dir():
        return bad(what, f"{there} is no folder", "move it away, or name another")
    if not os.access(there, os.W_OK | os.X_OK):
        return bad(what, f"{there} is not writable by this user", f"chown or chmod it, or name another than {folder}")
    return good(what, str(folder) if there == folder else f"{folder} (made at the start)")


def of_secret(
    what: str, ref: SecretRef, folder: Path, read: Callable[[bytes], object] = bytes, *, secret: bool = True
) -> Finding:
    """Return whether what `ref` names can be had and `read`; `secret`: others should not be able to."""
    try:
        read(read_secret(ref, folder).reveal())
    except SecretError as error:
        return bad(what, str(error), "put it there, readable by the user the program runs as")
    except JoseError as error:
        return bad(what, f"{ref} {error}", "restore it from a backup, or make it anew and tell the other side")
    return good(what, str(ref), (exposed(ref, folder) or "") if secret else "")
