"""Which files the index lists, as its pages said that were read last: nothing else can be got through the gateway."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from ppp.check.gateway.pages import PageFile, file_key
from ppp.check.index.choose import METADATA_SUFFIX, IndexFile
from ppp.check.index.page_store import PageStore
from ppp.model.canonical import is_sha256

#: How many files are remembered, of all projects together: the pages of the projects used last. About 100 MB.
MAX_FILES: Final = 250_000
#: What a file is called on disk if its own name is no plain one.
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{,199}")
_OTHER_NAME: Final = "file"


class Listings(PageStore[Mapping[str, PageFile]]):
    """The listed files by project and key."""

    def __init__(self, max_files: int = MAX_FILES) -> None:
        """Start with no page."""
        super().__init__(max_files)

    def put(self, project: str, files: Iterable[PageFile]) -> None:
        """Remember what a project's page lists, in place of what it listed before."""
        self.add(project, {file_key(file): file for file in files})


def index_file(file: PageFile, project: str, *, metadata: bool) -> IndexFile | None:
    """Return a listed file of a project, or its metadata, as something to fetch; None if there is no such metadata."""
    name = file.filename if _PLAIN_NAME.fullmatch(file.filename) else _OTHER_NAME
    sha256, url = file.hashes.get("sha256"), file.url.partition("#")[0]
    if metadata:
        sha256, url, name = (file.metadata or {}).get("sha256"), url + METADATA_SUFFIX, name + METADATA_SUFFIX
        if not is_sha256(sha256):
            return None
        return IndexFile(filename=name, url=url, sha256=sha256, requires_python=None, yanked=False)
    return IndexFile(
        filename=name,
        url=url,
        sha256=sha256,
        requires_python=file.requires_python,
        yanked=file.yanked is not None,
        yanked_reason=file.yanked or "",
        metadata_sha256=(file.metadata or {}).get("sha256"),
        project=project,
        size=file.size,
        upload_time=file.upload_time,
    )
