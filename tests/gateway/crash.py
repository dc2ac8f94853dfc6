"""A program to be killed: 16 callers accept pushes as fast as they can; each answered id is printed, and then only.

Run as `python -m tests.gateway.crash PATH ROUND`.
"""

import asyncio
import os
import sys
from itertools import count
from pathlib import Path

from bellpull.runtime.clock import utc_now
from gateway.adapters.journal import open_journal
from tests.gateway.examples import GITHUB, push

CALLERS = 16


async def main(path: Path, round_number: int) -> None:
    numbers = count(round_number * 1_000_000)
    async with open_journal(path, utc_now()) as journal, asyncio.TaskGroup() as group:

        async def call() -> None:
            for number in numbers:
                pushes = [push(number), push(number, ref="refs/tags/v1")]
                now = utc_now()
                stored = await journal.accept(
                    pushes, source=GITHUB, delivery=f"d{number}", body_digest="0" * 64, now=now
                )
                os.write(1, "".join(f"{event}\n" for event in stored.event_ids).encode())

        for _ in range(CALLERS):
            group.create_task(call())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
