"""A file of a megabyte, written to do harm, is refused at once: it neither ends the process nor holds it up."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from bellpull.runtime.yaml_files import MAX_FILE, YamlError, read_documents

PROMPT_S: Final = 10.0
_READ: Final = """
import sys
from pathlib import Path
from bellpull.runtime.yaml_files import YamlError, read_documents
try:
    read_documents(Path(sys.argv[1]))
except YamlError as error:
    print(error)
"""
_DEEP: Final = "is nested more than 50 deep"
_MERGES: Final = "\n".join(f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9))
_ALIASES: Final = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9))

HARMFUL: Final = {
    "lists in lists": ("agent: " + "[" * 100_000, f"line 1: {_DEEP}"),
    "lists in lists that are ended": ("\n\nagent: " + "[" * 100_000 + "]" * 100_000, f"line 3: {_DEEP}"),
    "lists of items": ("- " * 500_000, f"line 1: {_DEEP}"),
    "mappings in mappings": ("{a: " * 200_000, f"line 1: {_DEEP}"),
    "keys in keys": ("[? " * 300_000, f"line 1: {_DEEP}"),
    "lists in lists in a second document": ("a: 1\n---\n" + "[" * 100_000, f"line 3: {_DEEP}"),
    "merges of merges": (f"a0: &a0 {{x: 1}}\n{_MERGES}\n", "line 1: anchors are not used here"),
    "aliases of aliases": (f"a0: &a0 [x]\n{_ALIASES}\n", "line 1: anchors are not used here"),
    "a list that holds itself": ("a: &a [*a]\n", "line 1: anchors are not used here"),
    "an anchor of a text": ("a: 1\nb: &b text\n", "line 2: anchors are not used here"),
    "an alias": ("a: 1\nb: *a\n", "line 2: aliases are not used here"),
    "a merge": ("a: 1\n<<: {b: 2}\n", "line 2: merge keys are not used here (quote a text that is '<<')"),
    "a number in base 60": ("a: 1" + ":1" * 400_000, "line 1: is an unquoted text of more than 4096 characters"),
    "a fraction in base 60 beyond bounds": (
        "a: 1" + ":1" * 500 + ".5",
        "has a number or date that is none (quote it, if it is a text)",
    ),
    "a day that is none": ("a: 2026-02-30", "has a number or date that is none (quote it, if it is a text)"),
    "a tag on what does not fit it": (
        "a: !!bool x",
        "line 1: is a tag or key that is not known here (quote a value that begins with '!')",
    ),
    "a tag on a key": (
        "!!merge a: {b: 1}",
        "line 1: is a tag or key that is not known here (quote a value that begins with '!')",
    ),
    "more than a megabyte": ("# " + "x" * MAX_FILE, "is larger than 1 MiB"),
}


@pytest.mark.parametrize(("content", "said"), HARMFUL.values(), ids=HARMFUL.keys())
def test_a_harmful_file_is_refused_at_once_by_a_process_that_lives(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(content)
    command = [sys.executable, "-c", _READ, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PROMPT_S, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, said), done.stderr


FITTING: Final = {
    "as deep as may be": ("[" * 50 + "]" * 50, 1),
    "as large as may be": ("#" + "x" * (MAX_FILE - 1), 0),
    "texts that look like it": ("a: '*a'\nb: '&b'\n'<<': c\nd: '!d'\n", 1),
    "many, none deep": ("[1, {a: [2]}]\n---\n" * 100, 101),
    "a long text in quotes": (f"a: '{'x' * 10_000}'\n", 1),
}


@pytest.mark.parametrize(("content", "documents"), FITTING.values(), ids=FITTING.keys())
def test_what_is_within_bounds_is_read(content: str, documents: int, tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(content)
    found, flaws = read_documents(path)
    assert (len(found), flaws) == (documents, ())


def test_the_error_has_the_line_apart(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("a: 1\nb: *hunter2\n")
    with pytest.raises(YamlError) as caught:
        read_documents(path)
    assert caught.value.flaw.line == 2
    assert "hunter2" not in str(caught.value)
