"""Reads what a gateway says of how its agent stands there."""

from typing import Final

import aiohttp

from bellpull.contract.standing import MAX_STANDING, Standing

__all__ = ["read_standing"]

_CHUNK: Final = 16 * 1024


async def read_standing(response: aiohttp.ClientResponse) -> Standing:
    """Return what a good answer to `GET /v1/agent` says.

    Raises:
        ContractError: it is no such answer; no more of it is read than one can be long.
        aiohttp.ClientError: it broke off.
    """
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > MAX_STANDING:
            break
    return Standing.decode(bytes(body))
