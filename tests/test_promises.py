"""The page of promises names tests that are there and say which promise they hold."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "explanation" / "promises.md"


def test_what_a_thief_can_do_names_where_it_was_tried() -> None:
    """R32."""
    part = PAGE.read_text().partition("## When something is stolen\n")[2]
    rows = [line.split(" | ") for line in part.splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 8
    for row in rows:
        tests = re.findall(r"`([^`]+)`", row[-1])
        assert tests, row[0]
        assert all((ROOT / test).exists() for test in tests), tests


def test_every_promise_is_held_by_tests_that_cite_it() -> None:
    rows = re.findall(r"^\| (P\d+) \| .* \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    assert [int(number[1:]) for number, _ in rows] == sorted({int(number[1:]) for number, _ in rows})
    assert len(rows) >= 10
    for number, held_by in rows:
        tests = re.findall(r"`([^`]+)`", held_by)
        assert tests, number
        for test in tests:
            assert re.search(rf"\b{number}\b", (ROOT / test).read_text()), f"{test} does not cite {number}"
