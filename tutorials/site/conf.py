"""The course as a web site that asks nobody else for anything, not even for its formulas.

.venv/bin/python -m sphinx -W --keep-going -c tutorials/site tutorials build/site

The pages are the notebooks with their stored outputs, `tutorials/index.md`, and in `site/api` the
reference that autodoc writes from the docstrings.
"""

import sys
from pathlib import Path

from npsqueeze import __version__

sys.path.insert(0, str(Path(__file__).parent))

project = "npsqueeze"
release = version = __version__
root_doc = "index"
exclude_patterns = ["**/.ipynb_checkpoints"]
extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "course",  # the file beside this one
]
nb_execution_mode = "off"  # the outputs are stored
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 3
myst_heading_slug_func = "course.jupyter_anchor"

default_role = "py:obj"  # `name` in a docstring is a link where there is something to link to
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings state shapes, which say more than Array
numpydoc_show_class_members = False
add_module_names = False

html_theme = "furo"
html_title = "npsqueeze"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_favicon = "static/icon.svg"
html_copy_source = False
html_show_copyright = False

mathjax_path = "tex-svg.js"  # course.py puts it there
mathjax3_config = {"svg": {"scale": 0.93}}  # as large as the words around it
