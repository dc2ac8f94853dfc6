"""Routing keys: two names never share one, whatever they are (R25)."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bellpull.contract.repository import Ref, RefKind, Repository
from bellpull.contract.routing import BUDGETS, agent_key, agent_queue, report_key, routing_key
from bellpull.contract.text import Host, Name, RefName, RepositoryPath
from tests.contract.strategies import of, ref_names, repository_paths

_LONG = st.integers(60, 240).map(lambda count: "a" * count)
_HOSTILE = st.text(st.sampled_from("a.*#%!/é-_\U0001f514"), min_size=1, max_size=60).filter(
    lambda name: not name.startswith("/")
)
_PATHS = repository_paths | _LONG | _HOSTILE
_REFS = ref_names | _LONG | _LONG.map(lambda name: name + "!") | _HOSTILE
_Names = tuple[str, str, RefKind, str]
_NAMES: st.SearchStrategy[_Names] = st.tuples(of(Host), _PATHS, st.sampled_from(RefKind), _REFS)


def _key(names: _Names) -> str:
    host, path, kind, ref = names
    repository = Repository(host=Host(host), path=RepositoryPath(path))
    return routing_key(repository, Ref(kind=kind, name=RefName(ref)))


def _folded(names: _Names) -> tuple[str, ...]:
    host, path, kind, ref = names
    return (host.casefold(), path.casefold(), kind, ref.casefold())


@given(_NAMES, _NAMES)
@example(("h", "a", RefKind.BRANCH, "a" * 91), ("h", "a", RefKind.BRANCH, "a" * 90 + "b"))
@example(("h", "a", RefKind.BRANCH, "x.y"), ("h", "a", RefKind.BRANCH, "x%2ey"))
@example(("h.a", "b", RefKind.BRANCH, "c"), ("h", "a.b", RefKind.BRANCH, "c"))
@example(("h", "a/b", RefKind.BRANCH, "c"), ("h", "a.b", RefKind.BRANCH, "c"))
@example(("h", "!/b", RefKind.BRANCH, "c"), ("h", "b", RefKind.BRANCH, "c"))
@example(("h", "A", RefKind.BRANCH, "Main"), ("h", "a", RefKind.BRANCH, "main"))
@example(("h", "a", RefKind.BRANCH, "stra\u00dfe"), ("h", "a", RefKind.BRANCH, "STRASSE"))
@example(("h", "a", RefKind.BRANCH, "a" * 91), ("h", "a", RefKind.BRANCH, "a" * 62 + "!9b9fe7f0a48c2b9aeb70"))
def test_two_names_share_a_key_exactly_when_they_differ_in_case_only(one: _Names, other: _Names) -> None:
    assert (_key(one) == _key(other)) == (_folded(one) == _folded(other))


@given(_NAMES, st.integers(0, 3), _REFS)
def test_names_that_differ_in_one_word_have_other_keys(names: _Names, at: int, other: str) -> None:
    """Close names are the ones that a careless escape would join."""
    changed = list(names)
    changed[at] = RefKind.TAG if names[2] is RefKind.BRANCH and at == 2 else other if at != 2 else RefKind.BRANCH
    close = (str(changed[0]), str(changed[1]), RefKind(changed[2]), str(changed[3]))
    assert (_key(names) == _key(close)) == (_folded(names) == _folded(close))


@given(_NAMES)
def test_a_key_is_five_words_within_their_budgets_and_amqps(names: _Names) -> None:
    key = _key(names)
    words = key.split(".")
    assert len(words) == 5
    assert all(0 < len(word) <= budget for word, budget in zip(words, BUDGETS, strict=True))
    assert len(key.encode("ascii")) <= 255
    assert not set(key) & set("*#")


@given(of(Host), _PATHS, _REFS, _REFS)
def test_the_words_before_the_ref_are_those_of_the_repository_alone(host: str, path: str, one: str, two: str) -> None:
    """So that a binding with a wildcard for the ref keeps working, however long the ref is."""
    first = _key((host, path, RefKind.TAG, one)).rsplit(".", 1)[0]
    assert first == _key((host, path, RefKind.TAG, two)).rsplit(".", 1)[0]


@pytest.mark.parametrize(
    ("names", "key"),
    [
        (("github.com", "acme/site", RefKind.BRANCH, "main"), "github%2ecom.acme.site.branch.main"),
        (("github.com", "Acme/Site", RefKind.TAG, "v1.0"), "github%2ecom.acme.site.tag.v1%2e0"),
        (("h", "group/sub/site", RefKind.BRANCH, "main"), "h.group.sub/site.branch.main"),
        (("h", "!", RefKind.BRANCH, "main"), "h.!.%21.branch.main"),
        (("h", "a", RefKind.BRANCH, "a" * 91), "h.!.a.branch." + "a" * 62 + "!9b9fe7f0a48c2b9aeb70"),
    ],
)
def test_keys_are_these_and_stay_these(names: _Names, key: str) -> None:
    """Bindings in a broker outlive a version."""
    assert _key(names) == key


@given(of(Name), of(Name))
def test_agents_share_no_key_and_no_event_has_one(agent: Name, other: Name) -> None:
    for key in (agent_key, report_key):
        assert (key(agent) == key(other)) == (agent == other)
        assert key(agent).count(".") == 1
        assert len(key(agent).encode()) <= 255


def test_an_agents_names_in_the_broker() -> None:
    """A dot in an agent's name is no dot of a key: patterns of a broker's permissions count words."""
    agent = Name("eu.shop-1")
    assert (agent_queue(agent), agent_key(agent), report_key(agent)) == (
        "bellpull.agent.eu.shop-1",
        "agent.eu%2eshop-1",
        "report.eu%2eshop-1",
    )
