"""The course's web site: the reference leaves nothing out, and the check of a built site bites."""

import re
import runpy
from pathlib import Path
from types import ModuleType

import pytest

import npsqueeze

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "tutorials" / "site" / "api"
MODULES = [name for name in npsqueeze.__all__ if isinstance(getattr(npsqueeze, name), ModuleType)]
main = runpy.run_path(str(ROOT / ".ci" / "check_site.py"))["main"]


def documented(page: str) -> list[str]:
    text = (PAGES / page).read_text(encoding="utf-8")
    directive = r"^\.\. auto(?:function|class|exception|data):: (?:[\w.]+\.)?(\w+)$"
    return re.findall(directive, text, re.MULTILINE)


def test_every_public_module_has_a_page_and_every_page_is_in_the_contents() -> None:
    pages = {path.stem for path in PAGES.glob("*.rst")}
    assert pages > set(MODULES)
    contents = (ROOT / "tutorials" / "index.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^site/api/(\w+)$", contents, re.MULTILINE)) == pages
    assert "\n:glob:" in contents
    assert "\n[0-9]*\n" in contents  # the notebooks


def test_the_pages_that_list_their_functions_list_all() -> None:
    assert sorted(documented("functional.rst")) == sorted(npsqueeze.functional.__all__)
    others = set(npsqueeze.__all__) - set(MODULES) - {"__version__"}
    assert sorted(documented("npsqueeze.rst")) == sorted(others)


GOOD = (
    '<a href="b.html#place">b</a> <a href="https://example.org">out</a> <img src="data:image/png,">'
    '<link rel="stylesheet" href="s.css"><pre>$$</pre>'
)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "a.html").write_text(GOOD)
    (tmp_path / "b.html").write_text('<h1 id="place">b</h1> <a href="#">top</a>')
    (tmp_path / "s.css").write_text("p { background: url(data:image/png,) }")
    return tmp_path


def test_a_good_site_passes(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(str(site)) == 0
    assert capsys.readouterr().out == "2 pages, 5 links and files, 0 problems\n"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ('<a href="c.html">c</a>', "the link c.html leads nowhere"),
        ('<a href="b.html#plaice">b</a>', "the link b.html#plaice leads nowhere"),
        ('<a href="#plaice">here</a>', "the link #plaice leads nowhere"),
        ('<img src="cat.png">', "cat.png is missing"),
        ('<script src="https://cdn.org/x.js"></script>', "loads https://cdn.org/x.js from others"),
        ('<link rel="stylesheet" href="//cdn.org/x.css">', "loads //cdn.org/x.css from others"),
        ('<p style="background: url(https://a.org/x.png)">', "loads https://a.org/x.png from"),
        ("<style>@import 'https://a.org/x.css';</style>", "loads https://a.org/x.css from others"),
        ("<p>$$ x^2 $$</p>", "a formula was left as text"),
    ],
)
def test_a_bad_page_is_named(
    site: Path, bad: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (site / "a.html").write_text(GOOD + bad)
    assert main(str(site)) == 1
    printed = capsys.readouterr().out
    assert f"a.html: {message}" in printed
    assert printed.endswith("1 problems\n")


def test_a_bad_style_sheet_is_named(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (site / "s.css").write_text('@font-face { src: url("https://fonts.org/f.woff2") }')
    assert main(str(site)) == 1
    assert "s.css: loads https://fonts.org/f.woff2 from others" in capsys.readouterr().out


def test_an_empty_folder_is_no_site(tmp_path: Path) -> None:
    assert main(str(tmp_path)) == 1
