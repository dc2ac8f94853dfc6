"""How many files a program takes, of those the system gives; each case is a process of its own."""

import subprocess
import sys

import pytest

LOOK = """
import resource, sys
soft, hard, most = (int(word) for word in sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
from bellpull.runtime import open_files
print(open_files.allow(most), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "taken"),
    [
        pytest.param(256, 900, 900, id="all that there are"),
        pytest.param(256, 256, 256, id="no more than there are"),
        pytest.param(256, 1001, 1000, id="no more than the bound"),
        pytest.param(1001, 1001, 1001, id="never fewer than it had"),
    ],
)
def test_a_program_takes_the_open_files_it_is_given(soft: int, hard: int, taken: int) -> None:
    """R42: 1,024, as most begin with, is fewer than connections may be."""
    asked = [sys.executable, "-c", LOOK, str(soft), str(hard), "1000"]
    ended = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == [str(taken), str(taken), str(hard)]
