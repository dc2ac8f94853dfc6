"""Prints what an observer of bellpull hears: pushes, and what became of them.

    pip install aio-pika joserfc
    python observe.py FOLDER        # the folder that `bellpull enroll --observer` made

A message counts only if its seal is the installation's: RabbitMQ carries messages, it does not vouch for them.
"""

import asyncio
import json
import ssl
import sys
import time
from pathlib import Path

import aio_pika
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from yarl import URL

SEALED_AS = {
    "dev.bellpull.ref.updated.v1": "bellpull-event+jws",
    "dev.bellpull.change.updated.v1": "bellpull-event+jws",
    "dev.bellpull.report.v1": "bellpull-report+jws",
}
OLDEST_S = 7 * 24 * 3600  # nothing stays in the queue for longer: what is older was sent by somebody else
AHEAD_S = 120  # clocks differ
RECONNECT_S = 5


class RefusedError(Exception):
    """A message that the installation did not seal, or not for this."""


def opened(body: bytes, seal: object, keys: KeySet, installation: str) -> dict:
    """Return the message in `body`, once its seal was checked."""
    if not isinstance(seal, str):
        raise RefusedError("it has no seal")
    if [bool(part) for part in seal.split(".")] != [
        True,
        False,
        True,
    ]:  # with bytes of its own it would vouch for those
        raise RefusedError("the seal does not fit: it is malformed")
    registry = jws.JWSRegistry(algorithms=["Ed25519"], strict_check_header=False)
    registry.max_payload_length = 4 * 1024 * 1024
    try:
        checked = jws.deserialize_compact(seal, keys, payload=body, registry=registry)
    except (JoseError, ValueError) as error:
        raise RefusedError(f"the seal does not fit: {error}") from None
    header = checked.headers()
    if header.get("b64") is not False:
        raise RefusedError("the seal is over something else")
    if header.get("aud") != installation:
        raise RefusedError("it is for another installation")
    age_s = time.time() - header.get("iat", 0)
    if not -AHEAD_S <= age_s <= OLDEST_S:
        raise RefusedError("it was sealed long ago, or a clock is wrong")
    message = json.loads(body)
    if SEALED_AS.get(message["type"]) != header.get("typ"):
        raise RefusedError("it was sealed as something else")
    return message


def line(message: dict) -> str:
    """Return what to print of a message."""
    data = message["data"]
    match message["type"]:
        case "dev.bellpull.ref.updated.v1":
            words = ["push", message["subject"], data["after"] or "deleted", f"by {data['actor'] or 'somebody'}"]
        case "dev.bellpull.change.updated.v1":
            words = ["change", message["subject"], data["action"], data["head"]]
        case _:
            of = data["watches"]["repository"]
            words = ["outcome", data["word"], f"{of['host']}/{of['path']}", data.get("commit") or "-"]
            words += ["on", data["agent"], data["sync"], data.get("message", "")]
    text = " ".join(words).strip()
    return "".join(each if each.isprintable() else "?" for each in text)


async def listen(folder: Path) -> None:
    """Connect, and print what comes until the connection is lost."""
    settings = json.loads((folder / "observer.json").read_bytes())
    keys = KeySet.import_key_set(json.loads((folder / settings["keys"]).read_bytes()))
    password = (folder / settings["password"]).read_text().strip()
    url = URL(settings["url"]).with_user(settings["username"]).with_password(password)
    context = ssl.create_default_context(cafile=folder / settings["ca"]) if "ca" in settings else None
    lost = asyncio.Event()

    async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        try:
            print(line(opened(message.body, message.headers.get("bellpull-seal"), keys, settings["installation"])))
        except RefusedError as error:
            print(f"refused: {error}")
        except (KeyError, TypeError, ValueError):
            print("refused: it is no message of this version")
        sys.stdout.flush()
        await message.ack()

    async with await aio_pika.connect(url, ssl_context=context) as connection:
        channel = await connection.channel()
        channel.close_callbacks.add(lambda *_: lost.set())
        await channel.set_qos(prefetch_count=20)
        queue = await channel.get_queue(settings["queue"], ensure=False)  # it is there; an observer may make none
        await queue.consume(take)
        print(f"listening to {settings['queue']}", flush=True)
        await lost.wait()


async def main(folder: Path) -> None:
    """Listen, and connect again when the connection is lost."""
    while True:
        try:
            await listen(folder)
        except (OSError, aio_pika.exceptions.AMQPError) as error:
            print(f"not connected: {type(error).__name__}", flush=True)
        await asyncio.sleep(RECONNECT_S)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python observe.py FOLDER")
    asyncio.run(main(Path(sys.argv[1])))
