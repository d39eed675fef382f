"""Look at a built site with Chromium: formulas, errors, requests, overflow on a narrow screen.

python .ci/browse_site.py build/site [FOLDER for screenshots]

Every page is opened at two widths from a local server, and the search also from file://. Needs
`pip install playwright` and Debian's chromium; says so and does nothing where they are missing.
"""

import functools
import http.server
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WIDTHS = (1280, 390)
SEARCH = "search.html?q=im2col"
LOOK = """async () => {
    const count = (selector) => document.querySelectorAll(selector).length;
    for (let tenth = 0; tenth < 300 && count(".math mjx-container") < count(".math"); tenth++)
        await new Promise((resolve) => setTimeout(resolve, 100));
    return {
        formulas: count(".math"),
        rendered: count(".math mjx-container"),
        failed: count("[data-mml-node=merror], mjx-merror"),
        overflow: document.documentElement.scrollWidth - window.innerWidth,
    };
}"""


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files and prints nothing."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
        """Say nothing."""


def problems(page: Any, address: str, screenshot: Path | None) -> Iterator[str]:
    """Open a page and yield a line for everything that is wrong with it."""
    home = address.split("/", 3)[:3]
    heard: list[str] = []
    listeners = {
        "console": lambda it: heard.append(it.text) if it.type == "error" else None,
        "pageerror": lambda it: heard.append(str(it)),
        "requestfailed": lambda it: heard.append(f"{it.url} failed"),
        "request": lambda it: (
            None
            if it.url.startswith("data:") or it.url.split("/", 3)[:3] == home
            else heard.append(f"{it.url} belongs to others")
        ),
    }
    for event, listener in listeners.items():
        page.on(event, listener)
    page.goto(address, wait_until="networkidle")
    seen = page.evaluate(LOOK)
    if screenshot:
        page.screenshot(path=screenshot)
    for event, listener in listeners.items():
        page.remove_listener(event, listener)
    yield from heard
    if seen["failed"] or seen["rendered"] != seen["formulas"]:
        yield f"{seen['formulas']} formulas, {seen['rendered']} rendered, {seen['failed']} failed"
    if seen["overflow"] > 0:
        yield f"{seen['overflow']} pixels wider than the screen"


def search_problems(page: Any, address: str) -> Iterator[str]:
    """Yield a line if the search finds nothing."""
    page.goto(address)
    try:
        page.wait_for_selector("#search-results li", timeout=10_000)
    except Exception as error:  # playwright's own, which is not imported here
        yield f"no results: {type(error).__name__}"


def main(folder: str, screenshots: str | None = None) -> int:
    """Print what is wrong, or how much was right."""
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if not chromium:
        print("skipped: needs playwright and chromium")
        return 0
    site = Path(folder).resolve()
    handler = functools.partial(QuietHandler, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home = f"http://127.0.0.1:{server.server_port}"
    pages = [site / "index.html", *sorted(site.glob("[0-9]*.html")), *site.glob("site/api/*.html")]
    found = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for width in WIDTHS:
            page = browser.new_page(viewport={"width": width, "height": 1600})
            for path in pages:
                address = f"{home}/{path.relative_to(site).as_posix()}"
                picture = Path(screenshots, f"{path.stem}-{width}.png") if screenshots else None
                lines = problems(page, address, picture)
                found += [f"{path.name}, {width} px: {line}" for line in lines]
        found += [f"file://: {line}" for line in problems(page, pages[1].as_uri(), None)]
        for base in (home, site.as_uri()):
            found += [f"{base}: {line}" for line in search_problems(page, f"{base}/{SEARCH}")]
        browser.close()
    print(*found, sep="\n", end="\n" if found else "")
    print(f"{len(pages)} pages at {WIDTHS} pixels, {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
