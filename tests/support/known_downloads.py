"""Downloads in a ledger, as if a file had been imported."""

from collections.abc import Mapping

from ppp.ledger.downloads import Downloads, DownloadsSource, store_downloads
from ppp.ledger.store import Store

SOURCE = DownloadsSource(source="an example, CC0", file_sha256="d" * 64)


def know_downloads(
    store: Store, period: str, numbers: Mapping[str, int], *, python_version: str = "", source: DownloadsSource = SOURCE
) -> None:
    """Store the numbers of a period, by package, in place of those that were there."""
    rows = [
        Downloads(package=package, period=period, python_version=python_version, downloads=number)
        for package, number in numbers.items()
    ]
    store_downloads(store.db, store.path / "ppp.db", rows, source)
