"""The gateway as a process, on files that cannot be used."""

import subprocess
import sys
from pathlib import Path

import pytest

from bellpull.runtime.jose import dump_private, generate
from gateway.app.main import DISK_FAILED

CONFIG = """\
installation: acme
data: data
seal: {key: {file: seal.jwk}}
listen: {hooks: "127.0.0.1:0", agents: "127.0.0.1:0", console: "127.0.0.1:0"}
"""
RUN = "import sys; from pathlib import Path; from gateway.app.main import main; sys.exit(main(Path(sys.argv[1])))"


@pytest.mark.parametrize("name", ["journal.db", "state.db"])
def test_a_damaged_file_ends_the_gateway_with_a_code_of_its_own(tmp_path: Path, name: str) -> None:
    """R3: the file is named, and left as it is."""
    damaged = b"not a database, but long enough to be looked at as one " * 100
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    (tmp_path / "seal.jwk").write_bytes(dump_private(generate()))
    (tmp_path / "seal.jwk").chmod(0o600)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_bytes(damaged)
    command = [sys.executable, "-c", RUN, str(tmp_path / "gateway.yaml")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == DISK_FAILED
    assert name in ended.stderr
    assert "not a database" in ended.stderr
    assert (tmp_path / "data" / name).read_bytes() == damaged
