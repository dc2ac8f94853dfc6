"""`bellpull init` makes what runs, and never harms what is there."""

from pathlib import Path

from bellpull.runtime.jose import load_private
from tests.cli.command import bellpull

MADE = {
    "gateway.yaml": 0o644,
    "secrets": 0o700,
    "secrets/.gitignore": 0o644,
    "secrets/github": 0o600,
    "secrets/seal.jwk": 0o600,
}


def _modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mode & 0o777 for path in folder.rglob("*")}


def test_it_makes_a_folder_that_passes_the_check(tmp_path: Path) -> None:
    ended = bellpull("init", tmp_path / "new")
    assert ended.code == 0
    assert _modes(tmp_path / "new") == MADE
    checked = bellpull("check", "--gateway", tmp_path / "new/gateway.yaml")
    assert [line for line in checked.out.splitlines() if line.startswith("FAILED") and "listen." not in line] == []


def test_it_is_short_and_says_what_comes_next(tmp_path: Path) -> None:
    ended = bellpull("init", cwd=tmp_path)
    assert len((tmp_path / "gateway.yaml").read_text().splitlines()) <= 25
    for said in ("/hooks/github", "what secrets/github holds", "bellpull gateway", "bellpull enroll"):
        assert said in ended.out
    assert ended.err.splitlines()[0] == "wrote gateway.yaml"


def test_the_second_time_it_lists_what_is_there_and_writes_nothing(tmp_path: Path) -> None:
    bellpull("init", tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    ended = bellpull("init", tmp_path)
    assert (ended.code, ended.out) == (1, "")
    for name in ("gateway.yaml", "secrets/seal.jwk", "secrets/github"):
        assert f"{tmp_path / name}: is there already" in ended.err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_one_file_in_the_way_is_enough_even_a_link_to_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/github").symlink_to("nowhere")
    ended = bellpull("init", tmp_path)
    assert ended.code == 1
    assert ended.err.splitlines()[0] == f"{tmp_path}/secrets/github: is there already"
    assert not (tmp_path / "gateway.yaml").exists()


def test_a_folder_that_cannot_be_made_is_an_error_of_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = bellpull("init", tmp_path / "file")
    assert (ended.code, ended.out) == (1, "")
    assert str(tmp_path / "file") in ended.err
    assert "Traceback" not in ended.err


def test_secrets_are_new_each_time_and_never_shown(tmp_path: Path) -> None:
    shown = [bellpull("init", tmp_path / name) for name in ("a", "b")]
    secrets = [(tmp_path / name / "secrets/github").read_text().strip() for name in ("a", "b")]
    assert secrets[0] != secrets[1]
    assert len(secrets[0]) == 64
    key = (tmp_path / "a/secrets/seal.jwk").read_bytes()
    assert load_private(key).kid != load_private((tmp_path / "b/secrets/seal.jwk").read_bytes()).kid
    for ended in shown:
        for secret in (*secrets, key.decode().split('"d": "')[1].split('"')[0]):
            assert secret not in ended.out + ended.err
