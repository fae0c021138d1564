"""A real browser for tests, a local web server for it, and where the validators of pages are installed."""

import functools
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CHROMIUM_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
#: Where noxfile.py installs what tests/browser/package.json names.
PAGE_TOOLS = Path(os.environ.get("PPP_PAGE_TOOLS") or Path(__file__).parents[2] / ".nox" / "pages") / "node_modules"
AXE = PAGE_TOOLS / "axe-core" / "axe.min.js"
HTML_VALIDATE = PAGE_TOOLS / "html-validate" / "bin" / "html-validate.mjs"
LIGHTHOUSE = PAGE_TOOLS / "lighthouse" / "cli" / "index.js"
VNU = PAGE_TOOLS / "vnu-jar" / "build" / "dist" / "vnu.jar"


class _SilentHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Log nothing."""


@contextmanager
def serve_folder(folder: Path) -> Iterator[str]:
    """Serve a folder on a free port; yield its address without a trailing slash."""
    handler = functools.partial(_SilentHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def launch_chromium() -> Iterator["Browser"]:
    """Run the machine's Chromium; only one may run at a time in a process."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where it is installed

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_FLAGS))
        yield browser
        browser.close()
