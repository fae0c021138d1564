"""The pages of an index as clients read them: HTML (PEP 503) and JSON (PEP 691), from the same values.

What holds of both: a file's name is its address's last component, a hash stands with each, a yank's reason and
`requires-python` are escaped, and nothing about a file is made up. Only the JSON has times of upload: HTML has no
place for them. Our own data is under keys that begin with `_`, which clients ignore.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final
from urllib.parse import quote

from ppp.model.canonical import Json
from ppp.model.content_id import raw_content_id
from ppp.model.simple_index import COOLDOWN_SUFFIX, HTML_NAME, JSON_NAME, MIRROR_FOLDER, SIMPLE_FOLDER
from ppp.publish.verified_index.listing import IndexName, VerifiedFile, VerifiedPackage

API_VERSION: Final = "1.1"
SCHEMA: Final = "ppp-simple-1"
#: What the address of a file's METADATA ends with (PEP 658).
METADATA_SUFFIX: Final = ".metadata"
#: What a page and a file on it take at most beside what the file says of itself, in bytes.
_PAGE_BYTES: Final = 1_400
_FILE_BYTES: Final = 700
#: What the pages claim, and what they do not.
CLAIM: Final = (
    "Each file here was seen to install in this environment, and to import where it has a module, one by one."
    " Proven one by one is not proven together: a resolver may combine files that were never tested with each other."
    " Use it with --index-url, never with --extra-index-url. Clients check no signature of an index:"
    " whoever serves this page is whom you trust."
)
_COOLDOWN_CLAIM: Final = (
    " Only files that were uploaded at least {days} days before the newest observation here, and not withdrawn since."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectPage:
    """One project in one index: its files in their order, and by file name what the index lacks for it."""

    index: IndexName
    project: str
    files: Sequence[VerifiedFile]
    open_needs: Mapping[str, Sequence[str]] = field(default_factory=dict)


def estimated_room(package: VerifiedPackage) -> tuple[int, int]:
    """Return how many bytes a package's pages in all indexes take, and how many pages there are, both at most."""
    size = pages = 0
    for project in package.projects.values():
        if project.files:
            # As HTML and as JSON, with a cooldown and without.
            files = sum(_FILE_BYTES + 2 * (len(file.url) + sum(map(len, file.needs))) for file in project.files)
            size += 4 * (_PAGE_BYTES + files)
            pages += 4
    return size, pages


def index_folder(index: IndexName) -> str:
    """Return an index's folder within the site: `simple/py312-alpine`, `simple/py312-alpine-cooldown`."""
    return f"{SIMPLE_FOLDER}/{index.environment}{'' if index.days is None else COOLDOWN_SUFFIX}"


def claim(index: IndexName) -> str:
    """Return what the pages of an index claim."""
    return CLAIM + ("" if index.days is None else _COOLDOWN_CLAIM.format(days=index.days))


def mirror_path(sha256: str, filename: str) -> str:
    """Return where a site has its own copy of a file."""
    return f"{MIRROR_FOLDER}/{sha256[:2]}/{sha256}/{filename}"


def project_files(page: ProjectPage) -> Iterator[tuple[str, bytes]]:
    """Yield a project's two pages with their paths."""
    folder = f"{index_folder(page.index)}/{page.project}"
    yield f"{folder}/{HTML_NAME}", project_html(page)
    yield f"{folder}/{JSON_NAME}", project_json(page)


def root_files(index: IndexName, projects: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the two pages that list an index's projects, which are sorted, with their paths."""
    folder = index_folder(index)
    yield f"{folder}/{HTML_NAME}", root_html(index, projects)
    yield f"{folder}/{JSON_NAME}", root_json(index, projects)


def root_html(index: IndexName, projects: Iterable[str]) -> bytes:
    """Return the page of links to all projects."""
    title = f"What passed on {_label(index)}"
    # Names are normalized: they need no escape.
    links = "\n".join(f'<li><a href="{name}/">{name}</a></li>' for name in projects)
    return _html(title, claim(index), f"<ul>\n{links}\n</ul>" if links else "<p>Nothing has passed here yet.</p>")


def root_json(index: IndexName, projects: Iterable[str]) -> bytes:
    """Return the list of all projects."""
    return _json(
        {
            "meta": {"api-version": API_VERSION},
            "projects": [{"name": name} for name in projects],
            "_ppp": _about(index),
        }
    )


def project_html(page: ProjectPage) -> bytes:
    """Return a project's page for clients that read HTML, and for people."""
    rows = "\n".join(f"<li>{_anchor(file)}{_remarks(file, page)}</li>" for file in page.files)
    parts = [f"<ul>\n{rows}\n</ul>"]
    if page.open_needs:
        parts.insert(
            0,
            "<p><strong>Open</strong>: this index does not list all that was installed with these files when they"
            " passed, so installing from here alone may fail.</p>",
        )
    return _html(f"{page.project} on {_label(page.index)}", claim(page.index), "\n".join(parts))


def project_json(page: ProjectPage) -> bytes:
    """Return a project's page for clients that read JSON."""
    versions: dict[str, None] = {file.version: None for file in page.files}
    return _json(
        {
            "meta": {"api-version": API_VERSION},
            "name": page.project,
            "versions": [*versions],
            "files": [_file_json(file, page) for file in page.files],
            "_ppp": {**_about(page.index), "open": bool(page.open_needs)},
        }
    )


def _about(index: IndexName) -> dict[str, Json]:
    about: dict[str, Json] = {"schema": SCHEMA, "environment": index.environment, "claim": claim(index)}
    return about if index.days is None else {**about, "cooldown_days": index.days}


def _file_json(file: VerifiedFile, page: ProjectPage) -> dict[str, Json]:
    row: dict[str, Json] = {
        "filename": file.filename,
        "url": file_url(file),
        "hashes": {"sha256": file.sha256},
        "size": file.size,
    }
    if file.uploaded is not None:
        row["upload-time"] = file.uploaded
    if file.requires_python is not None:
        row["requires-python"] = file.requires_python
    if file.yanked is not None:
        # By PEP 592 an empty reason is `true`: an empty text would say that it is not yanked.
        row["yanked"] = file.yanked or True
    if file.metadata_sha256 is not None:
        # Under its new name only: a dict under the old one crashes pip 23.0.
        row["core-metadata"] = {"sha256": file.metadata_sha256}
    row["_cid"] = raw_content_id(file.sha256)
    row["_ppp"] = _evidence(file, page)
    return row


def _evidence(file: VerifiedFile, page: ProjectPage) -> dict[str, Json]:
    evidence: dict[str, Json] = {"record": file.record, "imported": file.imported, "arch": file.arch}
    if file.standin:
        evidence["standin"] = True
    if file.mirrored:
        evidence["upstream"] = file.url
    if needs := page.open_needs.get(file.filename):
        evidence["open"] = [*needs]
    return evidence


def file_url(file: VerifiedFile) -> str:
    """Return the address of a file on a project's page: a relative one where this site has a copy."""
    return f"../../../{quote(mirror_path(file.sha256, file.filename))}" if file.mirrored else file.url


def _anchor(file: VerifiedFile) -> str:
    attributes = {"href": f"{file_url(file)}#sha256={file.sha256}"}
    if file.requires_python is not None:
        attributes["data-requires-python"] = file.requires_python
    if file.yanked is not None:
        attributes["data-yanked"] = file.yanked
    if file.metadata_sha256 is not None:
        # By both names: pip 23.0 and 24.0 know one each.
        metadata = f"sha256={file.metadata_sha256}"
        attributes |= {"data-core-metadata": metadata, "data-dist-info-metadata": metadata}
    written = " ".join(f'{name}="{escape(value, quote=True)}"' for name, value in attributes.items())
    return f"<a {written}>{escape(file.filename)}</a>"


def _remarks(file: VerifiedFile, page: ProjectPage) -> str:
    remarks = [] if file.imported else ["installed, nothing to import"]
    if file.yanked is not None:
        remarks.append(f"yanked: {file.yanked}" if file.yanked else "yanked")
    if needs := page.open_needs.get(file.filename):
        remarks.append(f"open: {', '.join(needs)} not listed")
    return f" ({escape('; '.join(remarks), quote=True)})" if remarks else ""


def _label(index: IndexName) -> str:
    return index.environment + ("" if index.days is None else f", {index.days} days old or more")


def _html(title: str, about: str, content: str) -> bytes:
    # No link but those that clients are to follow.
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="pypi:repository-version" content="{API_VERSION}">
<title>{escape(title)}</title>
</head>
<body>
<h1>{escape(title)}</h1>
<p>{escape(about)}</p>
{content}
</body>
</html>
""".encode()


def _json(document: dict[str, Json]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"
