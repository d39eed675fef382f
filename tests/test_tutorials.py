"""The course: its frame, its figures, and that each derivation is held against the library."""

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from npsqueeze import explaining, functional
from npsqueeze.exercises import EXERCISES

FOLDER = Path(__file__).parent.parent / "tutorials"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("[0-9]*.ipynb"))
CAPTION = re.compile(r"\*Figure (\d+)\.(\d+)\. \S.+[.?!)]\*", re.DOTALL)
TAUGHT = [name for name in functional.__all__ if name != "pool_windows"]
HOMES = dict.fromkeys(TAUGHT, functional) | dict.fromkeys(explaining.__all__, explaining)
"""The module of every function that a notebook holds its derivation against."""


def cells(notebook: str) -> list[dict[str, Any]]:
    text = (FOLDER / notebook).read_text(encoding="utf-8")
    return [
        cell | {"source": "".join(cell["source"]), "tags": cell["metadata"].get("tags", [])}
        for cell in json.loads(text)["cells"]
    ]


def code_cells(notebook: str) -> list[dict[str, Any]]:
    return [cell for cell in cells(notebook) if cell["cell_type"] == "code"]


def prose(notebook: str) -> str:
    return "\n\n".join(cell["source"] for cell in cells(notebook) if cell["cell_type"] != "code")


def derived(cell: dict[str, Any]) -> list[str]:
    return [tag.removeprefix("derives:") for tag in cell["tags"] if tag.startswith("derives:")]


def test_there_are_thirteen_notebooks_in_their_order() -> None:
    assert [name[:2] for name in NOTEBOOKS] == [f"{number:02}" for number in range(13)]


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_a_notebook_has_the_frame(notebook: str) -> None:
    first, text = cells(notebook)[0]["source"], prose(notebook)
    assert first.startswith(f"# {notebook[:2]} · ")
    for part in ("You will do", "You will learn", "You need"):
        assert f"**{part}" in first
    assert "\n## Exercises" in text
    assert "\n## Further reading" in text
    for link in re.findall(r"\]\(([\w.]+\.ipynb)\)", text):
        assert (FOLDER / link).is_file(), link


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_outputs_are_stored_in_order_without_errors_or_paths_of_a_machine(notebook: str) -> None:
    counts = [cell["execution_count"] for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    outputs = [output for cell in code_cells(notebook) for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    for output in outputs:
        text = "".join(output.get("text", [])) + "".join(
            output.get("data", {}).get("text/plain", [])
        )
        assert not re.search(r"(?<!\w)/(home|root|tmp|work|opt|usr|Users)/", text), text
    assert (FOLDER / notebook).stat().st_size < 700_000


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_every_figure_has_a_caption_behind_it(notebook: str) -> None:
    all_cells = cells(notebook)
    captions = []
    for cell, following in zip(all_cells, [*all_cells[1:], {"source": ""}], strict=True):
        outputs = cell.get("outputs", [])
        if any("image/png" in output.get("data", {}) for output in outputs):
            caption = re.match(CAPTION, following["source"])
            assert caption, cell["source"]
            captions.append((int(caption[1]), int(caption[2])))
    assert captions == [(int(notebook[:2]), k + 1) for k in range(len(captions))]
    assert captions


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_a_notebook_asks_for_the_exercises_that_name_it(notebook: str) -> None:
    asked = [
        name
        for cell in code_cells(notebook)
        for name in re.findall(r'^exercises\.check\("(\w+)"', cell["source"], re.MULTILINE)
    ]
    expected = [name for name, exercise in EXERCISES.items() if exercise.notebook == notebook]
    assert set(asked) == set(expected)
    assert expected


@pytest.mark.parametrize("name", HOMES)
def test_every_function_is_derived_in_the_one_notebook_that_its_docstring_names(name: str) -> None:
    notebooks = [
        notebook
        for notebook in NOTEBOOKS
        if any(name in derived(cell) for cell in code_cells(notebook))
    ]
    named = re.findall(r"tutorials/(\w+\.ipynb)", getattr(HOMES[name], name).__doc__ or "")
    assert named == notebooks
    assert len(named) == 1


def wrong_twins(function: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Yield versions of a library function, each with another one of its results slightly wrong."""

    def change(value: Any) -> Any:
        return value + 1 if isinstance(value, int) else value * 1.001

    def spoil(result: Any, place: int) -> Any:
        """Return the result with its part number `place` wrong; IndexError if there is none."""
        is_pair = function.__name__.endswith("_forward")
        if isinstance(result, tuple):
            parts: list[Any] = list(result[:1] if is_pair else result)
            part = parts[place]
            if isinstance(part, dict):
                part = {name: change(value) for name, value in part.items()}
            else:
                part = None if part is None else change(part)
            return (*result[:place], part, *result[place + 1 :])
        return [change(result)][place]

    for place in range(3):

        def twin(*args: Any, place: int = place, **kwargs: Any) -> Any:
            return spoil(function(*args, **kwargs), place)

        yield twin


@pytest.mark.parametrize(
    "notebook", [name for name in NOTEBOOKS if any(map(derived, code_cells(name)))]
)
def test_a_derivation_fails_if_the_library_is_wrong(
    notebook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run a notebook's cells; those of a derivation also with a library that is off by 0.1 %."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    monkeypatch.setattr(pyplot, "show", lambda: pyplot.close("all"))
    monkeypatch.chdir(FOLDER)
    remaining = code_cells(notebook)
    while not derived(remaining[-1]):
        remaining.pop()
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for cell in remaining:
        code = compile(cell["source"], notebook, "exec")
        for name in derived(cell):
            function = getattr(HOMES[name], name)
            caught = 0
            for twin in wrong_twins(function):
                with monkeypatch.context() as context:
                    context.setattr(HOMES[name], name, twin)
                    try:
                        exec(code, independent_copy(namespace))
                    except IndexError:  # there are fewer results
                        break
                    except AssertionError:
                        caught += 1
                    else:
                        pytest.fail(f"{name} was wrong, and nobody noticed:\n{cell['source']}")
            assert caught, name
        exec(code, namespace)
    pyplot.close("all")
    pyplot.rcdefaults()


def independent_copy(namespace: dict[str, Any]) -> dict[str, Any]:
    """Return the namespace with its arrays and generators copied, so that a run changes nothing."""
    kinds = (np.ndarray, np.random.Generator, list, dict)
    return {
        name: copy.deepcopy(value) if isinstance(value, kinds) and name != "__builtins__" else value
        for name, value in namespace.items()
    }
