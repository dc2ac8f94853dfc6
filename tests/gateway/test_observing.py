"""What observers may hear: exactly what they are granted, and what cannot be said exactly is refused."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellpull.contract.patterns import matches
from bellpull.contract.repository import Ref, Repository
from bellpull.contract.routing import EVENTS, HEARTBEATS, OUTCOMES, PUSHES, REPORTS, observer_queue, routing_key
from bellpull.contract.text import Host, Name, RefName, RepositoryPath
from gateway.app.observers import load_observers
from gateway.core.observing import Interest, Kind, exactly_bound_to, of_observer
from gateway.core.things import Binding, Permission, Policy, Queue, TopicPermission
from gateway.core.topology_change import difference
from tests.contract.strategies import ref_names, repository_paths
from tests.gateway.topologies import hears, made, patterns

WATCHER = Name("watcher")
_HOSTS = st.sampled_from(["github.com", "git.example", "a.com", "GitHub.com"])


def _interest(*repositories: str, kinds: tuple[Kind, ...] = tuple(Kind)) -> Interest:
    return Interest(repositories=repositories, kinds=kinds)


def _exact(pattern: str) -> str | None:
    try:
        return exactly_bound_to(pattern)
    except ValueError:
        return None


_GRANTED = st.sampled_from(
    [
        *("**", "*/**", "github.com/**", "GitHub.com/Acme/Site", "*/acme/site", "git.example/a.b+c"),
        *("github.com/acme/**", "*/acme/**"),
    ]
)


@given(
    _GRANTED | patterns.filter(_exact),
    _HOSTS,
    st.sampled_from(["acme/site", "Acme/Site", "acme", "acme/site/x", "a.b+c"])
    | repository_paths.map(RepositoryPath),
    ref_names.map(RefName),
)
def test_what_is_granted_is_heard_and_nothing_else_is(pattern: str, host: str, path: str, name: RefName) -> None:
    """A disclosure would be a repository that reaches the queue and is not granted: there is nobody to drop it."""
    repository = Repository(host=Host(host.lower()), path=RepositoryPath(path))
    ref = Ref.parse(f"refs/heads/{name}")
    assert hears(exactly_bound_to(pattern), routing_key(repository, ref)) == matches([pattern], repository.key)


@pytest.mark.parametrize(
    "pattern",
    ["github.com/acme/*", "github.com/*", "*.com/acme/site", "**/site", "github.com/a/b/**", "g**/site", "h/**/site"],
)
def test_what_cannot_be_bound_exactly_is_refused_and_said(pattern: str) -> None:
    with pytest.raises(ValueError, match=re.escape("say HOST/PATH, HOST/OWNER/**, HOST/**, */PATH or **")):
        exactly_bound_to(pattern)


def test_an_observer_is_bound_beside_the_agents_way_to_the_kinds_that_it_is_granted() -> None:
    """Where agents' queues are bound it would be waited for, and counted as somebody who has the message (R6)."""
    for kinds, sources in (
        (tuple(Kind), {PUSHES, OUTCOMES}),
        ((Kind.PUSHES,), {PUSHES}),
        ((Kind.OUTCOMES,), {OUTCOMES}),
    ):
        things = of_observer(WATCHER, _interest("github.com/acme/site", kinds=kinds), "t")
        assert {thing.source for thing in things if isinstance(thing, Binding)} == sources
        assert {thing.destination for thing in things if isinstance(thing, Binding)} == {observer_queue(WATCHER)}


def test_an_observer_may_read_its_queue_and_nothing_else() -> None:
    """P3: topic permissions let everything pass where there are none."""
    things = of_observer(WATCHER, _interest("**"), "t")
    assert {thing for thing in things if isinstance(thing, Permission)} == {
        Permission(user=WATCHER, configure="^$", write="^$", read=r"^bellpull\.observer\.watcher$")
    }
    assert {thing for thing in things if isinstance(thing, TopicPermission)} == {
        TopicPermission(user=WATCHER, exchange=each, write="^$", read="^$")
        for each in (EVENTS, REPORTS, HEARTBEATS, PUSHES, OUTCOMES)
    }


def test_its_queue_is_bounded_and_drops_without_a_trace() -> None:
    """R20."""
    things = made({}, observers={WATCHER: _interest("**")})
    (queue,) = (thing.name for thing in things if isinstance(thing, Queue) and "observer" in thing.name)
    (policy,) = (each for each in things if isinstance(each, Policy) and re.search(each.pattern, queue))
    assert {name for name, _ in policy.definition} == {"max-length", "max-length-bytes", "overflow", "message-ttl"}
    assert dict(policy.definition)["overflow"] == "drop-head"


def test_an_observer_less_is_an_observer_that_pruning_removes() -> None:
    agents = {Name("web-1"): ["github.com/acme/*"]}
    before, after = made(agents, observers={WATCHER: _interest("**")}), made(agents)
    change = difference(after, before, "bellpull.bellpull")
    assert change.remove == before - after
    assert not change.add | change.change


@pytest.mark.parametrize(
    ("agents", "gateway", "why"),
    [
        ({Name("watcher"): ["**"]}, "bellpull_gateway", "watcher is an agent and an observer"),
        ({}, "watcher", "watcher is an observer: the gateways need a user of another name"),
    ],
)
def test_one_name_is_one_user(agents: dict[Name, list[str]], gateway: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        made(agents, gateway, observers={WATCHER: _interest("**")})


def _write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def test_records_that_are_wrong_are_left_out_and_said(tmp_path: Path) -> None:
    good = "observer: {name}\nrepositories: [github.com/acme/site]\ntypes: [pushes]\n"
    found = load_observers(
        _write(
            tmp_path,
            good=good.format(name="good"),
            both="observer: both\nrepositories: ['**']\n",
            wide="observer: wide\nrepositories: [github.com/acme/site, github.com/acme/*]\n",
            kinds="observer: kinds\nrepositories: ['**']\ntypes: [gossip]\n",
            twice1=good.format(name="twice"),
            twice2=good.format(name="twice"),
        )
    )
    assert {name: record.interest for name, record in found.records.items()} == {
        "good": _interest("github.com/acme/site", kinds=(Kind.PUSHES,)),
        "both": _interest("**"),
    }
    said = {problem.path: problem.problem for problem in found.problems}
    assert set(said) == {"wide.yaml", "kinds.yaml", "twice2.yaml"}
    assert "repositories[1]: github.com/acme/* cannot be granted" in said["wide.yaml"]
    assert load_observers(tmp_path / "nowhere").records == {}
