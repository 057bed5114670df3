"""The site: `make docs`. The sources are docs/ and reports/, so that links between them work in a checkout too."""

from __future__ import annotations

import hwsim
import hwsim.emulate
import hwsim.report
import hwsim.sweep

# Three verbs share their names with packages; the reference documents the verbs.
from hwsim.api import emulate, report
from hwsim.sweep.run import sweep

hwsim.emulate, hwsim.report, hwsim.sweep = emulate, report, sweep

project = "hwsim"
author = "the hwsim authors"
copyright = "2026, the hwsim authors, Apache-2.0"
version = release = hwsim.__version__

root_doc = "docs/index"
include_patterns = ["docs/**/*.md", "docs/*.md", "docs/notebooks/*.ipynb", "reports/*.md"]
exclude_patterns = ["docs/_build", ".*", "hwsim", "tests", "bench", "rtl", "targets", "build", "dist"]

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
# Links to folders and to sources that are no pages: tests/docs checks that they lead somewhere.
suppress_warnings = ["myst.xref_missing"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True

html_theme = "furo"
html_title = "hwsim"
html_copy_source = False
