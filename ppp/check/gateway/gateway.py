"""The index gateway: a read-through cache of the index and its files, on a socket in the file system.

A cell that gets this socket, and has no network, reaches the index and nothing else: neither the internet nor this
machine. nginx holds the cache. Its keys depend only on what was requested, so no cell can change what another one is
served. Behind nginx the page server (`page_server`) makes the index's pages smaller.
"""

import hashlib
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import ppp
from ppp.check.gateway.local_projects import read_local_projects
from ppp.check.gateway.nginx import NGINX_FOLDERS, GatewayError, NginxImage, NginxSite, find_nginx, run_nginx
from ppp.check.gateway.page_server import Origins, PageServer, serve_pages
from ppp.run_folders import run_folder

#: What others use; how nginx is run is internal.
__all__ = ["NGINX_FOLDERS", "Gateway", "GatewayError", "run_gateway"]

#: The largest size of the cache, in nginx's notation; what was not used for longest is removed first.
MAX_CACHE_SIZE: Final = "8g"
#: How long a page is served before the index is asked again, in nginx's notation; files never change.
PAGE_LIFETIME: Final = "10m"
USER_AGENT: Final = f"the-pypi-place/{ppp.__version__}"


@dataclass(slots=True, kw_only=True)
class Gateway:
    """A running gateway: the socket that it listens on, and the views of the index that it serves there.

    A view is the index with the files that environments with certain tags may choose. `full_view` has all files.
    """

    socket: Path
    page_server: PageServer
    full_view: str
    view: str

    @property
    def path(self) -> str:
        """The path of the index in the current view."""
        return f"/{self.view}/"

    @contextmanager
    def cell_socket(self) -> Iterator[Path]:
        """Yield a path of one cell's own to the socket, alone in a folder. Removing the file cuts the cell off."""
        with tempfile.TemporaryDirectory(dir=self.socket.parent, prefix="cell-") as folder:
            Path(folder).chmod(0o755)
            path = Path(folder, "socket")
            path.hardlink_to(self.socket)
            yield path

    def limit_to_tags(self, tags: Iterable[str]) -> None:
        """From now on serve pages without the wheels that fit none of these tags; until then, pages are complete."""
        self.view = self.page_server.open_view(frozenset(tags))

    def index_url(self, port: int, *, full_pages: bool = False) -> str:
        """Return the index's URL for a cell that reaches the socket through a port of its own loopback.

        With `full_pages` it is the view with all files, for comparison with the smaller pages.
        """
        return f"http://127.0.0.1:{port}{f'/{self.full_view}/' if full_pages else self.path}"


@contextmanager
def run_gateway(
    index_url: str,
    file_origins: Collection[str],
    *,
    cache: Path,
    environ: Mapping[str, str],
    user_agent: str = USER_AGENT,
    local_projects: Path | None = None,
    image: NginxImage | None = None,
    max_cache: str = MAX_CACHE_SIZE,
    page_lifetime: str = PAGE_LIFETIME,
    nginx_folders: str = NGINX_FOLDERS,
) -> Iterator[Gateway]:
    """Run a gateway to an index until the context ends; raise `GatewayError` if that is not possible here.

    `file_origins` (`https://host`) are where the files are that the index's pages list; `cache` is a folder that
    outlives the gateway; `local_projects` is a folder of projects of our own (`PROJECT/FILES`), which hide the index's
    projects of the same names; nginx is taken from `image` if this machine has none.
    """
    own = find_nginx(environ, nginx_folders)
    if own is None and image is None:
        raise GatewayError("no nginx on this machine")
    nginx_cache = cache.resolve() / "nginx"
    nginx_cache.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        # A socket's path is limited to about a hundred bytes, so it cannot be in the data folder, which may be deep.
        run = stack.enter_context(run_folder("ppp-gateway-"))
        origins = Origins(index_url, file_origins, file=_origins_file(cache, index_url))
        page_server = PageServer(
            index_url=index_url,
            origins=origins,
            local_projects=read_local_projects(local_projects),
            user_agent=user_agent,
        )
        stack.enter_context(serve_pages(page_server, run / "page-server"))
        site = NginxSite(
            run=run,
            cache=nginx_cache,
            origins=tuple(sorted(origin for origin in set(file_origins) if origins.admits(origin))),
            user_agent=user_agent,
            max_cache=max_cache,
            page_lifetime=page_lifetime,
        )
        (run / "nginx.conf").write_text(site.config(), "utf-8")
        stack.enter_context(run_nginx(site, own, image))
        full_view = page_server.open_view(None)
        yield Gateway(socket=site.socket, page_server=page_server, full_view=full_view, view=full_view)


def _origins_file(cache: Path, index_url: str) -> Path:
    return cache.resolve() / f"origins-{hashlib.sha256(index_url.encode()).hexdigest()[:16]}"
