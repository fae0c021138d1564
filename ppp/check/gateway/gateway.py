"""The index gateway: a read-through cache of the index and its files, on a socket in the file system.

A cell that is lent this socket, and has no network, reaches the index and nothing else: neither the internet nor this
machine. nginx keeps the cache, and each answer under nothing but what was asked for, so no cell can put anything into
what another one is served; behind it the desk (`ppp.check.gateway.page_server`) makes the pages smaller.
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

#: The gateway's own words: how nginx is run is nobody else's business.
__all__ = ["NGINX_FOLDERS", "Gateway", "GatewayError", "run_gateway"]

#: What the cache may grow to; what is used least goes first.
MAX_CACHE_SIZE: Final = "8g"
#: How long a page is served before the index is asked again; files are for ever.
PAGE_LIFETIME: Final = "10m"
USER_AGENT: Final = f"the-pypi-place/{ppp.__version__}"


@dataclass(slots=True, kw_only=True)
class Gateway:
    """A running gateway: the socket that it listens on, and the views of the index that it offers there."""

    socket: Path
    page_server: PageServer
    full_view: str
    view: str

    @property
    def path(self) -> str:
        """The path of the index in the view that was admitted last."""
        return f"/{self.view}/"

    @contextmanager
    def cell_socket(self) -> Iterator[Path]:
        """Give one cell a way of its own to the socket, alone in a folder; removing the file shuts that way."""
        with tempfile.TemporaryDirectory(dir=self.socket.parent, prefix="cell-") as folder:
            Path(folder).chmod(0o755)
            door = Path(folder, "socket")
            door.hardlink_to(self.socket)
            yield door

    def limit_to_tags(self, tags: Iterable[str]) -> None:
        """From now on offer pages without the wheels that none of these tags fits; before, pages were whole."""
        self.view = self.page_server.open_view(frozenset(tags))

    def index_url(self, port: int, *, full_pages: bool = False) -> str:
        """Give the index's address for whoever reaches the socket by a port of their own loopback.

        `whole` gives the index with all its files, to hold the smaller one against.
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
    """Run a gateway before an index for as long as the context lasts; raise `GatewayError` if there can be none.

    `file_origins` (`https://host`) are where the files are that the index's pages name; `cache` outlives the gateway;
    `overlay` is a folder of projects of our own (`PROJECT/FILES`) that stand before the index's; `image` is where nginx
    is taken from if this machine has none.
    """
    own = find_nginx(environ, nginx_folders)
    if own is None and image is None:
        raise GatewayError("no nginx on this machine")
    nginx_cache = cache.resolve() / "nginx"
    nginx_cache.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        # The path of a socket is limited to about a hundred bytes, so it cannot lie just anywhere.
        run = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ppp-gateway-")))
        known = Origins(index_url, file_origins, file=_origins_file(cache, index_url))
        desk = PageServer(
            index_url=index_url,
            origins=known,
            local_projects=read_local_projects(local_projects),
            user_agent=user_agent,
        )
        stack.enter_context(serve_pages(desk, run / "desk"))
        site = NginxSite(
            run=run,
            cache=nginx_cache,
            origins=tuple(sorted(origin for origin in set(file_origins) if known.admits(origin))),
            user_agent=user_agent,
            max_cache=max_cache,
            page_life=page_lifetime,
        )
        (run / "nginx.conf").write_text(site.config(), "utf-8")
        stack.enter_context(run_nginx(site, own, image))
        whole = desk.open_view(None)
        yield Gateway(socket=site.socket, page_server=desk, full_view=whole, view=whole)


def _origins_file(cache: Path, index_url: str) -> Path:
    return cache.resolve() / f"origins-{hashlib.sha256(index_url.encode()).hexdigest()[:16]}"
