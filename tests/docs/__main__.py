"""Write the generated pages, or with `--check` say which are stale."""

import sys
from pathlib import Path

from tests.docs import ROOT, stale, write


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Return the exit code: 0 well, 1 stale pages, 2 usage."""
    if arguments == []:
        write(root)
        return 0
    if arguments != ["--check"]:
        sys.stderr.write("usage: python -m tests.docs [--check]\n")
        return 2
    pages = stale(root)
    for name in pages:
        sys.stderr.write(f"docs/reference/{name} is not what the code says now: run make docs\n")
    return 1 if pages else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
