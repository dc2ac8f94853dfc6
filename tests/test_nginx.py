"""The nginx that other tests put in front of a listener."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.parts.nginx import Nginx

HELLO = 'server { listen 127.0.0.1:@port@; location / { return 200 "hello"; } }'


async def test_it_answers_while_its_context_lasts(nginx_program: Path, tmp_path: Path) -> None:
    async with (
        Nginx(nginx_program, tmp_path / "nginx", HELLO) as nginx,
        aiohttp.request("GET", nginx.url) as response,
    ):
        assert (response.status, await response.text()) == (200, "hello")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", nginx.port)


async def test_a_mistake_in_its_configuration_is_shown(nginx_program: Path, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="unknown directive"):
        async with Nginx(nginx_program, tmp_path / "nginx", "sever {}"):
            pass


async def test_two_run_beside_each_other(nginx_program: Path, tmp_path: Path) -> None:
    async with (
        Nginx(nginx_program, tmp_path / "one", HELLO) as one,
        Nginx(nginx_program, tmp_path / "two", HELLO) as two,
    ):
        assert one.port != two.port
