"""Enrolment records: read from a folder, found by token."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from bellpull.contract.text import Name
from bellpull.runtime.jose import Ed25519Signer, dump_private, generate, public_jwk
from gateway.app.enrolment import Enrolments, load_enrolments

KEY, NEXT_KEY = generate(), generate()


def token(agent: str = "web-1") -> str:
    """Return a token whose random part has underscores, as base64url does."""
    return f"bpa_{agent}_{'s_' * 22}"


def write(folder: Path, file: str = "web-1", *, signers: tuple[Ed25519Signer, ...] = (KEY,), **changes: Any) -> None:
    agent = changes.get("agent", file)
    record = {
        "agent": agent,
        "environments": ["production"],
        "repositories": ["github.com/acme/site"],
        "token": {"sha256": sha256(token(agent).encode()).hexdigest()},
        "keys": [public_jwk(key.public) for key in signers],
    }
    (folder / f"{file}.yaml").write_text(json.dumps(record | changes))


def found(enrolments: Enrolments, value: str) -> str | None:
    record = enrolments.by_token(value.encode())
    return None if record is None else record.agent


def test_an_agent_is_known_by_its_whole_token_and_nothing_less(tmp_path: Path) -> None:
    for agent in ("web-1", "web-10", "a.b"):
        write(tmp_path, agent)
    enrolments = load_enrolments(tmp_path)
    for agent in ("web-1", "web-10", "a.b"):
        assert found(enrolments, token(agent)) == agent
    good = token()
    hashed = enrolments.records[Name("web-1")].token.sha256
    wrong = ["", "bpa_", "bpa__", good[:-1], good + "x", good[4:], good.upper(), " " + good, "bpa_other_" + "s" * 43]
    wrong += [good.replace("web-1", "web-2"), hashed, f"bpa_web-1_{hashed}"]
    assert [found(enrolments, each) for each in wrong] == [None] * len(wrong)
    assert enrolments.by_token(b"bpa_web-1_\xff") is None


def test_several_report_keys_are_good_while_they_are_rotated(tmp_path: Path) -> None:
    write(tmp_path, signers=(KEY, NEXT_KEY))
    assert load_enrolments(tmp_path).records[Name("web-1")].pinned.keys() == {KEY.kid, NEXT_KEY.kid}


@pytest.mark.parametrize("folder", ["", "absent"])
def test_no_records_are_no_agents(tmp_path: Path, folder: str) -> None:
    assert load_enrolments(tmp_path / folder).records == {}


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "README").write_text("{")
    (tmp_path / ".web-1.yaml.tmp").write_text("{")
    assert load_enrolments(tmp_path).records.keys() == {"web-1"}


def test_a_wrong_record_admits_nobody_and_everything_wrong_with_it_is_said(tmp_path: Path) -> None:
    """Neither does it keep out anybody else, nor keep a removed record's token alive."""
    private = json.loads(dump_private(KEY))
    write(tmp_path, "a", repositories=[])
    write(tmp_path, "b", signers=(), token={"sha256": "hunter2"})
    write(tmp_path, "c", keys=[private])
    write(tmp_path, "d")
    write(tmp_path, "e", agent="d")
    write(tmp_path, "f")

    enrolments = load_enrolments(tmp_path)

    said = [str(problem) for problem in enrolments.problems]
    assert enrolments.records.keys() == {"f"}
    assert [line.split(": ")[:2] for line in said] == [
        ["a.yaml", "repositories"],
        ["b.yaml", "token.sha256"],
        ["b.yaml", "keys"],
        ["c.yaml", "keys[0] is a private key; only its public half belongs here"],
        ["e.yaml", "agent"],
    ]
    assert "hunter2" not in str(said)
    assert private["d"] not in str(said)
