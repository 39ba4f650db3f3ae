"""The pages of the site: each block of Python and shell is run, and the site is built."""

import ast
import asyncio
import inspect
import os
import re
import shutil
import subprocess
import sys
from codeop import CommandCompiler
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from textwrap import dedent
from typing import Final
from unittest import SkipTest

import pytest
from aiohttp import web
from browser import browser
from processes import sandbox_command
from sybil import Document, Example
from sybil.parsers.markdown import CodeBlockParser, SkipParser

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = ROOT / "docs" / "pages"
PATHS: Final = sorted(PAGES.rglob("*.md"))
WITH_CODE: Final = [path for path in PATHS if "```" in path.read_text()]
RUN: Final = {"python", "sh", "console"}
NOT_HERE: Final = {"powershell"}
NOT_CODE: Final = {"text", "csv", "json", "toml", "ini", "yaml", "sql", "crontab", "jinja"}
_SKIP: Final = re.compile(r'<!-- skip: next "(.+)" -->\n\s*$')


def name_of(path: Path) -> str:
    """Return the name of a page in the names of its tests."""
    return str(path.relative_to(PAGES).with_suffix(""))


class Page:
    """A page whose blocks share names, a folder, and a sandbox, as a reader's do."""

    def __init__(self, path: Path, settings: dict[str, str], folder: Path) -> None:
        parsers = [CodeBlockParser(language, getattr(self, language)) for language in sorted(RUN | NOT_HERE)]
        self.document = Document.parse(str(path), *parsers, SkipParser())
        self.document.namespace["__name__"] = "a_page"
        self._folder = folder
        self._environment = {**os.environ, **settings}
        self._runner = asyncio.Runner()

    def run(self) -> list[str]:
        """Run the blocks in order, and return the reasons of the blocks that were left out."""
        left_out: list[str] = []
        with self._runner:
            for example in self.document.examples():
                try:
                    example.evaluate()
                except SkipTest as reason:
                    left_out.append(str(reason))
        return left_out

    def python(self, example: Example) -> None:
        """Run a block of Python, which may await as a REPL of asyncio does."""
        source = "\n" * (example.line + example.parsed.line_offset) + example.parsed
        code = compile(source, example.path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        if code.co_flags & inspect.CO_COROUTINE:
            self._runner.run(eval(code, example.namespace))
        else:
            exec(code, example.namespace)

    def sh(self, example: Example) -> None:
        """Run a block of shell, which must succeed."""
        self._shell(str(example.parsed))

    def console(self, example: Example) -> None:
        """Run each command of a session. Its output must be the text under it."""
        for command, expected in re.findall(r"^\$ (.*(?:\\\n.*)*)\n((?:(?!\$ ).*\n)*)", example.parsed, re.MULTILINE):
            assert self._shell(command) == expected

    def powershell(self, example: Example) -> None:
        """Refuse a block that cannot run on this system."""
        raise AssertionError(f"line {example.line} has PowerShell: write why it is not run in front of it")

    def _shell(self, script: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{script}\nended with {done.returncode} and printed:\n{done.stdout}"
        return done.stdout


@pytest.fixture(name="settings")
def _settings() -> Iterator[dict[str, str]]:
    with sandbox_command("--customers", "40", "--rate-limit", "0") as settings:
        yield {**settings, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "80"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    WITH_CODE,
    ids=lambda path: str(path.relative_to(PAGES).with_suffix("")),
)
def test_the_blocks_of_a_page_run(
    path: Path, settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They run in order, in one folder with the examples, against a sandbox."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    left_out = Page(path, settings, tmp_path).run()

    assert all(left_out)


@pytest.mark.parametrize("path", PATHS, ids=name_of)
def test_a_block_is_run_or_has_a_reason_why_not(path: Path) -> None:
    """A block names its language. One that is not run has a comment in front of it with the reason."""
    text = path.read_text()
    for fence in re.finditer(r"^ *```(\w*)[^\n]*\n.*?^ *```$", text, re.MULTILINE | re.DOTALL):
        assert fence[1] in RUN | NOT_CODE or _SKIP.search(text[: fence.start()]), fence[0]


def line_that_stops(block: str) -> str | None:
    """Return the line at which the REPL of asyncio refuses a block that is pasted line by line, None if none."""
    compiler = CommandCompiler()
    compiler.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    typed: list[str] = []
    for line in [*block.splitlines(), ""]:
        typed.append(line)
        try:
            is_whole = compiler("\n".join(typed), "<block>", "single") is not None
        except SyntaxError:
            return line
        typed = [] if is_whole else typed
    return typed[0] if typed else None


@pytest.mark.parametrize("path", WITH_CODE, ids=name_of)
def test_a_block_of_python_can_be_pasted_into_the_repl(path: Path) -> None:
    """There a blank line ends an indented block. A program that calls `asyncio.run` is a file instead."""
    found = re.findall(r"^ *```python\n(.*?)^ *```$", path.read_text(), re.MULTILINE | re.DOTALL)
    stops = [line_that_stops(dedent(block)) for block in found if "asyncio.run(" not in block]

    assert stops == [None] * len(stops)


def test_every_page_is_in_the_navigation() -> None:
    """Otherwise readers do not find it."""
    navigation = (ROOT / "docs" / "zensical.toml").read_text()

    assert [path.name for path in PATHS if f'"{path.relative_to(PAGES)}"' not in navigation] == []


@pytest.fixture(name="site", scope="module")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "build.py"), str(folder / "build")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "build" / "site"


@pytest.mark.slow
def test_the_site_loads_nothing_from_another_host(site: Path) -> None:
    """A page may link to other hosts, but its scripts, styles, fonts and pictures are its own."""
    for page in site.rglob("*.html"):
        text = page.read_text()
        loaded = re.findall(r"<(?:script|img|iframe|source|video|audio)\b[^>]*\bsrc=[\"']?([^\"' >]+)", text)
        loaded += [link for link in re.findall(r"<link\b[^>]*>", text) if "canonical" not in link and "://" in link]
        loaded += re.findall(r"(?:@import|url\()\s*[\"']?(\S+)", text)
        assert [address for address in loaded if "://" in address or address.startswith("//")] == [], page


@pytest.mark.slow
def test_the_reference_has_every_public_name_once(site: Path) -> None:
    """A name that can be imported from the package has a heading in one page of the reference."""
    pages = "".join(page.read_text() for page in (site / "reference" / "python").rglob("*.html"))
    anchors = re.findall(r'<h2 id="ticketsource_async\.([\w.]+)"', pages)

    assert set(import_module("ticketsource_async").__all__) <= {name.rpartition(".")[2] for name in anchors}
    assert len(anchors) == len(set(anchors))


HEADINGS: Final = "[...document.querySelectorAll('article :is(h1, h2, h3, h4, h5, h6)')].map(each => +each.tagName[1])"


@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), [(390, True), (1280, False)], ids=["telephone, dark", "desktop, light"])
async def test_a_page_fits_the_screen_and_is_readable(site: Path, tmp_path: Path, width: int, dark: bool) -> None:
    """It is no wider than the screen, its headings leave out no level, and its text has the contrast of WCAG 2 AA."""
    contrast = (ROOT / "tests" / "contrast.js").read_text()
    found: list[str] = []
    async with browser(tmp_path / "profile") as tab:
        for page in sorted(site.rglob("index.html")):
            await tab.show(page, width=width, dark=dark)
            name = str(page.relative_to(site))
            wide = await tab.evaluate("document.documentElement.scrollWidth")
            levels = await tab.evaluate(HEADINGS)
            in_order = levels[:1] == [1] and all(1 < after <= before + 1 for before, after in pairwise(levels))
            found += [] if wide <= width else [f"{name} is {wide} pixels wide"]
            found += [] if in_order else [f"{name} has headings of the levels {levels}"]
            found += [f"{name}: {pale}" for pale in await tab.evaluate(contrast)]

    assert found == []


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[str]:
    """Yield the address of a server of these files. A browser runs no search in local files."""
    app = web.Application()
    app.router.add_static("/", folder)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield "http://{}:{}".format(*runner.addresses[0])
    finally:
        await runner.cleanup()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "words", "found"),
    [
        (390, "door list", "Door list"),
        (1280, "door list", "Door list"),
        (1280, "tonight", "Door list"),
        (1280, "timeout", "Timeouts"),
        (1280, "422", "ValidationFailed"),
        (1280, "fixture", "Fixtures of pytest"),
    ],
)
async def test_the_search_finds_the_page_of_a_task(
    site: Path, tmp_path: Path, width: int, words: str, found: str
) -> None:
    """The first result is the page, and the browser gets nothing from another host."""
    async with served(site) as address, browser(tmp_path / "profile") as tab:
        await tab.show(f"{address}/index.html", width=width)
        await tab.evaluate("document.querySelector('.md-search__button').click()")
        results: list[str] = []
        while ("combobox", "Search") not in await tab.read_aloud():
            pass
        await tab.call("Input.insertText", text=words)
        while not results:
            results = [name for role, name in await tab.read_aloud() if role == "option"]

        assert results[0].startswith(found)
        assert [page for page in tab.requested if not page.startswith((address, "data:", "blob:"))] == []
