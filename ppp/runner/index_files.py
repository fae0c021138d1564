"""Keep what the index said about files: of those that a run fetched, and of others on demand."""

from collections.abc import Collection, Mapping

from ppp.check.index.client import SimpleIndex
from ppp.check.index.listed_files import fetched_files, read_project
from ppp.index_files.store import Completion, open_index_files
from ppp.runner.context import Context


def store_fetched(context: Context, index: SimpleIndex) -> None:
    """Store what the index said of the files that were fetched from it so far."""
    if files := fetched_files(index, context.now):
        with open_index_files(context.config.data) as index_files:
            index_files.add(files)


def complete_index_files(context: Context, index: SimpleIndex, wanted: Mapping[str, Collection[str]]) -> Completion:
    """Read from the index what is unknown here of files, by the normalized name of their project: see `IndexFiles`.

    Raise `IndexUnreachableError`; what was read before is stored.
    """
    now = context.now
    with open_index_files(context.config.data) as index_files:
        return index_files.complete(wanted, lambda project: read_project(index, project, now))
