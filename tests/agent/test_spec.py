"""The Sync as a person writes it: what is read, and what each mistake is told."""

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from agent.app.sync_files import load_syncs
from agent.core.inbox import Pace
from agent.spec import Sync
from bellpull.contract.repository import Ref, RefKind
from bellpull.contract.text import RefName
from bellpull.runtime.config import ConfigError, load_documents
from bellpull.runtime.duration import duration

SYNCS = Path("/etc/bellpull/syncs.yaml")
URL = "https://git.example/acme/site"
HEAD = "apiVersion: bellpull.dev/v1alpha1\nkind: Sync\n"
SMALLEST = f"""{HEAD}metadata: {{name: site}}
spec:
  source: {{url: {URL}, branch: main}}
  target: {{directory: {{path: site}}}}
"""
LARGEST = f"""{HEAD}metadata: {{name: site, namespace: web}}
spec:
  source: {{url: {URL}.git, tag: v1, path: ./public/, secretRef: {{name: site-git}}}}
  interval: 1h30m
  retryInterval: 90s
  timeout: 1.5m
  target: {{directory: {{path: /srv/site, keepReleases: 7, adopt: true}}}}
"""


def document(*, source: Mapping[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """Return a document that is right but for what is given."""
    return {
        "apiVersion": "bellpull.dev/v1alpha1",
        "kind": "Sync",
        "metadata": {"name": "site"},
        "spec": {
            "source": {"url": URL, "branch": "main", **(source or {})},
            "target": {"directory": {"path": "site"}},
            **spec,
        },
    }


def read(value: object) -> Sync:
    (sync,) = load_syncs({SYNCS: [(1, value)]})
    return sync


def problems(value: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(value)
    return [str(problem).removeprefix("document 1 ") for problem in caught.value.problems]


def from_yaml(tmp_path: Path, written: str) -> tuple[Sync, ...]:
    file = tmp_path / "syncs.yaml"
    file.write_text(written)
    return load_syncs({file: load_documents(file)})


def test_the_smallest(tmp_path: Path) -> None:
    """A name, a URL, a branch and a path are enough; the path is relative to the file."""
    (sync,) = from_yaml(tmp_path, SMALLEST)
    assert sync.name == "default/site"
    assert sync.ref == Ref(kind=RefKind.BRANCH, name=RefName("main"))
    assert sync.spec.timeout == timedelta(minutes=2)
    assert sync.pace == Pace(interval=timedelta(minutes=5), retry=timedelta(minutes=1))
    directory = sync.spec.target.directory
    assert directory is not None
    assert (directory.path, directory.keep_releases, directory.adopt) == (tmp_path / "site", 3, False)
    assert sync.spec.source.secret_ref is None


def test_everything(tmp_path: Path) -> None:
    (sync,) = from_yaml(tmp_path, LARGEST)
    assert sync.name == "web/site"
    assert sync.ref == Ref(kind=RefKind.TAG, name=RefName("v1"))
    assert sync.watches.path == "public"
    assert sync.watches.repository.key == "git.example/acme/site"
    assert sync.pace == Pace(interval=timedelta(minutes=90), retry=timedelta(seconds=90))
    assert sync.spec.timeout == timedelta(seconds=90)
    directory = sync.spec.target.directory
    assert directory is not None
    assert (directory.path, directory.keep_releases, directory.adopt) == (Path("/srv/site"), 7, True)
    assert sync.spec.source.secret_ref is not None
    assert sync.spec.source.secret_ref.name == "site-git"


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    (sync,) = from_yaml(tmp_path, LARGEST)
    assert read(json.loads(sync.model_dump_json(by_alias=True))) == sync


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    """Each with document and field, and no value among them: one is a password."""
    wrong = f"""{SMALLEST}---
apiVersion: bellpull.dev/v2
kind: Sync
metadata: {{name: My_Site, labels: {{}}}}
spec:
  source: {{url: "https://me:s3cr3t@git.example/acme/site", branch: main, tag: v1, path: ../up}}
  interval: 60
  retry_interval: 1m
  timeout: 2d
  target: {{directory: {{path: /, keepReleases: 0, adopt: "yes"}}}}
---
apiVersion: bellpull.dev/v1alpha1
kind: Sync
metadata: {{name: 1}}
---
- no mapping
"""
    with pytest.raises(ConfigError) as caught:
        from_yaml(tmp_path, wrong)
    assert "s3cr3t" not in str(caught.value)
    assert [str(problem) for problem in caught.value.problems] == snapshot(
        [
            "document 2 apiVersion: Input should be 'bellpull.dev/v1alpha1'",
            "document 2 metadata.name: is not a name of a-z, 0-9 and '-' in between, up to 63 characters",
            "document 2 metadata.labels: is not known",
            "document 2 spec.source.url: has credentials in it: name a secretRef instead (files username, password)",
            "document 2 spec.source.path: is not a relative folder without '.', '..' and empty parts",
            "document 2 spec.interval: is no duration: write it with units, such as 30s, 5m or 1h30m",
            "document 2 spec.timeout: is no duration: write it with units, such as 30s, 5m or 1h30m",
            "document 2 spec.target.directory.path: is no path whose last part is a name",
            "document 2 spec.target.directory.keepReleases: Input should be greater than or equal to 1",
            "document 2 spec.target.directory.adopt: is neither true nor false",
            "document 2 spec.retry_interval: is not known",
            "document 3 metadata.name: is not a text (quote it?)",
            "document 3 spec: is missing",
            "document 4: is not a mapping",
        ]
    )


def test_mistakes_in_several_files_name_each() -> None:
    files: dict[Path, list[tuple[int, object]]] = {
        SYNCS: [(1, document(interval="0s"))],
        SYNCS.with_name("more.yaml"): [(2, document(kind="Other"))],
    }
    with pytest.raises(ConfigError) as caught:
        load_syncs(files)
    assert caught.value.lines() == snapshot(
        (
            "/etc/bellpull: syncs.yaml document 1 spec.interval: is not between 1s and 24h",
            "/etc/bellpull: more.yaml document 2 spec.kind: is not known",
        )
    )


def test_the_same_name_twice() -> None:
    again = document(target={"directory": {"path": "elsewhere"}})
    with pytest.raises(ConfigError) as caught:
        load_syncs({SYNCS: [(1, document()), (3, again)], SYNCS.with_name("more.yaml"): [(1, again)]})
    assert [str(problem) for problem in caught.value.problems] == snapshot(
        [
            "syncs.yaml document 3 metadata.name: default/site is there twice: also in document 1",
            "more.yaml document 1 metadata.name: default/site is there twice: also in syncs.yaml document 1",
        ]
    )


@pytest.mark.parametrize(
    ("path", "how"),
    [("site", "is"), ("./site/", "is"), ("/etc/bellpull/x/../site", "is"), ("site/sub", "is inside")],
)
def test_two_syncs_with_one_target(path: str, how: str) -> None:
    """Each would undo the other as drift, also where one is inside the other; the error names both."""
    other = document(target={"directory": {"path": path}}) | {"metadata": {"name": "shop"}}
    with pytest.raises(ConfigError) as caught:
        load_syncs({SYNCS: [(1, other), (2, document())]})
    (problem,) = caught.value.problems
    assert problem.path.endswith("spec.target.directory.path")
    assert f" {how} the target of " in problem.problem
    assert "default/site" in problem.problem
    assert "default/shop" in problem.problem


def test_targets_beside_each_other() -> None:
    other = document(target={"directory": {"path": "site-2"}}) | {"metadata": {"name": "shop"}}
    assert len(load_syncs({SYNCS: [(1, other), (2, document())]})) == 2


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("git://git.example/acme/site", "is not an https://, http:// or ssh:// URL, nor USER@HOST:PATH"),
        ("git.example:acme/site", "names no user: write it in front of the host, such as git@"),
        ("ssh://git.example/acme/site", "names no user: write it in front of the host, such as git@"),
        ("ssh://git:pw@git.example/acme/site", "has a password in it: SSH goes by the key `identity` of a secretRef"),
        ("ssh://git@git.example:0/acme/site", "has a port that is not between 1 and 65535"),
        ("git@git.example:acme/si'te", "has a path with a quote, a backslash or what cannot be printed"),
        (
            "https://me:pw@git.example/acme/site",
            "has credentials in it: name a secretRef instead (files username, password)",
        ),
        (
            "https://token@git.example/acme/site",
            "has credentials in it: name a secretRef instead (files username, password)",
        ),
        ("https://git.example:99999/acme/site", "has a port that is not between 1 and 65535"),
        ("https://git.example:0/acme/site", "has a port that is not between 1 and 65535"),
        (
            "https://git.example/acme/site?token=x",
            "is not a clone URL (https://HOST/PATH, ssh://HOST/PATH or USER@HOST:PATH)",
        ),
        ("https://git.example", "is not a clone URL (https://HOST/PATH, ssh://HOST/PATH or USER@HOST:PATH)"),
        ("/srv/git/site", "is not a clone URL (https://HOST/PATH, ssh://HOST/PATH or USER@HOST:PATH)"),
        ("file:///srv/git", "is not a clone URL (https://HOST/PATH, ssh://HOST/PATH or USER@HOST:PATH)"),
    ],
)
def test_urls_that_are_refused(url: str, problem: str) -> None:
    assert problems(document(source={"url": url})) == [f"spec.source.url: {problem}"]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/acme/site.git",
        "https://git.example:8443/a/b/c",
        "https://[::1]:8080/acme/site",
        "https://git.example/acme/my@site",
    ],
)
def test_urls_that_are_taken(url: str) -> None:
    assert read(document(source={"url": url})).spec.source.url == url


@pytest.mark.parametrize("url", ["git@git.example:acme/site", "ssh://git@git.example:2222/acme/site.git"])
def test_ssh_is_taken_with_a_secret_and_refused_without(url: str) -> None:
    with_secret = read(document(source={"url": url, "secretRef": {"name": "site"}}))
    assert with_secret.spec.source.repository.key == "git.example/acme/site"
    assert problems(document(source={"url": url})) == [
        "spec.source: needs a secretRef for SSH (files identity, known_hosts)"
    ]


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        ("./", ""),
        (".", ""),
        ("", ""),
        ("./public", "public"),
        ("public/", "public"),
        (".//a/b", "a/b"),
        ("././a", "a"),
        (".well-known", ".well-known"),
    ],
)
def test_paths_as_flux_writes_them(path: str, normal: str) -> None:
    assert read(document(source={"path": path})).watches.path == normal


@pytest.mark.parametrize("path", ["/public", "..", "a/../b", "a//b", "./..", "a\0b", "a/./b"])
def test_paths_that_are_refused(path: str) -> None:
    assert problems(document(source={"path": path})) == [
        "spec.source.path: is not a relative folder without '.', '..' and empty parts"
    ]


@pytest.mark.parametrize(
    ("refs", "problem"),
    [
        ({"branch": None}, "spec.source: needs exactly one of branch and tag"),
        ({"tag": "v1"}, "spec.source: needs exactly one of branch and tag"),
        (
            {"branch": "refs/heads/main"},
            "spec.source.branch: is a full ref: write the name of the branch or tag alone",
        ),
        ({"branch": "-x"}, "spec.source.branch: is not a ref name that git check-ref-format admits"),
        ({"branch": None, "tag": ""}, "spec.source.tag: is not a ref name that git check-ref-format admits"),
    ],
)
def test_refs_that_are_refused(refs: Mapping[str, str | None], problem: str) -> None:
    assert problems(document(source=refs)) == [problem]


@pytest.mark.parametrize("name", ["../etc", "a/b", ".", "..", "A", "", "a" * 254, "x\n"])
def test_names_of_secrets_are_never_paths(name: str) -> None:
    (problem,) = problems(document(source={"secretRef": {"name": name}}))
    assert problem.startswith("spec.source.secretRef.name: is not the name of a secret")


@pytest.mark.parametrize("name", ["A", "a_b", "-a", "a-", "", "a" * 64, "a.b", "a\n"])
@pytest.mark.parametrize("field", ["name", "namespace"])
def test_names_are_dns_labels(field: str, name: str) -> None:
    (problem,) = problems(document() | {"metadata": {"name": "site"} | {field: name}})
    assert problem.startswith(f"metadata.{field}: is not a name of")


@pytest.mark.parametrize("path", ["/", ".", "", "..", "a/..", "~/site", "a\0b"])
def test_targets_that_are_refused(path: str) -> None:
    (problem,) = problems(document(target={"directory": {"path": path}}))
    assert problem.startswith("spec.target.directory.path: ")


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("1s", 1), ("1m30s", 90), ("1h", 3600), ("1.5h", 5400), ("0.5s", 0.5), ("250ms", 0.25), ("1m0.5s", 60.5)],
)
def test_durations(written: str, seconds: float) -> None:
    assert duration(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value", ["", "5", "5 m", "m", "-5m", "5M", "1d", "PT5M", "5m\n", "1e3s", "٣s", 60, 1.5, None]
)
def test_what_is_no_duration(value: object) -> None:
    with pytest.raises(ValueError, match="is no duration: write it with units"):
        duration(value)


@given(st.text(alphabet="0123456789.hms", max_size=40))
def test_any_text_is_a_duration_or_an_error(written: str) -> None:
    """Nothing else is raised, however large the numbers."""
    try:
        value = duration(written)
    except ValueError as error:
        value, problem = None, str(error)
    else:
        problem = "is no duration"
    assert problem.startswith("is no duration")
    assert value is None or value >= timedelta()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
        max_leaves=10,
    )
)
def test_any_document_is_a_sync_or_an_error(value: object) -> None:
    with pytest.raises(ConfigError):
        load_syncs({SYNCS: [(1, value)]})


def test_the_retry_is_never_longer_than_the_interval() -> None:
    assert read(document(interval="10s")).pace == Pace(interval=timedelta(seconds=10), retry=timedelta(seconds=10))


def test_the_policy_knows_what_decides_what_is_made() -> None:
    """R35: another target is made anew; how many releases are kept changes nothing that is there."""
    policy = read(document()).policy
    assert policy == read(document(interval="1m")).policy
    assert policy == read(document(target={"directory": {"path": "site", "keepReleases": 9}})).policy
    assert policy == read(document(guard={"accept": "a" * 40}, reportOutput=True)).policy
    assert policy == read(document(target=changing(command=["true"]))).policy
    assert policy != read(document(target={"directory": {"path": "elsewhere"}})).policy


def changing(**on_change: object) -> dict[str, object]:
    return {"directory": {"path": "site", "onChange": on_change}}


def test_a_command_and_a_guard() -> None:
    """An argument list with a time; which share may go, and which commit may do more."""
    spec = read(document()).spec
    assert (spec.guard.share, spec.guard.accept, spec.report_output) == (50, None, False)
    assert spec.target.directory is not None
    assert spec.target.directory.on_change is None
    target = changing(command=["systemctl", "reload", "nginx"], timeout="1m")
    spec = read(document(target=target, guard={"maxDeletions": "0%", "accept": "a" * 40}, reportOutput=True)).spec
    assert spec.target.directory is not None
    on_change = spec.target.directory.on_change
    assert on_change is not None
    assert (on_change.command, on_change.timeout) == (("systemctl", "reload", "nginx"), timedelta(minutes=1))
    assert (spec.guard.share, spec.guard.accept, spec.report_output) == (0, "a" * 40, True)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"target": changing()}, "spec.target.directory.onChange.command"),
        ({"target": changing(command=[])}, "spec.target.directory.onChange.command"),
        ({"target": changing(command="systemctl reload nginx")}, "spec.target.directory.onChange.command"),
        ({"target": changing(command=[""])}, "spec.target.directory.onChange"),
        ({"target": changing(command=["a\0b"])}, "spec.target.directory.onChange.command[0]"),
        ({"target": changing(command=["x"], timeout="11m")}, "spec.target.directory.onChange.timeout"),
        ({"guard": {"maxDeletions": 50}}, "spec.guard.maxDeletions"),
        ({"guard": {"maxDeletions": "101%"}}, "spec.guard.maxDeletions"),
        ({"guard": {"accept": "abc1234"}}, "spec.guard.accept"),
        ({"reportOutput": "yes"}, "spec.reportOutput"),
    ],
)
def test_a_command_or_guard_that_is_wrong_is_named(spec: dict[str, Any], field: str) -> None:
    (problem,) = problems(document(**spec))
    assert problem.startswith(f"{field}: ")


def test_the_schema_has_the_names_that_people_write() -> None:
    schema = Sync.model_json_schema()
    assert schema["additionalProperties"] is False
    spec = schema["$defs"]["Spec"]["properties"]
    assert list(spec) == ["source", "interval", "retryInterval", "timeout", "guard", "reportOutput", "target"]
    assert spec["interval"]["default"] == "5m"
