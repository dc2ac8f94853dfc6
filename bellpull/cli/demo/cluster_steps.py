"""What the demo does in a cluster beside what it does anywhere."""

from typing import Final

from bellpull.cli.demo.cluster import ClusterServed
from bellpull.cli.demo.steps import WELL, Happened, Step, expect
from bellpull.cli.demo.world import World

__all__ = ["CLUSTER_STEPS"]

_MANY: Final = 120
_SHOWN: Final = 140
_WRONG: Final = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: 0}]}
"""


async def _refused(world: World) -> Happened:
    wrong = await world.push({"web.yaml": _WRONG}, "A port that is none")
    await world.deliver(wrong)
    said = (await world.answer(wrong.after))["syncs"][0]
    expect(said["word"] == "failed", f"the push ended as {said['word']}")
    expect("Service/" in said["message"] and "web.yaml:1" in said["message"], f"the word is {said['message']!r}")
    await _reverted(world)
    reason = said["message"].partition(": ")[2]
    shown = reason if len(reason) <= _SHOWN else f"{reason[:_SHOWN]}..."
    return Happened(text=f"failed, with object, file, line and reason: {shown}")


async def _apply_killed(world: World) -> Happened:
    served = _cluster(world)
    before = await served.count()
    pages = {f"page-{number}.html": f"page {number}\n" for number in range(_MANY)}
    push = await world.push(pages, f"{_MANY} pages")
    await world.deliver(push)
    await served.grows(before)
    await world.agent.kill()
    made = await served.count() - before
    await world.agent.start("hearing the gateway")
    word = (await world.answer(push.after))["syncs"][0]["word"]
    expect(word in WELL, f"the push ended as {word}")
    there = await served.count() - before
    expect(there == _MANY, f"{there} of {_MANY} pages are there")
    return Happened(text=f"killed after {made} of {_MANY} objects; started again: all are there, and the push {word}")


async def _emptied(world: World) -> Happened:
    served = _cluster(world)
    before = await served.count()
    gone = dict.fromkeys(f"page-{number}.html" for number in range(_MANY))
    push = await world.push({"index.html": None, **gone}, "Oops")
    await world.deliver(push)
    said = (await world.answer(push.after))["syncs"][0]
    expect(said["word"] == "rejected", f"the push ended as {said['word']}")
    expect(await served.count() == before, "something was deleted")
    expect(f"accept: {push.after}" in said["message"], f"the word is {said['message']!r}")
    await _reverted(world)
    reason = said["message"].partition(";")[0]
    return Happened(text=f"rejected, nothing was deleted: {reason}; the word says how to mean it")


async def _reverted(world: World) -> None:
    reverted = await world.revert()
    await world.deliver(reverted)
    word = (await world.answer(reverted.after))["syncs"][0]["word"]
    expect(word in WELL, f"the revert ended as {word}")


def _cluster(world: World) -> ClusterServed:
    served = world.served
    assert isinstance(served, ClusterServed)  # noqa: S101 - these steps are a cluster's
    return served


CLUSTER_STEPS: Final[tuple[Step, ...]] = (
    Step(
        name="refused",
        done="a commit had an object that the API server refuses",
        feared="half of it is applied, and somebody has to look for the reason",
        run=_refused,
    ),
    Step(
        name="apply-killed",
        done=f"the agent was killed (SIGKILL) while it applied {_MANY} objects",
        feared="a half-made release that nobody finishes, or objects that nobody owns",
        run=_apply_killed,
    ),
    Step(
        name="emptied",
        done="a commit lost all manifests",
        feared="everything that runs is deleted",
        run=_emptied,
    ),
)
