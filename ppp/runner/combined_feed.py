"""Make one feed for a list of packages: from the local ledger, or from the feeds that another node publishes."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ppp.config import Config
from ppp.durability import replace_file
from ppp.ledger.published import observed_environments
from ppp.ledger.schema import read_ledger
from ppp.model.errors import ConfigError, PeerError
from ppp.model.printable import printable_reason
from ppp.model.site_address import read_site_address
from ppp.publish.feeds.combined import combined_files
from ppp.publish.feeds.entries import FeedEntry, package_feed
from ppp.publish.packages.read import read_packages
from ppp.runner.published_feeds import PublishedFeeds
from ppp.storage_errors import translate_storage_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class CombinedFeed:
    """The files of a combined feed, by name; its packages, and those that have no feed there."""

    files: Mapping[str, bytes]
    packages: Sequence[str]
    missing: Sequence[str]


def combine(config: Config, packages: Iterable[str], *, url: str = "") -> CombinedFeed:
    """Return the combined feed of packages, from the local ledger or from the node that publishes at `url`.

    Raise `ConfigError` where the address of this node's site is not known, `PeerError` and `RejectedDataError` for what
    is wrong with another node, and the errors of reading the ledger.
    """
    wanted = [*dict.fromkeys(packages)]
    site = _address(config, url)
    feeds = _published(site, wanted, config.user_agent) if url else _local(config, wanted)
    return CombinedFeed(
        files=dict(combined_files(feeds, site)),
        packages=[package for package in wanted if package in feeds],
        missing=[package for package in wanted if package not in feeds],
    )


def write_files(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write files into a folder, each as a whole; return their paths. Raise `DiskFullError` or `DataReadOnlyError`."""
    with translate_storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            replace_file(folder / name, content)
    return [folder / name for name in files]


def _address(config: Config, url: str) -> str:
    if not url:
        if not config.base_url:
            raise ConfigError(
                "PPP_BASE_URL is not set: the entries of a feed lead to pages of this node's site, whose address is"
                " not known",
                hint="set it, or name a site with --from URL",
            )
        return config.base_url
    try:
        return read_site_address(url)
    except ValueError as error:
        shown = printable_reason(url.rpartition("@")[2])
        raise PeerError(f"--from {shown!r} {error}", hint="name the address of a published site") from error


def _local(config: Config, packages: Sequence[str]) -> dict[str, Sequence[FeedEntry]]:
    with closing(read_ledger(config.data)) as db:
        histories = read_packages(db, packages, observed_environments(db))
        feeds = {history.package: package_feed(history.package, history.changes).entries for history in histories}
    if config.site_bound is None:
        return feeds
    # Not every package of a site with a bound has a page, and a feed.
    return {package: feed for package, feed in feeds.items() if (config.public / "p" / package / "atom.xml").is_file()}


def _published(site: str, packages: Sequence[str], user_agent: str) -> dict[str, Sequence[FeedEntry]]:
    with PublishedFeeds.connect(site, user_agent=user_agent) as published:
        read = {package: published.read(package) for package in packages}
    return {package: entries for package, entries in read.items() if entries is not None}
