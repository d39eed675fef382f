"""Check a built site: every internal link leads somewhere, and no page loads anything from others.

python .ci/check_site.py build/site
"""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {  # elements whose address the browser fetches by itself
    "audio": "src", "embed": "src", "iframe": "src", "img": "src", "link": "href", "object": "data",
    "script": "src", "source": "src", "use": "href", "video": "src",
}  # fmt: skip
STYLE_ADDRESS = re.compile(r"""(?:url\(\s*|@import\s+)["']?([^"')\s;]+)""")


class Page(HTMLParser):
    """What a page links to, what it loads, its anchors, and its words outside code."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = STYLE_ADDRESS.findall(
            "\n".join(re.findall(r"<style.*?</style>", text, re.DOTALL))
        )
        self.anchors = {"", "top"}
        self.prose = re.sub(r"<(script|style|pre|code)\b.*?</\1>", "", text, flags=re.DOTALL)
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Sort the addresses of an element."""
        values = {name: value or "" for name, value in attributes}
        self.anchors |= {values["id"]} if "id" in values else set()
        self.loaded += STYLE_ADDRESS.findall(values.get("style", ""))
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif values.get(LOADED.get(tag, "")):
            self.loaded.append(values[LOADED[tag]])


def problems(site: Path, pages: dict[Path, Page]) -> Iterator[str]:
    """Yield a line for everything that is wrong."""

    def leads_nowhere(address: str, source: Path) -> bool:
        _, _, path, _, fragment = urlsplit(address)
        target = (source.parent / unquote(path)).resolve() if path else source
        if target.suffix == ".html":
            return target not in pages or unquote(fragment) not in pages[target].anchors
        return not target.is_file()

    for source, page in pages.items():
        name = source.relative_to(site)
        for address in page.links:
            is_outside = urlsplit(address).scheme in {"http", "https", "mailto"}
            if not is_outside and leads_nowhere(address, source):
                yield f"{name}: the link {address} leads nowhere"
        for address in page.loaded:
            if urlsplit(address).scheme != "data":
                if urlsplit(address).netloc:
                    yield f"{name}: loads {address} from others"
                elif leads_nowhere(address, source):
                    yield f"{name}: {address} is missing"
        if "$$" in page.prose:
            yield f"{name}: a formula was left as text"
    for style in site.rglob("*.css"):
        for address in STYLE_ADDRESS.findall(style.read_text(encoding="utf-8")):
            if urlsplit(address).netloc:
                yield f"{style.relative_to(site)}: loads {address} from others"
            elif urlsplit(address).scheme != "data" and leads_nowhere(address, style):
                yield f"{style.relative_to(site)}: {address} is missing"


def main(folder: str) -> int:
    """Print what is wrong, or how much was right."""
    site = Path(folder).resolve()
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    found = list(problems(site, pages)) or ([] if pages else [f"{folder}: no pages"])
    print(*found, sep="\n", end="\n" if found else "")
    links = sum(len(page.links) + len(page.loaded) for page in pages.values())
    print(f"{len(pages)} pages, {links} links and files, {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
