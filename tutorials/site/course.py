"""What Sphinx does not do by itself for the site: MathJax, links, the source of every module."""

import hashlib
import re
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import download_reference, pending_xref
from sphinx.application import Sphinx
from sphinx.errors import ConfigError
from sphinx.util.fileutil import copy_asset

import npsqueeze

# One file holds all of MathJax 3.2.2; with SVG it loads no fonts, so that it also works from file://
MATHJAX = "mathjax/static/mathjax/es5/tex-svg.js"
MATHJAX_SHA256 = "2af9375000b5a3669be94d436ae1c61159855283cd18b3ee9817fb71c8f94c84"
SOURCE = re.compile(r"\.\./(npsqueeze(?:/\w+)+)(?:\.py|/)?")


def jupyter_anchor(title: str) -> str:
    """Return the anchor that Jupyter gives to a heading."""
    return title.replace(" ", "-")


def add_mathjax(app: Sphinx) -> None:
    """Copy MathJax from its package (pip alone gets it; npm is not needed) into the site."""
    package, _, path = MATHJAX.partition("/")
    source = Path(str(resources.files(package) / path))
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


def show_every_module(app: Sphinx) -> Iterable[tuple[str, dict[str, object], str]]:
    """Have viewcode show the modules that the reference leaves out, too."""
    package = Path(npsqueeze.__file__).parent
    for path in package.rglob("*.py"):
        name = ".".join(path.relative_to(package.parent).with_suffix("").parts)
        name = name.removesuffix(".__init__")
        code = path.read_text(encoding="utf-8")
        if path.stem != "__main__":  # viewcode imports a module, and this one would run
            app.env._viewcode_modules.setdefault(name, (code, {}, {}, name))
    return ()


def mend_notebook(app: Sphinx, document: nodes.document) -> None:
    """Lead links like ../npsqueeze/optim.py to the page that shows the code; let formulas be.

    Sphinx puts a formula of several lines into `split`, where it may not have a \\tag.
    """
    for kind in (download_reference, pending_xref):
        for link in list(document.findall(kind)):
            module = SOURCE.fullmatch(link["reftarget"])
            if module:
                page = app.builder.get_relative_uri(app.env.docname, f"_modules/{module[1]}")
                link.replace_self(nodes.reference("", "", *link.children, refuri=page))
    for formula in document.findall(nodes.math_block):
        if r"\tag" in formula.astext():
            formula[:] = [nodes.Text(r"\begin{equation*}" + formula.astext() + r"\end{equation*}")]
            formula["no-wrap"] = True


def setup(app: Sphinx) -> None:
    """Connect the functions above."""
    app.connect("builder-inited", add_mathjax)
    app.connect("autodoc-process-docstring", prepare_docstring, priority=400)  # then numpydoc
    app.connect("html-collect-pages", show_every_module, priority=400)  # then viewcode
    app.connect("doctree-read", mend_notebook, priority=400)  # before Sphinx collects downloads
