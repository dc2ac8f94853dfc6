"""What the demo does in a cluster beside what it does anywhere."""

import re
from time import monotonic
from typing import Final

from bellpull.cli.demo.cluster import CONFIG_MAPS, DEPLOYMENTS, SERVICES, ClusterServed
from bellpull.cli.demo.repository import Push
from bellpull.cli.demo.steps import WELL, Happened, Step, StepFailedError, duration, expect
from bellpull.cli.demo.world import World

__all__ = ["CLUSTER_STEPS"]

_MANY: Final = 120
_ATTEMPTS: Final = 5
_SHOWN: Final = 160
_IMAGE: Final = "example.org/web:1"
_DEPLOYMENT: Final = f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 0  # so no pod is needed, and no image fetched
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{containers: [{{name: web, image: "{_IMAGE}"}}]}}
"""
_SERVICE: Final = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""
_BY_HAND: Final = {"made": "by hand"}
_WORKLOAD: Final = {"web-deployment.yaml": _DEPLOYMENT, "web-service.yaml": _SERVICE}


async def _workload(world: World) -> Happened:
    served = _cluster(world)
    await _applied(world, await world.push({**_WORKLOAD}, "A workload"))
    expect(await _image(served) == _IMAGE, "the Deployment is not there")
    expect(await _port(served) == 80, "the Service is not there")
    hotfix = {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "example.org/web:hotfix"}]}}}}

    async def is_back() -> bool:
        return await _image(served) == _IMAGE

    await served.change(DEPLOYMENTS, "web", hotfix)
    edited = monotonic()
    undone = await served.until(is_back, f"the image is {_IMAGE} again")
    return Happened(text=f"both were applied; the image was Git's again {duration(undone - edited)} after the edit")


async def _refused(world: World) -> Happened:
    served = _cluster(world)
    wrong = await world.push({"web-service.yaml": _SERVICE.replace("port: 80", "port: 0")}, "A port that is none")
    word, message = await _word(world, wrong)
    expect(word == "failed", f"the push ended as {word}")
    expect("Service/" in message and "web-service.yaml:1" in message, f"the word is {message!r}")
    expect(await _port(served) == 80, "the Service is not what it was")
    await _applied(world, await world.revert())
    reason = message.partition(": ")[2]
    cut = reason if len(reason) <= _SHOWN else f"{reason[:_SHOWN]}..."
    return Happened(text=f"failed, what ran stays as it was; object, file, line and reason are named: {cut}")


async def _somebody_elses(world: World) -> Happened:
    served = _cluster(world)
    await _applied(world, await world.push({"ours.html": "ours\n", "note.html": "ours\n"}, "Two pages"))
    labels = (await served.item(CONFIG_MAPS, "ours.html"))["metadata"]["labels"]
    await world.agent.stop()
    await served.delete(CONFIG_MAPS, "note.html")
    for name in ("note.html", "copy-of-ours"):
        await served.make(
            CONFIG_MAPS,
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, "data": _BY_HAND},
        )
    gone = await world.push({"ours.html": None, "note.html": None}, "Neither of the two pages")
    await world.deliver(gone)
    await world.agent.start("hearing the gateway")
    word, _ = await _ended(world, gone)
    expect(word in WELL, f"the push ended as {word}")
    expect(not await served.item(CONFIG_MAPS, "ours.html"), "our own object was not deleted")
    for name in ("note.html", "copy-of-ours"):
        expect((await served.item(CONFIG_MAPS, name)).get("data") == _BY_HAND, f"{name} of somebody else is gone")
    named = f"ConfigMap/{served.namespace}/note.html"
    kept = world.agent.said("object", object=named, action="kept", notes=["is not this Sync's any more"])
    expect(kept > 0, "the agent's log does not say what was kept")
    return Happened(
        text="ours was deleted, both of theirs stayed; the agent's log says of the one under our old name: "
        f"{named} kept, is not this Sync's any more"
    )


async def _apply_killed(world: World) -> Happened:
    await _applied(world, await world.push(_release(0), "Release 0"))
    for number in range(1, _ATTEMPTS + 1):
        written, was_there = await _killed(world, number)
        # A machine that is busy elsewhere may let the agent come to its end before it is killed: then once more.
        if 0 < written < _MANY and was_there:
            return Happened(
                text=f"killed after {written} of {_MANY} objects, before the deletion; started again: all {_MANY} "
                "are written, and what Git no longer has is gone"
            )
    raise StepFailedError(f"the agent had ended each of {_ATTEMPTS} applies before it was killed")


async def _killed(world: World, number: int) -> tuple[int, bool]:
    """Kill the agent while it applies a release; return how much was written, and whether what goes was there."""
    served = _cluster(world)
    push = await world.push(_release(number), f"Release {number}")

    async def written() -> int:
        pages = await served.pages()
        return sum(page == f"release {number}\n" and name.startswith("page-") for name, page in pages.items())

    async def has_begun() -> bool:
        return await written() > 0

    await world.deliver(push)
    await served.until(has_begun, f"release {number} is being applied")
    await world.agent.kill()
    found, was_there = await written(), f"only-{number - 1}.html" in await served.pages()
    await world.agent.start("hearing the gateway")
    word, _ = await _ended(world, push)
    expect(word in WELL, f"the push ended as {word}")
    expect(await written() == _MANY, f"{await written()} of {_MANY} objects are written")
    expect(f"only-{number - 1}.html" not in await served.pages(), "what Git no longer has is still there")
    return found, was_there


async def _mass_deletion(world: World) -> Happened:
    gone = dict.fromkeys(f"page-{number}.html" for number in range(_MANY))
    reason = await _rejected(world, gone, "Tidy up")
    return Happened(text=f"rejected, nothing was deleted: {reason}; undone by `git revert`")


async def _emptied(world: World) -> Happened:
    gone = dict.fromkeys([*await _cluster(world).pages(), *_WORKLOAD])
    reason = await _rejected(world, gone, "Oops")
    return Happened(
        text=f"rejected, nothing was deleted: {reason}; the agent's word says what to set where it is meant"
    )


async def _rejected(world: World, gone: dict[str, None], message: str) -> str:
    """Push what the guard refuses, and revert it; return what the agent says."""
    served = _cluster(world)
    before = await served.pages()
    push = await world.push({**gone}, message)
    word, said = await _word(world, push)
    expect(word == "rejected", f"the push ended as {word}")
    expect(f"accept: {push.after}" in said, f"the word is {said!r}")
    expect(await served.pages() == before, "something was deleted")
    expect(await _image(served) == _IMAGE, "the Deployment is gone")
    await _applied(world, await world.revert())
    expect(await served.pages() == before, "the revert changed something")
    # The names of some objects are in parentheses; how many they are is what counts here.
    return re.sub(r" \(.*?\)", "", said.partition(";")[0])


async def _applied(world: World, push: Push) -> None:
    word, message = await _word(world, push)
    expect(word in WELL, f"the push ended as {word}: {message}")


async def _word(world: World, push: Push) -> tuple[str, str]:
    """Deliver a push, and return its last word, with the message."""
    await world.deliver(push)
    return await _ended(world, push)


async def _ended(world: World, push: Push) -> tuple[str, str]:
    said = (await world.answer(push.after))["syncs"][0]
    return said["word"], said.get("message") or ""


def _release(number: int) -> dict[str, str | None]:
    """Return the pages of a release: many that are written anew, one that is new, and one that goes."""
    if number == 0:
        return {"only-0.html": "goes with the next release\n"}
    pages: dict[str, str | None] = {f"page-{each}.html": f"release {number}\n" for each in range(_MANY)}
    return pages | {f"only-{number - 1}.html": None, f"only-{number}.html": "goes with the next release\n"}


async def _image(served: ClusterServed) -> str | None:
    spec = (await served.item(DEPLOYMENTS, "web")).get("spec")
    return str(spec["template"]["spec"]["containers"][0]["image"]) if spec else None


async def _port(served: ClusterServed) -> int | None:
    spec = (await served.item(SERVICES, "web")).get("spec")
    return int(spec["ports"][0]["port"]) if spec else None


def _cluster(world: World) -> ClusterServed:
    served = world.served
    assert isinstance(served, ClusterServed)  # noqa: S101 - these steps are a cluster's
    return served


CLUSTER_STEPS: Final[tuple[Step, ...]] = (
    Step(
        name="workload",
        done="a commit brought a Deployment and a Service; somebody set another image by hand",
        feared="a hotfix that nobody knows of stays, until something else undoes it",
        run=_workload,
    ),
    Step(
        name="refused",
        done="a commit gave the Service a port that the API server refuses, and was reverted",
        feared="half of it is applied, and somebody has to look for the reason",
        run=_refused,
    ),
    Step(
        name="not-ours",
        done="a commit took two ConfigMaps away; meanwhile somebody had put their own in place of one, and had "
        "copied the other, labels and all",
        feared="what somebody else made is deleted with what was ours",
        run=_somebody_elses,
    ),
    Step(
        name="apply-killed",
        done=f"the agent was killed (SIGKILL) in the middle of a commit that writes {_MANY} objects and deletes one",
        feared="a half-made release that nobody finishes, or objects that nobody owns",
        run=_apply_killed,
    ),
    Step(
        name="mass-deletion",
        done=f"a commit lost {_MANY} manifests, most of what there is",
        feared="a slip in Git is a deletion in the cluster",
        run=_mass_deletion,
    ),
    Step(
        name="emptied",
        done="a commit lost all manifests",
        feared="everything that runs is deleted",
        run=_emptied,
    ),
)
