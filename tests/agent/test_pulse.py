from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from agent.core.pulse import Beat, Pulse

T0 = datetime(2026, 1, 1, tzinfo=UTC)
seconds = st.floats(min_value=0, max_value=700, allow_nan=False)
chances = st.floats(min_value=0, max_value=1, allow_nan=False)


def test_a_new_agent_says_everything_at_once() -> None:
    """Whoever listens knows the whole state one heartbeat after a start."""
    assert Pulse().due(T0) is Beat.FULL


def test_a_change_is_said_within_five_seconds_and_not_before() -> None:
    """Changes coalesce: at most one full state in five seconds (R23)."""
    pulse = Pulse().sent(Beat.FULL, T0, 0.5).owe()

    assert pulse.due(T0 + timedelta(seconds=4.9)) is None
    assert pulse.due(T0 + timedelta(seconds=5)) is Beat.FULL


@given(chance=chances)
def test_a_digest_comes_every_thirty_seconds_within_a_fifth(chance: float) -> None:
    """At rest there is a digest after 24 to 36 s, wherever chance puts it."""
    pulse = Pulse().sent(Beat.FULL, T0, chance)

    due = pulse.next_due(T0)

    assert timedelta(seconds=23.99) <= due - T0 <= timedelta(seconds=36.01)
    assert pulse.due(due) is Beat.DIGEST


@given(steps=st.lists(st.tuples(seconds, st.booleans(), chances), max_size=60))
def test_the_full_state_is_never_older_than_ten_minutes(steps: list[tuple[float, bool, float]]) -> None:
    """Whatever changes when, whoever sends all that is due has sent the full state within ten minutes."""
    pulse, now, last_full = Pulse(), T0, T0 - timedelta(minutes=10)
    for wait, change, chance in steps:
        now = min(now + timedelta(seconds=wait), max(pulse.next_due(now), now))
        pulse = pulse.owe() if change else pulse
        beat = pulse.due(now)
        if beat is Beat.FULL:
            last_full = now
        if beat is not None:
            pulse = pulse.sent(beat, now, chance)

        assert now - last_full <= timedelta(minutes=10)
