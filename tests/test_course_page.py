"""Every formula names its notebook, and the course's last page leads to each of them."""

import ast
import importlib
import inspect
import re
from typing import Any

import pytest

from npsqueeze import functional
from tests.test_tutorials import FOLDER, NOTEBOOKS, cells

MATHEMATICS = (
    "averaging", "explaining", "functional", "gradient_check", "init", "metaparameters", "optim",
    "reference", "schedules",
)  # fmt: skip
FORMULA = re.compile(r"\.\. math::|[Σ∂√π·²ᵀ←]| = |\)/\(")
SECTION = re.compile(
    r"^(Parameters|Attributes|Returns|Yields|Raises|References)\n-+$", re.MULTILINE
)
LAST_PAGE = "12_looking_inside.ipynb"


def public(module: str) -> dict[str, Any]:
    """Return the public functions and classes of a module, by name."""
    home = importlib.import_module(f"npsqueeze.{module}")
    names = getattr(home, "__all__", None) or [
        name
        for name, value in vars(home).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == home.__name__
    ]
    members = {name: getattr(home, name) for name in names}
    return {
        name: value
        for name, value in members.items()
        if inspect.isfunction(value) or inspect.isclass(value)
    }


def states_a_formula(docstring: str) -> bool:
    """Tell whether there is a formula before the list of parameters."""
    return bool(FORMULA.search(SECTION.split(docstring)[0]))


def named_notebooks(docstring: str | None) -> list[str]:
    return re.findall(r"Derived in tutorials/(\w+\.ipynb)\.", docstring or "")


def operation(name: str) -> str:
    return re.sub("_(forward|backward)$", "", name)


FORMULAS = {
    f"{module}.{name}": value.__doc__
    for module in MATHEMATICS
    for name, value in public(module).items()
    if states_a_formula(inspect.getdoc(value) or "")
}


def test_the_formulas_are_found() -> None:
    assert len(FORMULAS) >= 45
    assert FORMULAS.keys() >= {
        "averaging.Average", "explaining.saliency", "functional.conv2d_backward",
        "functional.fire_forward", "functional.relu_forward",
        "gradient_check.gradcheck_directional", "init.he_normal", "metaparameters.fire_channels",
        "optim.AdamW", "optim.SGD",
        "reference.matmul", "schedules.cosine", "schedules.learning_rate",
    }  # fmt: skip


@pytest.mark.parametrize("name", FORMULAS)
def test_a_docstring_that_states_a_formula_names_its_notebook(name: str) -> None:
    named = named_notebooks(FORMULAS[name])
    assert len(named) == 1
    assert named[0] in NOTEBOOKS


@pytest.mark.parametrize("name", public("reference"))
def test_a_twin_of_loops_names_the_notebook_of_its_pair(name: str) -> None:
    pairs = {operation(each): getattr(functional, each).__doc__ for each in functional.__all__}
    if operation(name) in pairs:
        twin = public("reference")[name]
        assert named_notebooks(twin.__doc__) == named_notebooks(pairs[operation(name)])


# --- the last page --------------------------------------------------------------------------------


def rows(title: str) -> list[str]:
    """Return the rows of the table below a title in the last notebook."""
    (text,) = (cell["source"] for cell in cells(LAST_PAGE) if f"### {title}\n" in cell["source"])
    below = text.split(f"### {title}\n")[1].split("###")[0]
    return [line for line in below.splitlines() if line.startswith("|")][2:]


def sources(row: str) -> list[tuple[str, str]]:
    """Return the names that a row links, each with its file as seen from `tutorials/`."""
    return re.findall(r"\[`(\w+)`\]\((\.\./npsqueeze/[\w/]+\.py)\)", row)


def docstrings(file: str) -> dict[str, str | None]:
    """Return the functions and classes that a file defines, with their docstrings."""
    tree = ast.parse((FOLDER / file).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.ClassDef)
    return {node.name: ast.get_docstring(node) for node in tree.body if isinstance(node, kinds)}


ROWS = [*rows("The symbols"), *rows("The formulas")]


def test_the_last_page_is_long() -> None:
    assert len(rows("The symbols")) >= 20
    assert len(rows("The formulas")) >= 30


@pytest.mark.parametrize("row", ROWS)
def test_a_row_leads_to_its_functions_and_to_one_notebook(row: str) -> None:
    links = re.findall(r"\]\(([^)]+)\)", row)
    notebooks = [link for link in links if link.endswith(".ipynb")]
    assert len(notebooks) == 1
    assert notebooks[0] in NOTEBOOKS
    assert sources(row)
    assert len(sources(row)) + 1 == len(links)
    for name, file in sources(row):
        assert (FOLDER / file).is_file()
        assert name in docstrings(file)


@pytest.mark.parametrize("row", rows("The formulas"))
def test_a_formula_s_notebook_is_the_one_that_its_function_names(row: str) -> None:
    (notebook,) = re.findall(r"\]\((\w+\.ipynb)\)", row)
    for name, file in sources(row):
        assert named_notebooks(docstrings(file)[name]) in ([], [notebook])


def test_every_formula_is_on_the_last_page() -> None:
    linked = {name for row in rows("The formulas") for name, _ in sources(row)}
    stated = {name.split(".")[1] for name in FORMULAS if not name.startswith("reference.")}
    assert stated - linked == set()
    assert set(functional.__all__) - {"pool_windows"} - linked == set()
