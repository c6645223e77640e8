"""How Sphinx builds the documentation."""

from __future__ import annotations

import sys
from pathlib import Path

from moorage._version import __version__

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "moorage"
author = "the moorage maintainers"
copyright = author
release = version = __version__

extensions = [
    "myst_parser",
    "portable_names",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build"]
default_role = "code"  # docstrings mark code with single backticks
nitpicky = False  # bases such as msgspec's have no inventory that could be read without a network

myst_enable_extensions = ["attrs_block", "colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "undoc-members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_use_type_comments = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"moorage {release}"
html_theme_options = {"top_of_page_buttons": []}
