"""nginx in front of a listener: a process of its own with a configuration, folder and port of the test's own."""

import os
import shutil
import sys
from pathlib import Path
from typing import Final

import pytest

from tests import parts
from tests.parts.front import PORT, Front

__all__ = ["GET", "NAME", "PORT", "Nginx", "find", "install", "nginx_program"]

NAME: Final = "nginx"
GET: Final = "apt-get install nginx"
_MAIN: Final = """\
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 8192; }}
worker_rlimit_nofile 16384;
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
{http}
}}
"""


def find() -> Path | None:
    """Return the program."""
    found = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin") or shutil.which("nginx")
    return Path(found) if found else None


def install() -> None:
    """Get it from Debian; its service is not started."""
    parts.apt_install("nginx")


class Nginx(Front):
    """Runs while its context lasts, on a free port of loopback.

    Args:
        program: what `nginx_program` found.
        folder: where its files go; made if need be.
        http: what stands in the `http` block: `server` blocks that listen at `127.0.0.1:@port@`.
    """

    def __init__(self, program: Path, folder: Path, http: str) -> None:
        user = "user root;" if os.geteuid() == 0 else ""  # another one may not enter the test's folder
        config = _MAIN.format(user=user, folder=folder, http=http)
        command = (str(program), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr")
        super().__init__(command, folder, "nginx.conf", config)


@pytest.fixture(scope="session")
def nginx_program() -> Path:
    """The program; a test that has none is skipped."""
    return parts.need(sys.modules[__name__])
