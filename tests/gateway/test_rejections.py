"""The list of refused deliveries, and who may push whom off it (R40)."""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.rejections import KEEP, ROWS, Key, Refusal, Rejection, Rejections, presentable
from tests.gateway.examples import T0, seconds

BAD = Refusal(source="github", status=401, address="140.82.115.7", reason="the signature fits none")
TYPE = Refusal(source="github", status=415, address="140.82.115.7", reason="the content type is none")
NOBODY = Refusal(source="", asked="githb", status=404, address="192.0.2.1", reason="no source has that name")


def shown(rejections: Rejections) -> list[tuple[str, str, int]]:
    return [(row.source or row.asked, row.address, row.count) for row in rejections.newest(ROWS)]


def test_the_same_again_is_counted_with_its_first_and_last_time() -> None:
    rejections = Rejections()
    for number in range(3):
        rejections.refuse(BAD, T0 + seconds(number))
    [row] = rejections.newest(10)
    assert (row.count, row.first, row.last) == (3, T0, T0 + seconds(2))


def test_what_differs_is_another_row_and_the_newest_comes_first() -> None:
    rejections = Rejections()
    others = [TYPE, NOBODY, replace(BAD, address="140.82.115.8"), replace(BAD, reason="no signature")]
    for number, refusal in enumerate([BAD, *others]):
        rejections.refuse(refusal, T0 + seconds(number))
    assert [(row.status, row.address, row.reason) for row in rejections.newest(10)] == [
        (refusal.status, refusal.address, refusal.reason) for refusal in [*reversed(others), BAD]
    ]
    assert [row.reason for row in rejections.newest(2)] == ["no signature", BAD.reason]


def test_names_that_are_not_there_make_one_row_with_the_last_of_them() -> None:
    """Inventing names makes no rows; the name is there because it may be somebody's typing error."""
    rejections = Rejections()
    for name in ("githb", "gihub", "github "):
        rejections.refuse(replace(NOBODY, asked=name), T0)
    assert shown(rejections) == [("github ", "192.0.2.1", 3)]


NAMES = {
    "a typing error": ("githb", "githb"),
    "too long": ("x" * 100, "x" * 64 + "..."),
    "control characters": ("a\x1b[2J\nb\x7f", r"a\u{1b}[2J\u{a}b\u{7f}"),
    "bidirectional": ("a\u202eb", r"a\u{202e}b"),
    "what is no text": ("a\udcffb", r"a\u{dcff}b"),
}


@pytest.mark.parametrize(("name", "expected"), NAMES.values(), ids=NAMES.keys())
def test_what_strangers_send_is_shown_short_and_escaped(name: str, expected: str) -> None:
    """R44."""
    assert presentable(name) == expected


@given(st.text(st.characters()))
def test_whatever_is_sent_is_shown_in_printable_ascii(name: str) -> None:
    assert presentable(name).isascii()
    assert presentable(name).isprintable()


def test_one_stranger_with_a_network_of_his_own_has_one_row() -> None:
    """An IPv6 address is its /64."""
    rejections = Rejections()
    for number in range(10_000):
        rejections.refuse(replace(BAD, address=f"2001:db8::{number:x}"), T0)
    assert shown(rejections) == [("github", "2001:db8::/64", 10_000)]


def flood(rejections: Rejections, like: Refusal, times: int = 1, networks: int = 3 * ROWS) -> None:
    for number in range(networks):
        for _ in range(times):
            rejections.refuse(replace(like, address=f"2001:db8:{number:x}::1"), T0)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(
    "like", [BAD, NOBODY, replace(BAD, source="gitea")], ids=["of wrong signatures", "of names", "of another source"]
)
def test_a_flood_pushes_out_its_own_kind_only(like: Refusal, times: int) -> None:
    rejections = Rejections()
    rejections.refuse(TYPE, T0)
    flood(rejections, like, times)
    assert len(rejections) == ROWS
    assert TYPE.reason in {row.reason for row in rejections.newest(ROWS)}


def test_who_keeps_coming_is_not_pushed_out_by_addresses_that_are_used_once() -> None:
    rejections = Rejections()
    for _ in range(2):
        rejections.refuse(BAD, T0)
    flood(rejections, BAD)
    assert ("github", BAD.address, 2) in shown(rejections)


def test_who_is_refused_now_is_there_whoever_else_was_refused_often() -> None:
    """Rows of a flood that is over make room."""
    rejections = Rejections()
    flood(rejections, BAD, times=3)
    for number in range(100):
        rejections.refuse(replace(BAD, address=f"192.0.2.{number}"), T0 + seconds(1 + number))
    assert [row.address for row in rejections.newest(100)] == [f"192.0.2.{number}" for number in reversed(range(100))]


def test_rows_go_when_nothing_was_refused_for_a_week() -> None:
    rejections = Rejections()
    for refusal in (BAD, TYPE, TYPE):
        rejections.refuse(refusal, T0)
    rejections.refuse(NOBODY, T0 + timedelta(days=1))
    rejections.expire(T0 + KEEP)
    assert len(rejections) == 3
    rejections.expire(T0 + KEEP + seconds(1))
    assert shown(rejections) == [("githb", "192.0.2.1", 1)]


def test_a_list_on_disk_that_is_too_long_is_cut_by_the_same_rule() -> None:
    first = Rejections(most=8)
    for number in range(8):
        first.refuse(replace(BAD, address=f"192.0.2.{number}"), T0 + seconds(number))
    second = Rejections(first.newest(8), most=4)
    assert [row.address for row in second.newest(8)] == [f"192.0.2.{number}" for number in (7, 6, 5, 4)]
    assert sorted(key[2] for key in second.changes().gone) == [f"192.0.2.{number}" for number in range(4)]


refusals = st.builds(
    Refusal,
    source=st.sampled_from(["", "github", "gitea"]),
    asked=st.sampled_from(["", "a", "b"]),
    status=st.sampled_from([401, 404]),
    address=st.sampled_from([f"192.0.2.{last}" for last in range(6)]),
    reason=st.sampled_from(["one", "two"]),
)


def groups(rejections: Rejections) -> Counter[tuple[str, int]]:
    return Counter((row.source, row.status) for row in rejections.newest(ROWS))


@given(st.lists(refusals), st.integers(1, 12))
def test_no_kind_loses_a_row_while_another_has_more(said: list[Refusal], most: int) -> None:
    rejections = Rejections(most=most)
    for number, refusal in enumerate(said):
        before = groups(rejections)
        row = rejections.refuse(refusal, T0 + seconds(number))
        after = groups(rejections)
        assert len(rejections) == sum(after.values()) <= most
        assert rejections.newest(1) == [row]
        lost = before - after
        assert all(before[kind] == max(before.values()) for kind in lost)


@given(st.lists(refusals))
def test_while_there_is_room_every_refusal_is_counted_once(said: list[Refusal]) -> None:
    rejections = Rejections()
    for refusal in said:
        rejections.refuse(refusal, T0)
    expected = Counter((each.source, each.status, each.address, each.reason) for each in said)
    assert {row.key: row.count for row in rejections.newest(ROWS)} == expected


def apply(disk: dict[Key, Rejection], rejections: Rejections) -> None:
    changes = rejections.changes()
    for key in changes.gone:
        del disk[key]
    disk.update({row.key: row for row in changes.put})


@given(
    st.lists(
        st.one_of(refusals, st.sampled_from(["written", "refused by the disk", "late", "a day", "started anew"]))
    ),
    st.integers(1, 8),
)
def test_what_was_written_and_what_is_left_to_write_are_the_list(said: list[Refusal | str], most: int) -> None:
    """Whatever comes while it is written, and however often the disk refuses."""
    disk: dict[Key, Rejection] = {}
    rejections, now = Rejections(most=most), T0
    for word in said:
        now += seconds(1)
        changes = rejections.changes()
        match word:
            case Refusal():
                rejections.refuse(word, now)
            case "written":
                apply(disk, rejections)
                rejections.kept(changes)
                assert not rejections.changes()
            case "late":
                apply(disk, rejections)
                rejections.refuse(BAD, now)
                rejections.kept(changes)
            case "a day":
                now += timedelta(days=1)
                rejections.expire(now)
            case "started anew":
                rejections = Rejections(tuple(disk.values()), most=most)
            case _:
                pass
    apply(disk, rejections)
    assert disk == {row.key: row for row in rejections.newest(ROWS)}
    assert _all_fresh(disk, now)


def _all_fresh(disk: dict[Key, Rejection], now: datetime) -> bool:
    return all(row.last >= now - KEEP - timedelta(days=1) for row in disk.values())
