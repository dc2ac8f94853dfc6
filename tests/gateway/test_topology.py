"""What there has to be in RabbitMQ: the laws of setting it up, and what bindings let through."""

import re
from dataclasses import replace
from itertools import product

import orjson
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from bellpull.contract.patterns import matches
from bellpull.contract.repository import Ref, RefKind, Repository
from bellpull.contract.routing import EVENTS, agent_key, agent_queue, binding_key, routing_key
from bellpull.contract.text import Host, Name, RefName, RepositoryPath
from gateway.core.definitions import password_hash, things_of, to_definitions
from gateway.core.things import (
    Binding,
    Exchange,
    Permission,
    Policy,
    Queue,
    Thing,
    TopicPermission,
    User,
    VirtualHost,
    arguments,
)
from gateway.core.topology import bound_to, owner_tag
from gateway.core.topology_change import Difference, difference, identity, strangers
from tests.contract.strategies import of, ref_names, repository_paths
from tests.gateway.topologies import GATEWAY, agents, hears, made, patterns

TAG = owner_tag(Name("bellpull"))
WEB = Name("web-1")
FOREIGN: frozenset[Thing] = frozenset(
    {
        User(name="guest", tags=frozenset({"administrator"})),
        User(name="other-1", tags=frozenset({owner_tag(Name("other"))})),
        Permission(user="guest", configure=".*", write=".*", read=".*"),
        TopicPermission(user="guest", exchange="amq.topic", write=".*", read=".*"),
        Exchange(name="orders", type="topic"),
        Exchange(name="bellpullish", type="topic"),
        Queue(name="shovel", arguments=arguments({"x-queue-type": "quorum"})),
        Queue(name="bellpull.gw.1", durable=False, arguments=arguments({"x-queue-type": "classic"})),
        Binding(source=EVENTS, destination="shovel", routing_key="#"),
        Binding(source=EVENTS, destination="bellpull.gw.1", routing_key="#"),
        Binding(source="orders", destination=agent_queue(WEB), routing_key="#"),
        Policy(name="ha", pattern=".*", definition=arguments({"max-length": 5})),
    }
)


def _done(there: frozenset[Thing], change: Difference, *, prune: bool) -> frozenset[Thing]:
    """Return what is there when a difference was made."""
    gone = {identity(thing) for thing in (change.remove if prune else ())}
    gone |= {identity(thing) for thing in change.change}
    return frozenset(thing for thing in there if identity(thing) not in gone) | change.add | change.change


@given(agents, agents)
def test_setting_up_twice_changes_nothing(before: dict[Name, list[str]], after: dict[Name, list[str]]) -> None:
    there = made(before) | FOREIGN
    there = _done(there, difference(made(after), there, TAG), prune=True)
    assert difference(made(after), there, TAG) == Difference()


@given(agents, agents)
def test_an_agent_more_only_adds(some: dict[Name, list[str]], more: dict[Name, list[str]]) -> None:
    change = difference(made({**more, **some}), made(some) | FOREIGN, TAG)
    assert change == Difference(add=made({**more, **some}) - made(some))


@given(agents, agents)
def test_pruning_removes_what_is_ours_and_unwanted_and_nothing_else(
    before: dict[Name, list[str]], after: dict[Name, list[str]]
) -> None:
    there = made(before, "gateway-before") | FOREIGN
    change = difference(made(after), there, TAG)
    assert change.remove == made(before, "gateway-before") - made(after)
    assert _done(there, change, prune=True) == made(after) | FOREIGN
    assert _done(there, change, prune=False) == there | made(after)


@given(agents, agents)
def test_without_pruning_no_agent_loses_anything(before: dict[Name, list[str]], after: dict[Name, list[str]]) -> None:
    there = made(before) | FOREIGN
    assert _done(there, difference(made(after), there, TAG), prune=False) >= there


def test_a_policy_or_permission_that_is_otherwise_is_changed() -> None:
    """Bounds can change with a version; a queue keeps the arguments it has (R21)."""
    wanted = made({WEB: ["github.com/acme/*"]})
    older = {
        replace(thing, definition=arguments({"max-length": 5}))
        if isinstance(thing, Policy)
        else replace(thing, write=".*")
        if isinstance(thing, Permission | TopicPermission)
        else thing
        for thing in wanted
    }
    change = difference(wanted, older, TAG)
    assert change == Difference(change=frozenset(wanted - older))
    assert {type(thing) for thing in change.change} == {Policy, Permission, TopicPermission}


@pytest.mark.parametrize(
    "there",
    [
        Queue(name=agent_queue(WEB), arguments=arguments({"x-queue-type": "classic"})),
        Exchange(name=EVENTS, type="direct"),
        User(name=WEB, tags=frozenset({"administrator"})),
        User(name=WEB, tags=frozenset({owner_tag(Name("other"))})),
        User(name=GATEWAY, tags=frozenset()),
    ],
    ids=["queue of another type", "exchange of another type", "administrator", "another installation's", "untagged"],
)
def test_what_cannot_be_changed_and_who_is_not_ours_is_in_the_way(there: Thing) -> None:
    """A user of the right name that somebody else made would bring a password that they know."""
    wanted = made({WEB: ["**"]})
    change = difference(wanted, {there}, TAG)
    assert {identity(thing) for thing in change.blocked} == {identity(there)}
    assert identity(there) not in {identity(thing) for thing in change.add | change.change | change.remove}


def test_a_topic_permission_stays_while_its_user_has_to_have_others() -> None:
    """RabbitMQ takes them away all at once, and then lets everything pass."""
    more = TopicPermission(user=WEB, exchange="amq.topic")
    wanted = made({WEB: ["**"]})
    assert difference(wanted, wanted | {more}, TAG) == Difference()
    assert more in difference(made({}), wanted | {more}, TAG).remove


def test_a_virtual_host_is_one_installations() -> None:
    there = made({WEB: ["**"]}) | FOREIGN
    assert strangers(there, TAG) == frozenset()
    assert strangers(there, "bellpull.other") == {TAG}


def test_a_user_of_ours_may_have_further_tags() -> None:
    wanted = made({})
    there = {replace(t, tags=t.tags | {"monitoring"}) if isinstance(t, User) else t for t in wanted}
    assert difference(wanted, there, TAG) == Difference()


def test_the_gateways_user_is_no_agent() -> None:
    with pytest.raises(ValueError, match="web-1 is an agent"):
        made({WEB: ["**"]}, gateway="web-1")


@given(agents)
def test_an_agents_permissions_name_its_own_queue_and_key_and_no_other(rights: dict[Name, list[str]]) -> None:
    """R21; a dot in a name is that dot: `a.b` and `a-b` are two agents."""
    for permission in (each for each in made(rights) if isinstance(each, Permission) and each.user in rights):
        others = [agent_queue(Name(name)) for name in ("ab", "a-b", "a.b", "aab", "a.bc", *rights)]
        assert permission.configure == "^$"
        assert {name for name in others if re.search(permission.read, name)} <= {agent_queue(Name(permission.user))}
        assert re.search(permission.read, agent_queue(Name(permission.user)))


@given(agents)
def test_an_agent_has_a_topic_permission_for_each_topic_exchange(rights: dict[Name, list[str]]) -> None:
    """RabbitMQ lets everything pass where it has none."""
    things = made(rights)
    topics = {each.name for each in things if isinstance(each, Exchange) and each.type == "topic"}
    for agent in rights:
        assert {t.exchange for t in things if isinstance(t, TopicPermission) and t.user == agent} == topics


def test_arguments_that_could_not_change_are_policies() -> None:
    """R20, R21."""
    things = made({WEB: ["**"]})
    queue = next(each for each in things if isinstance(each, Queue) and each.name == agent_queue(WEB))
    assert dict(queue.arguments) == {"x-queue-type": "quorum", "x-single-active-consumer": True}
    definitions = {each.name: dict(each.definition) for each in things if isinstance(each, Policy)}
    assert definitions["bellpull.agents"]["dead-letter-exchange"] == "bellpull.dead-letters"
    assert not any(
        "dead-letter-exchange" in definitions[each] for each in ("bellpull.dead-letters", "bellpull.gateways")
    )
    assert all(each["max-length"] == 10_000 and each["overflow"] == "drop-head" for each in definitions.values())


def test_looking_at_dead_letters_is_no_delivery_in_vain() -> None:
    """A quorum queue of RabbitMQ 4 drops what was looked at twenty times; a classic one does not count."""
    (queue,) = (each for each in made({}) if isinstance(each, Queue))
    assert (queue.name, dict(queue.arguments)) == ("bellpull.dead-letters", {"x-queue-type": "classic"})


def test_every_queue_fits_one_policy_only() -> None:
    """RabbitMQ takes one policy for a queue, and which of two alike is not said."""
    things = made({WEB: ["**"], Name("gw.1"): ["**"]})
    names = [each.name for each in things if isinstance(each, Queue)] + ["bellpull.gw.a"]
    found = [each.pattern for each in things if isinstance(each, Policy)]
    assert all(sum(bool(re.search(pattern, name)) for pattern in found) == 1 for name in names)


_FITTING = st.sampled_from(["a", "B", "x", "acme", "é", "a/b", "A.b", "", "ß"])


@st.composite
def _admitted(draw: st.DrawFn) -> tuple[str, str, str]:
    """Return a pattern and the host and path of a repository that it admits."""
    pattern = draw(patterns)
    filled = re.sub(r"\*+", lambda _: draw(_FITTING), pattern)
    host, _, path = filled.partition("/")
    assume(matches([pattern], f"{host}/{path}".casefold()))
    assume(path and host)
    return pattern, host, path


@given(_admitted() | st.tuples(patterns, of(Host), repository_paths), ref_names, st.sampled_from(RefKind))
@example(("github.com/" + "a" * 200, "github.com", "A" * 200), "main", RefKind.BRANCH)
@example(("github.com/acme/*", "github.com", "acme/" + "é" * 100), "main", RefKind.BRANCH)
@example(("**/site", "h", "g/site"), "main", RefKind.TAG)
@example(("**", "h", "p"), "a/b.c", RefKind.TAG)
def test_no_pattern_misses_an_event_that_it_admits(case: tuple[str, str, str], ref: str, kind: RefKind) -> None:
    pattern, host, path = case
    repository = Repository(host=Host(host), path=RepositoryPath(path))
    if matches([pattern], repository.key):
        assert hears(bound_to(pattern), routing_key(repository, Ref(kind=kind, name=RefName(ref))))


@pytest.mark.parametrize(
    ("pattern", "binding"),
    [
        ("github.com/acme/site", "github%2ecom.acme.site.*.*"),
        ("GitHub.com/Acme/Site", "github%2ecom.acme.site.*.*"),
        ("github.com/acme/*", "github%2ecom.acme.*.*.*"),
        ("github.com/acme/**", "github%2ecom.acme.*.*.*"),
        ("h/group/sub/site", "h.group.sub/site.*.*"),
        ("h/group/*/site", "h.group.*.*.*"),
        ("h/*/site", "h.*.site.*.*"),
        ("h/site", "h.!.site.*.*"),
        ("h/*", "h.!.*.*.*"),
        ("h/a**", "h.*.*.*.*"),
        ("h/a**/site", "h.*.*.*.*"),
        ("github.com/**", "github%2ecom.*.*.*.*"),
        ("*.example/acme/site", "*.acme.site.*.*"),
        ("*/acme/*", "*.acme.*.*.*"),
        ("**/site", "*.*.*.*.*"),
        ("g**/site", "*.*.*.*.*"),
        ("**", "*.*.*.*.*"),
    ],
)
def test_a_binding_is_as_narrow_as_whole_words_can_be(pattern: str, binding: str) -> None:
    assert bound_to(pattern) == binding


@given(patterns)
def test_no_pattern_hears_what_one_agent_alone_is_told(pattern: str) -> None:
    assert not hears(bound_to(pattern), agent_key(WEB))


@given(agents)
def test_definitions_say_all_there_is_and_come_back(rights: dict[Name, list[str]]) -> None:
    wanted = made(rights)
    hashes = {each.name: "x" for each in wanted if isinstance(each, User)}
    written = orjson.loads(orjson.dumps(to_definitions(wanted, "v", hashes)))
    assert things_of(written, "v") == wanted
    assert things_of(written, "w") == {each for each in wanted if isinstance(each, VirtualHost | User)}


@pytest.mark.parametrize("value", [None, [], {}, {"vhosts": None}, {"vhosts": [{}]}, "x"])
def test_what_are_no_definitions_is_said(value: object) -> None:
    with pytest.raises(ValueError, match="are no definitions of RabbitMQ"):
        things_of(value, "v")


def test_what_others_made_is_read_whatever_it_holds() -> None:
    rows: dict[str, list[object]] = {
        section: []
        for section in ("vhosts", "users", "permissions", "topic_permissions", "exchanges", "policies", "bindings")
    }
    odd = {"vhost": "v", "name": "q", "durable": False, "auto_delete": True, "arguments": {"x-odd": [1, {"a": None}]}}
    (queue,) = things_of({**rows, "queues": [odd], "parameters": [7]}, "v")
    assert isinstance(queue, Queue)
    assert dict(queue.arguments) == {"x-odd": "[1, {'a': None}]", "x-queue-type": "classic"}


def test_a_password_is_kept_as_rabbitmq_keeps_it() -> None:
    """The example of RabbitMQ's own documentation: salt 908D C60A, password `test12`."""
    said = password_hash(b"test12", bytes.fromhex("908DC60A"))
    assert said == "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"


@pytest.mark.parametrize(
    ("binding", "key", "expected"),
    [
        ("a.*", "a.b", True),
        ("a.*", "a", False),
        ("a.#", "a", True),
        ("#.b", "a.a.b", True),
        ("*.*", "a.b.c", False),
        ("a", "b", False),
    ],
)
def test_the_matcher_of_these_tests_is_that_of_a_topic_exchange(binding: str, key: str, expected: bool) -> None:
    assert hears(binding, key) is expected


@pytest.mark.parametrize(
    ("host", "owner", "name"), list(product([None, "github.com"], [None, "acme"], [None, "site"]))
)
def test_a_binding_hears_every_ref_of_its_repository(host: str | None, owner: str | None, name: str | None) -> None:
    repository = Repository(host=Host("github.com"), path=RepositoryPath("acme/site"))
    for kind in RefKind:
        assert hears(binding_key(host, owner, name), routing_key(repository, Ref(kind=kind, name=RefName("a.b/c"))))
