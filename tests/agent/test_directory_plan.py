"""The plan of a release: what Git lists becomes folders, files and links inside the root, or a list of reasons."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.directory import (
    PlannedFile,
    PlannedLink,
    Problem,
    ReleasePlan,
    parents,
    plan_release,
    printable,
)
from agent.core.release import (
    Item,
    Kind,
    Record,
    RecordError,
    ReleaseName,
    compare,
    count,
    expected,
    releases_to_remove,
)
from agent.core.tree import EntryMode, TreeEntry
from bellpull.contract.report import Counts

ROOM = 300


def oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()  # noqa: S324  # Git's own ids


def file(path: bytes, data: bytes = b"", mode: EntryMode = EntryMode.FILE) -> TreeEntry:
    return TreeEntry(path=path, mode=mode, oid=oid(data))


def plan(*entries: TreeEntry, **links: bytes) -> ReleasePlan | tuple[Problem, ...]:
    targets = {path.encode(): target for path, target in links.items()}
    linked = [file(path, target, EntryMode.LINK) for path, target in targets.items()]
    return plan_release([*entries, *linked], targets, room=ROOM)


def problems_of(entries: list[TreeEntry], targets: Mapping[bytes, bytes]) -> list[str]:
    found = plan_release(entries, targets, room=ROOM)
    assert isinstance(found, tuple)
    return [str(problem) for problem in found]


def test_a_tree_becomes_folders_files_and_links() -> None:
    found = plan(file(b"a/b/run", b"x", EntryMode.EXECUTABLE), file(b"index.html", b"y"), latest=b"a/b/run")
    assert found == ReleasePlan(
        folders=(b"a", b"a/b"),
        files=(
            PlannedFile(path=b"a/b/run", oid=oid(b"x"), executable=True),
            PlannedFile(path=b"index.html", oid=oid(b"y"), executable=False),
        ),
        links=(PlannedLink(path=b"latest", oid=oid(b"a/b/run"), target=b"a/b/run"),),
    )


def test_an_empty_tree_is_an_empty_release() -> None:
    assert plan() == ReleasePlan(folders=(), files=(), links=())


@pytest.mark.parametrize(
    ("path", "names"),
    [
        (b"", "empty"),
        (b"/etc/passwd", "empty"),
        (b"a//b", "empty"),
        (b"a/", "empty"),
        (b".", "part ."),
        (b"../x", "part .."),
        (b"a/../../x", "part .."),
        (b"a/./x", "part ."),
        (b"a\0b", "NUL"),
        (b".git", ".git"),
        (b".git/hooks/post-checkout", ".git"),
        (b"a/.GiT/config", ".git"),
        (b"x" * 256, "256 bytes"),
        (b"/".join([b"x" * 100] * 4), f"may have {ROOM}"),
    ],
)
def test_a_path_no_file_system_should_hold_is_refused(path: bytes, names: str) -> None:
    (problem,) = problems_of([file(path)], {})
    assert problem.startswith(f"{printable(path)}: ")
    assert names in problem


@pytest.mark.parametrize(
    "path",
    [b"\n", b"-rf", b"\xe9t\xe9", "e\u0301".encode(), "é".encode(), b"a b\\c", b".gitignore", b"x" * 255, b"..."],
)
def test_unusual_names_are_names(path: bytes) -> None:
    found = plan(file(path))
    assert isinstance(found, ReleasePlan)
    assert [planned.path for planned in found.files] == [path]


@pytest.mark.parametrize(
    ("links", "names"),
    [
        ({b"l": b"/etc/passwd"}, "not relative"),
        ({b"l": b".."}, "out of the tree"),
        ({b"l": b"a/../../x"}, "out of the tree"),
        ({b"l": b"a/l", b"a/l": b"../../x"}, "out of the tree"),
        ({b"a/b": b"../c", b"l": b"a/b/../../x"}, "out of the tree"),
        ({b"here": b".", b"l": b"here/../x"}, "out of the tree"),
        ({b"l": b"missing/../../x"}, "out of the tree"),
        ({b"l": b"l"}, "circle"),
        ({b"l": b"m", b"m": b"l"}, "circle"),
        ({b"l": b"l/x"}, "circle"),
        ({b"l": b""}, "empty"),
        ({b"l": b"a\0b"}, "NUL"),
        ({b"l": b"x" * 4096}, "4095"),
    ],
)
def test_a_link_that_does_not_stay_inside_is_refused(links: dict[bytes, bytes], names: str) -> None:
    """Absolute, out of the tree by itself or through other links, in a circle: an error that names the link."""
    entries = [file(path, target, EntryMode.LINK) for path, target in links.items()]
    found = problems_of(entries, links)
    assert any(problem.startswith("l: ") and names in problem for problem in found)


@pytest.mark.parametrize(
    "links",
    [
        {b"l": b"a/b"},
        {b"a/l": b".."},
        {b"a/l": b"../b"},
        {b"l": b"missing"},
        {b"l": b"./a//b/."},
        {b"a/b/l": b"../../a/b/x", b"m": b"a/b/l"},
        {b"here": b".", b"l": b"here/here/x"},
    ],
)
def test_a_link_inside_the_tree_is_gits(links: dict[bytes, bytes]) -> None:
    found = plan_release([file(p, t, EntryMode.LINK) for p, t in links.items()], links, room=ROOM)
    assert isinstance(found, ReleasePlan)
    assert {link.path: link.target for link in found.links} == links


@pytest.mark.parametrize(
    "target",
    [b"x/../" * 800 + b"l%d", b"x/" * 1990 + b"../" * 10 + b"l%d", b"./" * 2000 + b"l%d", b"l%d/" + b"x/" * 2000],
    ids=["back and forth", "deep", "still", "at once"],
)
def test_hostile_links_cost_a_bounded_number_of_steps(target: bytes) -> None:
    """Links as many and as long as a tree may hold, each leading to the next, are refused in seconds, not hours."""
    links = {b"l%d" % number: target % (number + 1) for number in range(8000)}
    begun = monotonic()
    found = problems_of([file(path, held, EntryMode.LINK) for path, held in links.items()], links)
    assert found
    assert monotonic() - begun < 60


def test_links_of_a_large_tree_take_few_steps() -> None:
    """50,000 links as package managers make them are a plan."""
    links = {b"a/p%d/a/.bin/q" % number: b"../../../p%d/bin/q" % (number + 1) for number in range(50_000)}
    entries = [file(path, held, EntryMode.LINK) for path, held in links.items()]
    assert isinstance(plan_release(entries, links, room=ROOM), ReleasePlan)


def test_a_chain_longer_than_the_kernel_follows_is_refused() -> None:
    def chain(length: int) -> dict[bytes, bytes]:
        return {b"l%d" % n: b"l%d" % (n + 1) for n in range(length)}

    def entries(links: dict[bytes, bytes]) -> list[TreeEntry]:
        return [file(path, target, EntryMode.LINK) for path, target in links.items()]

    assert isinstance(plan_release(entries(chain(40)), chain(40), room=ROOM), ReleasePlan)
    assert "more than 40" in problems_of(entries(chain(41)), chain(41))[0]


def test_a_tree_that_few_programs_could_remove_is_refused() -> None:
    found = plan_release([file(b"a/" * 200 + b"x")], {}, room=4000)
    assert isinstance(found, tuple)
    assert "201 levels deep" in found[0].problem


def test_a_submodule_is_refused_by_name() -> None:
    (problem,) = problems_of([file(b"vendor/lib", mode=EntryMode.GITLINK)], {})
    assert problem.startswith("vendor/lib: is a submodule")


def test_all_problems_are_found_at_once() -> None:
    links = {b"out": b"../x"}
    entries = [file(b"a"), file(b"a/b"), file(b"c"), file(b"c"), file(b"../d"), file(b"out", mode=EntryMode.LINK)]
    assert sorted(problem.split(":")[0] for problem in problems_of(entries, links)) == ["../d", "a", "c", "out"]


@given(st.binary(min_size=1, max_size=8), st.binary(min_size=1, max_size=8))
def test_law_paths_are_printed_on_one_line_and_apart(one: bytes, other: bytes) -> None:
    assert (printable(one) == printable(other)) == (one == other)
    assert printable(one).isprintable()


parts = st.sampled_from([b"a", b"b", b"c", b"..", b".", b"", b".git", b"a\0", b"\xff"])
paths = st.lists(parts, min_size=1, max_size=4).map(b"/".join)
modes = st.sampled_from(EntryMode)
hostile = st.lists(st.tuples(paths, modes, paths), max_size=8)


@given(hostile)
def test_law_every_tree_gives_problems_or_a_plan_that_stays_inside(
    tree: list[tuple[bytes, EntryMode, bytes]],
) -> None:
    entries = [file(path, mode=mode) for path, mode, _ in tree]
    targets = {path: target for path, mode, target in tree if mode is EntryMode.LINK}
    found = plan_release(entries, targets, room=ROOM)
    if not isinstance(found, ReleasePlan):
        assert found
        return
    made = [*found.folders, *(file.path for file in found.files), *(link.path for link in found.links)]
    assert len(made) == len(set(made))
    for path in made:
        assert {b"", b".", b"..", b".git"}.isdisjoint(path.split(b"/"))
        assert all(folder in found.folders for folder in parents(path))
    links = {link.path: link.target for link in found.links}
    for link in found.links:
        assert follow(link.path, links, 50)


def follow(path: bytes, links: Mapping[bytes, bytes], budget: int) -> bool:
    """Whether following `path` stays inside: rewrites the first link in it until none is left."""
    for end in range(1, path.count(b"/") + 2):
        head, tail = path.split(b"/")[:end], path.split(b"/")[end:]
        if b"/".join(head) in links:
            rest = b"/".join([*head[:-1], links[b"/".join(head)], *tail])
            clean = normal(rest, links)
            return budget > 0 and clean is not None and follow(clean, links, budget - 1)
    return True


def normal(path: bytes, links: Mapping[bytes, bytes]) -> bytes | None:
    """Remove `.`, empty parts and `x/..` up to the first link; None where that leaves the root."""
    done: list[bytes] = []
    todo = path.split(b"/")
    while todo:
        part = todo.pop(0)
        if part == b"..":
            if not done:
                return None
            done.pop()
        elif part not in (b"", b"."):
            done.append(part)
            if b"/".join(done) in links:
                return b"/".join([*done, *todo])
    return b"/".join(done)


items = st.builds(
    Item,
    kind=st.sampled_from([Kind.FILE, Kind.LINK, Kind.FOLDER]),
    mode=st.sampled_from([0o644, 0o755]),
    oid=st.sampled_from(["", "1", "2"]),
)
trees = st.dictionaries(st.binary(min_size=1, max_size=2), items, max_size=6)


@given(trees, trees)
def test_law_no_drift_means_equal_and_every_difference_is_named_once(
    wanted: dict[bytes, Item], found: dict[bytes, Item]
) -> None:
    drift = compare(wanted, found)
    assert (drift is None) == (wanted == found)
    if drift is not None:
        named = [*drift.missing, *drift.extra, *drift.replaced, *drift.changed, *drift.mode]
        differ = {path for path in wanted.keys() | found.keys() if wanted.get(path) != found.get(path)}
        assert sorted(named) == sorted(differ)


def test_drift_names_up_to_ten_paths_and_counts_the_rest() -> None:
    wanted = {b"%02d" % n: Item(kind=Kind.FILE, mode=0o644, oid="1") for n in range(13)}
    text = str(compare(wanted, {}))
    assert text.startswith("00 is gone, 01 is gone, ")
    assert text.endswith("09 is gone, and 3 more")


@given(trees, trees)
def test_law_counts_add_up(before: dict[bytes, Item], after: dict[bytes, Item]) -> None:
    counts = count(before, after)
    old = [item for item in before.values() if item.kind is not Kind.FOLDER]
    new = [item for item in after.values() if item.kind is not Kind.FOLDER]
    assert counts.created + counts.changed + counts.unchanged == len(new)
    assert counts.deleted + counts.changed + counts.unchanged == len(old)


def test_counts_are_of_files_and_links_not_of_folders() -> None:
    same, one, two = (Item(kind=Kind.FILE, mode=0o644, oid=oid) for oid in ("0", "1", "2"))
    folder = Item(kind=Kind.FOLDER, mode=0o755)
    before = {b"": folder, b"gone": folder, b"gone/x": same, b"kept": same, b"changed": one}
    after = {b"": folder, b"kept": same, b"changed": two, b"new": folder, b"new/x": one}
    assert count(before, after) == Counts(created=1, changed=1, unchanged=1, deleted=1)


names = st.builds(ReleaseName, number=st.integers(1, 30), tree=st.just("0" * 12))


@given(st.sets(names), st.none() | names, st.integers(1, 5))
def test_law_the_current_release_is_never_removed(
    releases: set[ReleaseName], current: ReleaseName | None, keep: int
) -> None:
    removed = releases_to_remove(releases, current, keep)
    kept = releases - set(removed)
    assert current not in removed
    assert len(kept) <= max(keep, 1)
    assert all(old < new for old in removed for new in kept - {current})
    assert len(kept) == min(len(releases), keep) or current not in releases


def test_a_releases_name_reads_back_and_foreign_names_are_none() -> None:
    name = ReleaseName.after([ReleaseName(number=9, tree="a" * 12)], "0123456789abcdef")
    assert str(name) == "10-0123456789ab"
    assert ReleaseName.parse(str(name)) == name
    for foreign in (
        "",
        "0-0123456789ab",
        "1-0123",
        "01-0123456789ab",
        "1-0123456789ab/..",
        "x",
        "\u0661-0123456789ab",
    ):
        assert ReleaseName.parse(foreign) is None


files = st.builds(
    Item, kind=st.just(Kind.FILE), mode=st.sampled_from([0o644, 0o755]), oid=st.sampled_from(["a" * 40, "b" * 64])
)
file_paths = st.binary(min_size=1, max_size=6).filter(lambda path: not {0, 47} & set(path))


@given(st.dictionaries(file_paths, files))
def test_law_a_record_reads_back(held: dict[bytes, Item]) -> None:
    whole = {b"": Item(kind=Kind.FOLDER, mode=0o755)} | held
    record = Record(tree="c" * 40, commit="d" * 40, items=whole)
    assert Record.decode(record.encode()) == record


def test_a_record_of_a_plan_is_what_is_expected_of_it() -> None:
    found = plan(file(b"a/b/x", mode=EntryMode.EXECUTABLE), file(b"y\n\t"), l=b"a")
    assert isinstance(found, ReleasePlan)
    record = Record(tree="c" * 40, commit="d" * 40, items=expected(found))
    assert Record.decode(record.encode()).items == expected(found)


@given(st.binary())
def test_law_any_bytes_are_a_record_or_the_one_error(data: bytes) -> None:
    with suppress(RecordError):
        Record.decode(data)


def test_a_record_that_was_cut_short_is_none() -> None:
    record = Record(tree="c" * 40, commit="d" * 40, items={b"x": Item(kind=Kind.FILE, mode=0o644, oid="a" * 40)})
    data = record.encode()
    for length in range(len(data)):
        with pytest.raises(RecordError):
            Record.decode(data[:length])
