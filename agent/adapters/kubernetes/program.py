"""A program that gives credentials, as a kubeconfig names it (`exec`): run, bounded and ended with whoever waits."""

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import Any, Final

import orjson
from kubernetes_asyncio.config import ConfigException

__all__ = ["ask_program"]

_MAX_SAID: Final = 300


async def ask_program(program: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the `status` of the ExecCredential that it prints.

    Raises:
        ConfigException: it is not described well, failed, or printed something else.
        OSError: it cannot be started.
    """
    command, version = program.get("command"), program.get("apiVersion")
    if not (isinstance(command, str) and isinstance(version, str)):
        raise ConfigException("exec: needs command and apiVersion")
    asks = program.get("interactiveMode") != "Never" and sys.stdin is not None and sys.stdin.isatty()
    told = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": asks}}
    more = {str(each["name"]): str(each["value"]) for each in program.get("env") or ()}
    running = await asyncio.create_subprocess_exec(
        command,
        *map(str, program.get("args") or ()),
        env={**os.environ, **more, "KUBERNETES_EXEC_INFO": orjson.dumps(told).decode()},
        stdin=None if asks else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        printed, said = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    if running.returncode != 0:
        why = said.decode(errors="replace").strip()[-_MAX_SAID:]
        raise ConfigException(f"{command} ended with {running.returncode}{f': {why}' if why else ''}")
    return _status(command, version, printed)


def _status(command: str, version: str, printed: bytes) -> Mapping[str, Any]:
    try:
        found = orjson.loads(printed)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("status"), dict):
        raise ConfigException(f"{command} printed no ExecCredential with a status")
    if found.get("apiVersion") != version:
        raise ConfigException(f"{command} speaks another version than {version}: see apiVersion of exec")
    status: Mapping[str, Any] = found["status"]
    return status
