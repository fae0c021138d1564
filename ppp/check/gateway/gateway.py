"""The index gateway: a read-through cache of the index and its files, on sockets in the file system.

A cell that gets such a socket, and has no network, reaches the index and nothing else: neither the internet nor this
machine. What a cell sends goes through a `relay` of its own, which limits its connections; nginx, which parses requests
and caches pages under keys that depend only on what was requested; and the `page_server`, which alone talks to the
index. A cell can get the pages of projects and the files that these list, and cannot change what another one gets.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

from ppp.check.gateway.local_projects import read_local_projects
from ppp.check.gateway.nginx import (
    NGINX_FOLDERS,
    GatewayError,
    NginxImage,
    NginxSite,
    cached_page,
    find_nginx,
    run_nginx,
)
from ppp.check.gateway.page_server import FILE_TIMEOUT_S, PageServer, serve_pages
from ppp.check.gateway.pages import PageForm
from ppp.check.gateway.relay import relay
from ppp.check.gateway.stored_files import remove_unused_files
from ppp.check.index.client import SimpleIndex
from ppp.check.index.view import IndexView
from ppp.run_folders import run_folder

#: What others use; how nginx is run is internal.
__all__ = ["ANSWER_TIMEOUT_S", "NGINX_FOLDERS", "Gateway", "GatewayError", "run_gateway"]

#: How long a cell may have to wait for the first byte of an answer, in seconds: a file is sent once it is complete and
#: checked.
ANSWER_TIMEOUT_S: Final = FILE_TIMEOUT_S + 20

#: The largest size of the cache of pages, in nginx's notation; what was not used for longest is removed first.
MAX_CACHE_SIZE: Final = "2g"
#: How long a page is served before the index is asked again, in nginx's notation.
PAGE_LIFETIME: Final = "10m"


@dataclass(slots=True, kw_only=True)
class Gateway:
    """A running gateway: nginx's socket, which only relays use, and the views of the index that it serves.

    A view is the index with the files that environments with certain tags may choose. `full_view` has all files.
    `page_cache` is nginx's folder of pages.
    """

    socket: Path
    page_server: PageServer
    full_view: str
    view: str
    page_cache: Path
    tags: frozenset[str] | None = None

    @property
    def path(self) -> str:
        """The path of the index in the current view."""
        return f"/{self.view}/"

    @contextmanager
    def cell_socket(self) -> Iterator[Path]:
        """Yield the path of a socket of one cell's own, alone in a folder. Removing the file cuts the cell off."""
        with tempfile.TemporaryDirectory(dir=self.socket.parent, prefix="cell-") as folder:
            Path(folder).chmod(0o755)
            path = Path(folder, "socket")
            with self.page_server.cells.open() as address, relay(path, self.socket, address=address):
                yield path

    def lists(self, project: str, sha256: str) -> bool | None:
        """Return whether the index lists a file with this hash on a project's page.

        None if no cell has read that page, or if it lists files without a sha256. A file that a cell got in this run
        counts as listed. `project` is a normalized name.
        """
        return self.page_server.lists(project, sha256)

    def limit_to_tags(self, tags: Iterable[str]) -> None:
        """From now on serve pages without the wheels that fit none of these tags; until then, pages are complete."""
        self.tags = frozenset(tags)
        self.view = self.page_server.open_view(self.tags)

    def use_fresh_pages(self) -> None:
        """From now on serve pages that this run has got from the index itself, and none of an earlier run's cache."""
        self.view = self.open_view(IndexView())

    def open_view(self, view: IndexView) -> str:
        """Start to serve the index in a view, and return its name, for `PreparedEnvironment.index_view`.

        Its pages are in no cache that outlives this gateway.
        """
        return self.page_server.open_view(self.tags, view, run=self.socket.parent.name)

    def forget_page(self, project: str) -> None:
        """Make the next cell that asks for a project's page get it from the index, not from the cache.

        A page is served for a while before the index is asked again, but a release that was just found has to be on it
        for cells that are checked because of it. `project` is a normalized name.
        """
        for view, form in product({self.view, self.full_view}, PageForm):
            # Where another user's nginx owns it, the page only stays until it is too old.
            with suppress(PermissionError):
                cached_page(self.page_cache, f"page/{view}/{project}/{form}").unlink(missing_ok=True)

    def index_url(self, port: int, *, full_pages: bool = False, view: str | None = None) -> str:
        """Return the index's URL for a cell that reaches the socket through a port of its own loopback.

        With `full_pages` it is the view with all files, for comparison with the smaller pages; with `view`, the one of
        this name.
        """
        chosen = view or (self.full_view if full_pages else self.view)
        return f"http://127.0.0.1:{port}/{chosen}/"


@contextmanager
def run_gateway(
    index: SimpleIndex,
    *,
    cache: Path,
    environ: Mapping[str, str],
    local_projects: Path | None = None,
    image: NginxImage | None = None,
    max_cache: str = MAX_CACHE_SIZE,
    page_lifetime: str = PAGE_LIFETIME,
    nginx_folders: str = NGINX_FOLDERS,
) -> Iterator[Gateway]:
    """Run a gateway to an index until the context ends; raise `GatewayError` if that is not possible here.

    Files are stored where `index` stores them; `cache` is a folder for pages that outlives the gateway;
    `local_projects` is a folder of projects of our own (`PROJECT/FILES`), which hide the index's projects of the same
    names; nginx is taken from `image` if this machine has none.
    """
    own = find_nginx(environ, nginx_folders)
    if own is None and image is None:
        raise GatewayError("no nginx on this machine")
    nginx_cache = cache.resolve() / "nginx"
    for folder in (nginx_cache, index.cache):
        folder.mkdir(parents=True, exist_ok=True)
    remove_unused_files(index.cache)
    with ExitStack() as stack:
        # A socket's path is limited to about a hundred bytes, so it cannot be in the data folder, which may be deep.
        run = stack.enter_context(run_folder("ppp-gateway-"))
        page_server = PageServer(index=index, local_projects=read_local_projects(local_projects))
        stack.enter_context(serve_pages(page_server, run / "page-server"))
        site = NginxSite(
            run=run,
            cache=nginx_cache,
            files=index.cache.resolve(),
            max_cache=max_cache,
            page_lifetime=page_lifetime,
        )
        (run / "nginx.conf").write_text(site.config(), "utf-8")
        stack.enter_context(run_nginx(site, own, image))
        full_view = page_server.open_view(None)
        yield Gateway(
            socket=site.socket,
            page_server=page_server,
            full_view=full_view,
            view=full_view,
            page_cache=nginx_cache,
        )
