"""The generated pages: what is stale is named, and each says what the code says."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
from pydantic import BaseModel

from agent.app.config import AgentConfig
from agent.spec import Sync
from bellpull.cli.program import VERBS
from bellpull.contract.message import TYPES
from gateway.app.config import GatewayConfig
from gateway.app.enrolment import Enrolment
from tests import docs
from tests.docs.__main__ import main


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return docs.made()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    docs.write(tmp_path)
    return tmp_path


def test_what_was_written_is_not_stale(root: Path) -> None:
    assert docs.stale(root) == []


def test_a_page_that_says_something_else_is_stale(root: Path) -> None:
    page = root / "commands.md"
    page.write_text(page.read_text() + "\n")
    assert docs.stale(root) == ["commands.md"]


def test_a_page_that_is_missing_is_stale(root: Path) -> None:
    (root / "schemas/tick.v1.json").unlink()
    assert docs.stale(root) == ["schemas/tick.v1.json"]


def test_a_schema_of_no_type_is_stale_and_goes(root: Path) -> None:
    (root / "schemas/applause.v1.json").write_text("{}")
    assert docs.stale(root) == ["schemas/applause.v1.json"]
    docs.write(root)
    assert docs.stale(root) == []


def test_a_page_written_by_hand_stays(root: Path) -> None:
    (root / "performance.md").write_text("# Figures\n")
    docs.write(root)
    assert (root / "performance.md").read_text() == "# Figures\n"
    assert docs.stale(root) == []


def test_the_program_says_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--czech"]) == 2
    assert "usage: python -m tests.docs [--check]" in capsys.readouterr().err


def test_the_program_names_stale_pages_and_what_to_do(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    (root / "messages.md").write_text("")
    assert main(["--check"], root) == 1
    assert capsys.readouterr().err == "docs/reference/messages.md is not what the code says now: run make docs\n"


@pytest.mark.parametrize("name", TYPES)
def test_every_type_has_its_fields_on_the_page_and_its_schema(pages: dict[str, str], name: str) -> None:
    short = name.removeprefix("dev.bellpull.")
    section = pages["messages.md"].partition(f"\n## {short}\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)`", section, re.MULTILINE) == [field.name for field in fields(TYPES[name])]
    assert json.loads(pages[f"schemas/{short}.json"])["title"] == name


@pytest.mark.parametrize("model", [GatewayConfig, Enrolment, AgentConfig, Sync])
def test_every_key_of_a_file_is_on_the_page(pages: dict[str, str], model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        assert f"| `{field.alias or name}` |" in pages["configuration.md"]


def test_a_key_has_its_whole_path_its_limits_and_its_default(pages: dict[str, str]) -> None:
    rows = pages["configuration.md"].splitlines()
    (keep,) = (row for row in rows if "keepReleases" in row)
    assert keep.startswith("| `spec.target.directory.keepReleases` | whole number, at least 1, at most 100 | `3` |")


def test_every_verb_is_on_the_page(pages: dict[str, str]) -> None:
    assert re.findall(r"^## (.+)$", pages["commands.md"], re.MULTILINE) == [verb.name for verb in VERBS]
