"""Who has to go when there is no room, and who was silent for too long."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellpull.runtime.http.callers import Caller, Callers, Limits
from bellpull.runtime.http.forwarded import network

LIMITS = Limits(connections=4, per_address=2, head_s=8, idle_s=75, proxies=(network("10.0.0.0/8"),))
FAR, OTHER, PROXY, LOOPBACK = "203.0.113.7", "198.51.100.1", "10.1.2.3", "127.0.0.1"


def come(callers: Callers[Caller], address: str, now: float = 0.0) -> tuple[Caller, Caller | None]:
    """Return a new caller, and who had to go for it."""
    caller = Caller(address, callers.limits, now)
    victim = callers.add(caller)
    if victim is not None:
        callers.remove(victim)
    return caller, victim


def asking(callers: Callers[Caller], address: str, now: float = 0.0) -> Caller:
    caller, _ = come(callers, address, now)
    callers.begin(caller, now)
    return caller


def known(callers: Callers[Caller], address: str) -> Caller:
    caller = asking(callers, address)
    callers.vouch(caller)
    return caller


@pytest.mark.parametrize(
    ("address", "closed"),
    [
        pytest.param(FAR, True, id="one address"),
        pytest.param("2001:db8:0:1::9", True, id="one IPv6 network"),
        pytest.param(PROXY, False, id="a trusted proxy speaks for many"),
        pytest.param(LOOPBACK, False, id="loopback, where a proxy may be"),
        pytest.param("::1", False, id="IPv6's loopback"),
        pytest.param("::ffff:127.0.0.1", False, id="loopback as IPv6 writes it"),
        pytest.param("", False, id="no address"),
    ],
)
def test_an_address_has_room_for_so_many_that_say_nothing(address: str, closed: bool) -> None:
    """R42; beyond it the one that has been silent longest goes, never the one that came."""
    callers = Callers[Caller](LIMITS)
    first, _ = come(callers, address)
    come(callers, address.replace("::9", "::7"))
    assert come(callers, address)[1] is (first if closed else None)


def test_whose_head_is_complete_is_closed_for_no_others_of_its_address() -> None:
    """R40: a provider's own addresses can be made to send anything; its pushes are verified all the same."""
    callers = Callers[Caller](LIMITS)
    push = asking(callers, FAR)
    for _ in range(100):
        _, victim = come(callers, FAR)
        assert victim is not push
    callers.end(push, 1.0)
    assert push in callers.all


def test_strangers_go_first_whoever_has_been_silent_or_asking_longest() -> None:
    """R40: who sends heads and never their bodies must not keep out those whose head is on its way."""
    callers = Callers[Caller](LIMITS)
    vouched = known(callers, FAR)
    asks, silent = asking(callers, OTHER, 1.0), come(callers, FAR, 2.0)[0]
    later = asking(callers, OTHER, 3.0)
    victims = [come(callers, LOOPBACK, now)[1] for now in (4.0, 5.0, 6.0)]
    assert victims == [asks, silent, later]
    assert vouched in callers.all


def test_where_all_are_known_the_idle_one_goes_and_nobody_at_work() -> None:
    callers = Callers[Caller](LIMITS)
    at_work = [known(callers, FAR) for _ in range(4)]
    newcomer, victim = come(callers, OTHER)
    assert victim is newcomer
    callers.end(at_work[2], 5.0)
    callers.end(at_work[1], 4.0)
    assert come(callers, OTHER)[1] is at_work[1]
    assert set(at_work) - {at_work[1]} <= set(callers.all)


NEVER = 10_000.0
PACES = (
    pytest.param(FAR, "nothing", 8.0, id="says nothing"),
    pytest.param(PROXY, "nothing", 8.0, id="says nothing, and is a proxy"),
    pytest.param(FAR, "a byte", 8.0, id="begins a head"),
    pytest.param(FAR, "answered", 8.0, id="a stranger between requests"),
    pytest.param(PROXY, "answered", 75.0, id="a proxy between requests"),
    pytest.param(FAR, "known, answered", 75.0, id="known, between requests"),
    pytest.param(FAR, "known, answered, a byte", 8.0, id="known, a slow head"),
    pytest.param(FAR, "asks", NEVER, id="its request is worked on"),
)


@pytest.mark.parametrize(("address", "story", "limit"), PACES)
def test_how_long_each_may_be_silent(address: str, story: str, limit: float) -> None:
    callers = Callers[Caller](LIMITS)
    caller, _ = come(callers, address, 100.0)
    if "asks" in story or "answered" in story:
        callers.begin(caller, 100.0)
    if "known" in story:
        callers.vouch(caller)
    if "answered" in story:
        callers.end(caller, 100.0)
    if "a byte" in story:
        caller.head_since = 100.0
    assert callers.overdue(100.0 + limit - 0.001) == []
    assert callers.overdue(100.0 + limit) == ([] if limit == NEVER else [caller])


STEPS = st.lists(
    st.tuples(st.sampled_from(["come", "begin", "end", "vouch", "go"]), st.integers(0, 30), st.sampled_from("abc")),
    max_size=80,
)


@given(STEPS)
def test_there_are_never_more_than_may_be_and_nobody_at_work_who_is_known_goes(
    steps: Iterable[tuple[str, int, str]],
) -> None:
    callers, met, now = Callers[Caller](LIMITS), list[Caller](), 0.0
    for step, number, letter in steps:
        now += 1
        caller = met[number % len(met)] if met else None
        if step == "come":
            before = set(callers.all)
            new, victim = come(callers, f"203.0.113.{ord(letter)}", now)
            assert victim is None or victim is new or not (victim.known and victim.asking)
            assert victim is not new or all(each.known and each.asking for each in before)
            met.append(new)
        elif caller is None or caller not in callers.all:
            continue
        elif step == "begin" and not caller.asking:
            callers.begin(caller, now)
        elif step == "end" and caller.asking:
            callers.end(caller, now)
        elif step == "vouch" and caller.asking:
            callers.vouch(caller)
        elif step == "go":
            callers.remove(caller)
        assert len(callers.all) <= LIMITS.connections
        strangers = {each for each in callers.all if not each.known}
        assert {*callers._silent, *callers._asking} == strangers
        assert not set(callers._silent) & set(callers._asking)
        assert {each for same in callers._by_key.values() for each in same} == set(callers._silent)
