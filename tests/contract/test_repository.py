"""Names of repositories and refs: which are taken, and which are the same."""

import re
import subprocess

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bellpull.contract.errors import ContractError
from bellpull.contract.repository import Ref, RefKind, Repository, commit_or_none
from bellpull.contract.text import is_ref_name
from tests.contract.strategies import ref_names, repository_paths

_SAME = (
    "https://github.com/acme/site",
    "https://github.com/acme/site.git",
    "https://github.com/acme/site/",
    "https://github.com/acme/site.git/",
    "https://github.com//acme//site",
    "https://GitHub.com/Acme/Site.GIT",
    "HTTPS://github.com/acme/site",
    "http://github.com/acme/site",
    "https://github.com:443/acme/site",
    "https://github.com./acme/site",
    "https://octocat@github.com/acme/site",
    "https://octocat:hunter2@github.com:8443/acme/site.git",
    "https://:hunter2@github.com/acme/site",
    "https://github.com/%61cme/site",
    "ssh://git@github.com/acme/site.git",
    "ssh://git@github.com:2222/acme/site",
    "git://github.com/acme/site",
    "git@github.com:acme/site.git",
    "git@github.com:/acme/site.git",
    "github.com:acme/site",
)


@pytest.mark.parametrize("url", _SAME)
def test_every_way_to_write_a_repository_has_one_key(url: str) -> None:
    """A Sync's URL and a payload's meet, or an agent silently never hears (R25)."""
    assert Repository.from_url(url).key == "github.com/acme/site"


@pytest.mark.parametrize("path", ["acme/site2", "acme", "acme/site/sub", "acm/esite", "acme/site.git2"])
def test_other_repositories_have_other_keys(path: str) -> None:
    assert Repository.from_url(f"https://github.com/{path}").key != "github.com/acme/site"


@given(repository_paths, st.sampled_from(["https://{}/{}", "ssh://git@{}:22/{}.git", "git@{}:{}.git/"]))
def test_a_path_of_any_text_comes_through_a_url(path: str, form: str) -> None:
    """But for `USER@HOST:` before a colon, which is refused: what has `::` may be a helper to run."""
    assume(not set(path) & set("?#%") and "//" not in path)
    assume(form.startswith(("https:", "ssh:")) or not path.startswith(":"))
    assert Repository.from_url(form.format("git.example", path)).path == path


@given(st.text() | st.from_regex(r"(https|ssh|git|file|ext)://[a-z@:\[\]./%?#]*", fullmatch=True))
def test_any_text_is_a_repository_or_a_contract_error(url: str) -> None:
    try:
        repository = Repository.from_url(url)
    except ContractError:
        return
    again = Repository.from_url(f"https://{_in_url(repository)}")
    assert again.key == repository.key


def _in_url(repository: Repository) -> str:
    host = f"[{repository.host}]" if ":" in repository.host else repository.host
    return f"{host}/" + re.sub(r"[?#%]", lambda found: f"%{ord(found[0]):02x}", repository.path)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "acme/site",
        "/srv/git/site",
        "file:///srv/git/site",
        "ext::sh -c id",
        "git@git.example::acme/site",
        "https://",
        "https://github.com",
        "https://github.com/",
        "https://github.com/.git",
        "https://github.com/acme/site?x=1",
        "https://github.com/acme/site#main",
        "https://github.com:port/acme/site",
        "https://git hub.com/acme/site",
        "https://-oProxyCommand=x/acme/site",
        "https://github.com/acme/si%0ate",
        "https://github.com/acme/si\nte",
        "https://user@evil@github.com/acme/site",
    ],
)
def test_what_is_no_clone_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ContractError) as caught:
        Repository.from_url(url)
    assert len(url) < len("https://x") or url not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://octocat:hunter2@github.com/acme/site", "https://github.com/acme/site"),
        ("https://ghp_token@github.com/acme/site", "https://github.com/acme/site"),
        ("ssh://git:hunter2@github.com:22/acme/site", "ssh://git@github.com:22/acme/site"),
        ("git@github.com:acme/site", "git@github.com:acme/site"),
    ],
)
def test_no_password_or_token_comes_along_with_a_url(url: str, kept: str) -> None:
    assert Repository.from_url(url).clone_urls == (kept,)


_REF_TEXT = st.lists(
    st.sampled_from(
        [*"aB0-_.@{}/~^:?*[\\ #%!é", "..", "@{", "//", ".lock", "\x7f", "\t", "\n", "\u2028", "\U0001f514", "HEAD"]
    ),
    min_size=1,
    max_size=6,
).map("".join)


_REF_CASES = (
    "main", "feature/x", "a.lock", "a.lock/b", "a.lockb", "a/.b", ".a", "a..b", "a/b.", "a.", "a.b", "a//b", "/a",
    "a/", "@", "a@", "@/a", "a@{b", "a{b", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[", "a]", "a\\b", "a\x7f",
    "a\n", "a\u2028..b", "\u00e9", "\u2028", "HEAD", "a-", "%2e", "\U0001f514",
)  # fmt: skip


@pytest.mark.parametrize("name", _REF_CASES)
def test_we_take_the_ref_names_that_git_takes(name: str) -> None:
    assert is_ref_name(name) == _git_takes(name)


@given(_REF_TEXT)
@settings(max_examples=250, deadline=None)
def test_we_take_the_ref_names_that_git_takes_whatever_they_are(name: str) -> None:
    """Bar a dash at the start, which a command line would take for an option: there we are stricter."""
    assume(not name.startswith("-"))
    assert is_ref_name(name) == _git_takes(name)


def _git_takes(name: str) -> bool:
    git = subprocess.run(["git", "check-ref-format", "--allow-onelevel", name], check=False)
    return git.returncode == 0


@pytest.mark.parametrize("name", ["-", "-x", "--upload-pack=x"])
def test_a_ref_name_that_looks_like_an_option_is_refused(name: str) -> None:
    assert not is_ref_name(name)


@given(st.sampled_from(RefKind), ref_names)
def test_a_full_ref_name_is_read_as_it_is_written(kind: RefKind, name: str) -> None:
    full = Ref(kind=kind, name=name).full  # type: ignore[arg-type]  # the strategy gives ref names only
    assert Ref.parse(full) == Ref(kind=kind, name=name)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "full", ["main", "refs/heads/", "refs/tags/", "refs/notes/x", "refs/pull/1/head", "refs/heads", "HEAD", ""]
)
def test_what_is_neither_branch_nor_tag_is_refused(full: str) -> None:
    with pytest.raises(ContractError):
        Ref.parse(full)


def test_zeros_mean_that_there_is_no_commit() -> None:
    assert commit_or_none("0" * 40) is None
    assert commit_or_none("0" * 64) is None
    assert commit_or_none("a" * 40) == "a" * 40


@pytest.mark.parametrize("value", ["0" * 39, "0" * 41, "A" * 40, "", None, 0, "a" * 64 + "\n"])
def test_what_is_no_commit_is_refused(value: object) -> None:
    with pytest.raises(ContractError, match=r"^after: is not a commit id"):
        commit_or_none(value, "after")
