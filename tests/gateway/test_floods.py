"""Who is left out of what agents say, and for how long."""

from gateway.core.floods import Floods


def test_what_an_agent_may_say_leaves_nobody_out() -> None:
    """5,000 words in ten seconds that count, as after a long absence with many Syncs; and again in the next ten."""
    floods = Floods()
    for start in (0.0, 10.0):
        assert not any(floods.add("report.a", start + number / 1000, refused=False) for number in range(5_000))
    assert floods.left_out == frozenset()


def test_what_does_not_count_weighs_ten_times_as_much() -> None:
    floods = Floods()
    said = [floods.add("report.a", 0.0, refused=True) for _ in range(501)]
    assert said.index(True) == 500
    assert floods.left_out == {"report.a"}


def test_others_are_counted_apart() -> None:
    floods = Floods()
    assert not any(floods.add(f"report.{who}", 0.0, refused=True) for who in "abc" for _ in range(500))


def test_it_is_said_once_and_is_over_after_a_minute() -> None:
    floods = Floods()
    assert sum(floods.add("report.a", 1.0, refused=True) for _ in range(2_000)) == 1
    assert not floods.over(60.9)
    assert floods.over(61.0)
    assert floods.left_out == frozenset()
    assert not floods.over(61.0)
    assert any(floods.add("report.a", 61.0, refused=True) for _ in range(600))
