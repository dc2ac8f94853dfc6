"""How Sphinx makes the documentation."""

from bellpull import __version__

project = "bellpull"
author = "The bellpull authors"
copyright = "2026, The bellpull authors"
version = release = __version__

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"bellpull {__version__}"
html_copy_source = False
html_show_sphinx = False
