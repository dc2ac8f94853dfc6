"""Reads a kubeconfig by the library, where it differs from kubectl made to mean what it means to kubectl.

A `tokenFile` comes before a `token`, as it is the one that is rotated; a program with a relative path lies beside the
kubeconfig; an account to act as (`as`) is refused, since the library would leave it out and act with more rights than
were meant; and whoever is to show a credential shows one, instead of being nobody.
"""

import asyncio
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from kubernetes_asyncio.client import Configuration
from kubernetes_asyncio.config import ConfigException
from kubernetes_asyncio.config.kube_config import FileOrData, KubeConfigLoader, KubeConfigMerger
from yaml import YAMLError

from agent.adapters.kubernetes.program import ask_program
from agent.ports.cluster import ClusterError

__all__ = ["Chosen", "load_kubeconfig"]

_PROGRAM_S: Final = 60.0
"""For a program that gives credentials; some ask a person."""
_MAX_SAID: Final = 500
_CREDENTIALS: Final = ("exec", "token", "tokenFile")


class _Loader(KubeConfigLoader):
    """The library's, but for programs: its own outlive whoever stopped waiting for them."""

    async def load_from_exec_plugin(self) -> bool:
        given = await ask_program(_dict(self._user and self._user["exec"].value))
        if given.get("token"):
            self.token = f"Bearer {given['token']}"
        if given.get("clientCertificateData") and given.get("clientKeyData"):
            self.cert_file: str | None = _file(given, "clientCertificateData")
            self.key_file: str | None = _file(given, "clientKeyData")
        return True


def _file(given: Mapping[str, Any], key: str) -> str | None:
    """Return a file for OpenSSL, which whoever reads it deletes."""
    return FileOrData(given, None, data_key_name=key, base64_file_content=False).as_file()


class Chosen(NamedTuple):
    """The context that is meant."""

    context: str
    namespace: str


async def load_kubeconfig(written: Path, context: str | None, configuration: Configuration) -> Chosen:
    """Fill `configuration`, and return which context that is.

    Raises:
        ClusterError: it is not there, or cannot be used.
    """
    user: dict[str, Any] = {}
    try:
        if not await asyncio.to_thread(_is_there, written):
            raise ClusterError(f"{written}: no such kubeconfig")
        loader, user = await asyncio.to_thread(_loader, written, context)
        async with asyncio.timeout(_PROGRAM_S):
            await loader.load_and_set(configuration)
    except ConfigException as error:
        raise ClusterError(f"{written}: {str(error)[:_MAX_SAID]}") from None
    except TimeoutError:
        raise ClusterError(f"{written}: {_program(user)} gave no credential within {_PROGRAM_S:.0f} s") from None
    except OSError as error:
        raise ClusterError(f"{written}: {_missing(error, user)}") from None
    except (ValueError, TypeError, KeyError, AttributeError, AssertionError, YAMLError) as error:
        raise ClusterError(f"{written}: cannot be read as a kubeconfig ({type(error).__name__})") from None
    shows = "BearerToken" in configuration.api_key or configuration.cert_file
    if not shows and (given := [key for key in _CREDENTIALS if key in user]):
        raise ClusterError(f"{written}: {given[0]} of the user gives neither a token nor a certificate")
    chosen = loader.current_context or {}
    return Chosen(str(chosen.get("name")), str(_dict(chosen.get("context")).get("namespace") or "default"))


def _is_there(written: Path) -> bool:
    return any(Path(each).exists() for each in str(written).split(os.pathsep))


def _loader(written: Path, context: str | None) -> tuple[KubeConfigLoader, dict[str, Any]]:
    """Return what reads the credentials, and the user's section."""
    merged = KubeConfigMerger(str(written)).config
    if merged is None:
        raise ConfigException("no such kubeconfig")
    _refuse_absent(context or merged.value.get("current-context"), merged.value.get("contexts") or ())
    for each in merged.value["users"]:
        _mean_as_kubectl(_dict(each.value.get("user")), Path(each.path).parent)
    loader = _Loader(config_dict=merged, active_context=context, config_base_path=None)
    context_name, chosen = (
        (loader.current_context or {}).get("name"),
        _dict((loader.current_context or {}).get("context")),
    )
    name = chosen.get("user")
    user = _named(merged.value["users"], name, "user")
    server = str((_named(merged.value["clusters"], chosen.get("cluster"), "cluster") or {}).get("server"))
    if user is None and (name or server.startswith("https")):
        raise ConfigException(
            f"context {context_name}: {f'its user {name} is not there' if name else 'names no user'}"
        )
    user = user or {}
    if acts := [key for key in user if key == "as" or key.startswith("as-")]:
        raise ConfigException(f"user {name}: {acts[0]}: acting as somebody else is not done; name the account itself")
    return loader, user


def _refuse_absent(context: object, contexts: Iterable[Any]) -> None:
    names = [str(each.value.get("name")) for each in contexts]
    if context not in names:
        problem = f"has no context {context}" if context else "has no current context, and none is named"
        there = f"there are {', '.join(names)}" if names else "there is none at all"
        raise ConfigException(f"{problem}: {there}")


def _named(entries: Iterable[Any], name: object, key: str) -> dict[str, Any] | None:
    found = next((each.value.get(key) for each in entries if each.value.get("name") == name), None)
    return found if isinstance(found, dict) else None


def _mean_as_kubectl(user: dict[str, Any], folder: Path) -> None:
    if user.get("tokenFile"):
        user.pop("token", None)
    program = _dict(user.get("exec"))
    command = program.get("command")
    if isinstance(command, str) and "/" in command:
        program["command"] = str(folder.absolute() / command)


def _missing(error: OSError, user: dict[str, Any]) -> str:
    """Return which file is to blame, and how to get the program if it is that."""
    why = os.strerror(error.errno) if error.errno else type(error).__name__
    hint = _dict(user.get("exec")).get("installHint") if error.filename == _program(user) else None
    said = f"; {str(hint).strip()[:_MAX_SAID]}" if hint else ""
    return f"{error.filename or 'it'}: {why}{said}"


def _program(user: dict[str, Any]) -> str:
    return str(_dict(user.get("exec")).get("command") or "its server of identities")


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
