"""Settings of Sphinx: `make docs` builds the documentation with warnings as errors."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import lipsync_lab

project = "lipsync_lab"
author = "the authors of lipsync_lab"
version = release = lipsync_lab.__version__
project_copyright = "the authors of lipsync_lab, Apache-2.0"

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc", "metric"]
exclude_patterns = ["_ext"]
myst_heading_anchors = 3
myst_enable_extensions = ["deflist", "colon_fence"]

html_theme = "furo"
html_title = "lipsync_lab"
html_static_path = []
html_copy_source = False
html_show_sphinx = False

# The index of every class's members stands in its own section already.
numpydoc_show_class_members = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
# Docstrings name attributes, columns and values in backquotes, not objects alone.
default_role = "code"
nitpicky = False
