"""The course as a web site that asks nobody else for anything, not even for its formulas.

.venv/bin/python -m sphinx -W --keep-going -c tutorials/site tutorials build/site

The pages are the notebooks with their stored outputs, `tutorials/index.md`, and in `site/api` the
reference that autodoc writes from the docstrings.
"""

import hashlib
import re
from importlib import resources
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import download_reference
from sphinx.application import Sphinx
from sphinx.errors import ConfigError
from sphinx.util.fileutil import copy_asset

from npsqueeze import __version__

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
]
nb_execution_mode = "off"  # the outputs are stored
myst_enable_extensions = ["amsmath", "dollarmath"]

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

# One file holds all of MathJax 3.2.2; with SVG it loads no fonts, so that it also works from file://
MATHJAX = "tex-svg.js"
MATHJAX_SHA256 = "2af9375000b5a3669be94d436ae1c61159855283cd18b3ee9817fb71c8f94c84"
mathjax_path = MATHJAX
mathjax3_config = {"svg": {"scale": 0.93}}  # as large as the words around it


def add_mathjax(app: Sphinx) -> None:
    """Copy MathJax from its package (pip alone gets it; npm is not needed) into the site."""
    source = Path(str(resources.files("mathjax") / "static/mathjax/es5" / MATHJAX))
    if hashlib.sha256(source.read_bytes()).hexdigest() != MATHJAX_SHA256:
        raise ConfigError(f"{source.name} is not MathJax 3.2.2 as django-static-mathjax ships it")
    copy_asset(source, app.outdir / "_static")


def prepare_docstring(
    app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]
) -> None:
    """Let "Derived in tutorials/04_pooling.ipynb" lead there; keep the lines of indented code."""
    text = re.sub(r"tutorials/(\w+)\.ipynb", r":doc:`/\1`", "\n".join(lines))
    section = re.search(r"\n\w+\n---", text)
    prose, sections = (text[: section.start()], text[section.start() :]) if section else (text, "")
    prose = re.sub(r"(\n(?!\.\. )\S.*\n\n)(?=    \S)", r"\1::\n\n", "\n" + prose)
    lines[:] = (prose + sections).split("\n")


def mend_notebook(app: Sphinx, document: nodes.document) -> None:
    """Lead links like ../npsqueeze/optim.py to the page that shows this file; let formulas be.

    Sphinx puts a formula of several lines into `split`, where it may not have a \\tag.
    """
    for link in list(document.findall(download_reference)):
        module = re.fullmatch(r"\.\./(npsqueeze/[\w/]+)\.py", link["reftarget"])
        if module:
            uri = app.builder.get_relative_uri(app.env.docname, f"_modules/{module[1]}")
            link.replace_self(nodes.reference("", "", *link.children, refuri=uri, internal=True))
    for formula in document.findall(nodes.math_block):
        if r"\tag" in formula.astext():
            formula[:] = [nodes.Text(r"\begin{equation*}" + formula.astext() + r"\end{equation*}")]
            formula["no-wrap"] = True


def setup(app: Sphinx) -> None:
    """Connect the functions above."""
    app.connect("builder-inited", add_mathjax)
    app.connect("autodoc-process-docstring", prepare_docstring, priority=400)  # then numpydoc
    app.connect("doctree-read", mend_notebook, priority=400)  # before Sphinx collects downloads
