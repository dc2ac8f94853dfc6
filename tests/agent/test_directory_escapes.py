"""Nothing outside the folder of releases is written, read or deleted by the target `directory`, whoever interferes.

What a tree may hold at all is tried with the plan, and what stands in for the folder itself with the target.
"""

# ruff: noqa: ASYNC240  # tests look at the file system between steps
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent.adapters.directory import DirectoryTarget
from agent.ports.target import TargetError
from tests.agent.trees import COMMIT, MemoryTree


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of somebody else's, with a file."""
    folder = tmp_path / "outside"
    (folder / "docs" / "deep").mkdir(parents=True)
    (folder / "docs" / "precious").write_text("precious")
    return folder


@pytest.fixture
async def target(site: Path) -> AsyncIterator[DirectoryTarget]:
    async with DirectoryTarget(site, keep_releases=1) as target:
        yield target


def held(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def tree(number: int = 1) -> MemoryTree:
    return MemoryTree().file("docs/a", b"%d" % number).file("docs/deep/b").file("index")


class Interfering(MemoryTree):
    """Does something to the release that is being written, before each file is given."""

    act: Callable[[], None]

    def blob(self, oid: str) -> bytes:
        self.act()
        return self.blobs[oid]


def swap_folder(incoming: Path, outside: Path) -> None:
    (folder,) = incoming.glob("*/docs")
    if not folder.is_symlink():
        folder.rename(folder.with_name("moved"))
        folder.symlink_to(outside / "docs")


def swap_release(incoming: Path, outside: Path) -> None:
    release = next(path for path in incoming.iterdir() if path.name != "moved")
    if not release.is_symlink():
        release.rename(release.with_name("moved"))
        release.symlink_to(outside)


def plant_link(incoming: Path, outside: Path) -> None:
    (folder,) = incoming.glob("*/docs")
    if not os.path.lexists(folder / "a"):
        (folder / "a").symlink_to(outside / "docs" / "precious")


@pytest.mark.parametrize("interfere", [swap_folder, swap_release, plant_link])
async def test_a_swap_while_a_release_is_written_redirects_nothing(
    target: DirectoryTarget, site: Path, outside: Path, interfere: Callable[[Path, Path], None]
) -> None:
    """A link in place of a folder, of the release or of a file: the run ends with an error, what is live stays."""
    await target.apply(COMMIT, tree().id, tree())
    before = held(outside)
    hostile = Interfering(tree(2).entries, tree(2).blobs)
    hostile.act = lambda: interfere(site.with_name(".site.bellpull") / "incoming", outside)
    with pytest.raises(TargetError):
        await target.apply(COMMIT, hostile.id, hostile)
    assert held(outside) == before
    assert (site / "docs/a").read_bytes() == b"1"
    await target.apply(COMMIT, tree(2).id, tree(2))
    assert (site / "docs/a").read_bytes() == b"2"
    assert held(outside) == before


def link_in_old_release(site: Path, outside: Path) -> None:
    (site / "docs").rename(site / "away")
    (site / "docs").symlink_to(outside / "docs")


def link_as_old_release(site: Path, outside: Path) -> None:
    release = site.resolve()
    release.rename(release.with_name("away"))
    release.symlink_to(outside)


def links_that_wait(site: Path, outside: Path) -> None:
    home = site.with_name(".site.bellpull")
    for name in ("incoming/2-aaaaaaaaaaaa", "incoming/x", "releases/1-bbbbbbbbbbbb", "records/1-bbbbbbbbbbbb"):
        (home / name).symlink_to(outside)


@pytest.mark.parametrize("interfere", [link_in_old_release, link_as_old_release, links_that_wait])
async def test_removing_old_releases_follows_no_link(
    target: DirectoryTarget, site: Path, outside: Path, interfere: Callable[[Path, Path], None]
) -> None:
    """What is removed is the link, never what it leads to."""
    await target.apply(COMMIT, tree().id, tree())
    before = held(outside)
    interfere(site, outside)
    assert await target.drifted(tree(2).id, full=True)
    await target.apply(COMMIT, tree(2).id, tree(2))
    assert held(outside) == before
    assert (site / "docs/a").read_bytes() == b"2"
    assert len(list(site.parent.glob(".site.bellpull/releases/[0-9]*"))) == 1


@pytest.mark.parametrize("folder", ["releases", "records", "incoming"])
async def test_a_link_in_place_of_our_own_folders_is_refused(
    target: DirectoryTarget, site: Path, outside: Path, folder: str
) -> None:
    await target.apply(COMMIT, tree().id, tree())
    before = held(outside)
    ours = site.with_name(".site.bellpull") / folder
    ours.rename(ours.with_name("away"))
    ours.symlink_to(outside)
    with pytest.raises(TargetError, match=folder):
        await target.apply(COMMIT, tree(2).id, tree(2))
    assert held(outside) == before


async def test_a_link_takes_the_place_of_a_folder_and_a_folder_that_of_a_link(
    target: DirectoryTarget, site: Path
) -> None:
    """As Git has it, in both directions; what the link leads to is not written through it."""
    linked = MemoryTree().file("real/a", b"real").link("docs", b"real")
    for number in (1, 2):
        await target.apply(COMMIT, tree(number).id, tree(number))
        assert (site / "docs/a").read_bytes() == b"%d" % number
        await target.apply(COMMIT, linked.id, linked)
        assert (site / "docs").is_symlink()
        assert held(site) == {"real/a": b"real"} or held(site)["real/a"] == b"real"


@pytest.mark.parametrize(
    ("names", "refused"),
    [
        (["README", "readme", "ReadMe"], False),
        (["con", "nul.txt", "COM1", "a:b", "a\\b", "trailing.", "trailing "], False),
        ([".gitignore", ".github/x", "git", ".git.d/x"], False),
        (["a/.GIT/config"], True),
        ([".Git"], True),
    ],
)
async def test_names_that_other_systems_stumble_over(
    target: DirectoryTarget, site: Path, names: list[str], refused: bool
) -> None:
    """What differs by case, and devices of other systems, are files here; `.git` is refused however it is written."""
    made = MemoryTree()
    for number, name in enumerate(names):
        made.file(name, b"%d" % number)
    if refused:
        with pytest.raises(TargetError, match=r"part \.git"):
            await target.apply(COMMIT, made.id, made)
    else:
        await target.apply(COMMIT, made.id, made)
        assert held(site.resolve()) == {name: b"%d" % number for number, name in enumerate(names)}
