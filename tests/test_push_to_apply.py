"""The page that leads a newcomer through the code names modules and functions that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "explanation" / "push-to-apply.md"


def test_every_module_and_function_it_names_is_there() -> None:
    """A page about code is checked against the code, or it is soon about other code."""
    missing = []
    for row in re.findall(r"^\| .* \| (`.*) \|$", PAGE.read_text(), re.MULTILINE):
        names = re.findall(r"`([^`]+)`", row)
        folder, text = Path(), ""
        for name in names:
            if not name.endswith(".py"):
                missing += [] if re.search(rf"(?:def|class) {name.rpartition('.')[2]}\b", text) else [name]
                continue
            path = Path(name) if "/" in name else folder / name
            folder = path.parent
            missing += [] if (ROOT / path).is_file() else [name]
            text += (ROOT / path).read_text() if (ROOT / path).is_file() else ""
    assert missing == []
    assert "`decide`" in PAGE.read_text()
