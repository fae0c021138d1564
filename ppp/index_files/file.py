"""A file as the index listed it. Everything in it came from the index: it is checked here, once."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self
from urllib.parse import unquote, urlsplit

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from ppp.model.canonical import is_sha256
from ppp.model.file_sizes import is_distribution_size
from ppp.model.printable import printable_reason
from ppp.model.release import InvalidReleaseError, parse_package, parse_version

#: Plain characters only: names become parts of paths and of URLs.
_FILENAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{,249}")
#: Addresses become lines of requirements files, where pip replaces `${NAME}`, and ` #` and `;` have a meaning.
_URL: Final = re.compile(r"[A-Za-z0-9._~:/%+!=,@()\[\]-]+")
MAX_URL_LENGTH: Final = 2000
MAX_REQUIRES_PYTHON: Final = 1000
MAX_YANK_REASON: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedFile:
    """A wheel or sdist as the index listed it at `seen_at` (epoch seconds), by a normalized project name.

    `sha256` and `metadata_sha256` are in hex; the latter is of the index's copy of the METADATA (PEP 658), None if
    it has none. `size` is in bytes, `upload_time` in UTC; None where the index does not say. `yanked` is the index's
    reason, one line, `""` if it gave none; None for a file that is not yanked.
    """

    sha256: str
    project: str
    version: str
    filename: str
    url: str
    seen_at: int
    size: int | None = None
    upload_time: datetime | None = None
    requires_python: str | None = None
    yanked: str | None = None
    metadata_sha256: str | None = None

    @classmethod
    def checked(
        cls,
        *,
        sha256: str,
        project: str,
        version: str,
        filename: str,
        url: str,
        seen_at: int,
        size: int | None = None,
        upload_time: datetime | None = None,
        requires_python: str | None = None,
        yanked: str | None = None,
        metadata_sha256: str | None = None,
    ) -> Self | None:
        """Return the file of what an index says; None if it has no sha256, or a name or address of an unusual form.

        What is optional and invalid counts as not said.
        """
        url = url.partition("#")[0]
        if not (is_sha256(sha256) and is_plain_filename(filename) and is_file_url(url, filename)):
            return None
        try:
            project, version = parse_package(project), parse_version(version)
        except InvalidReleaseError:
            return None
        return cls(
            sha256=sha256,
            project=project,
            version=version,
            filename=filename,
            url=url,
            seen_at=seen_at,
            size=size if is_distribution_size(size) else None,
            upload_time=upload_time.astimezone(UTC) if upload_time and upload_time.tzinfo else None,
            requires_python=requires_python if requires_python and is_requires_python(requires_python) else None,
            yanked=None if yanked is None else printable_reason(" ".join(yanked.split()), MAX_YANK_REASON),
            metadata_sha256=metadata_sha256 if is_sha256(metadata_sha256) else None,
        )

    @property
    def is_wheel(self) -> bool:
        """Whether it is a wheel, not an sdist."""
        return self.filename.endswith(".whl")


def is_plain_filename(filename: str) -> bool:
    """Return whether a file's name has plain characters, and not too many."""
    return _FILENAME.fullmatch(filename) is not None


def is_file_url(url: str, filename: str) -> bool:
    """Return whether a URL is an address of HTTP that ends with a file's name, and holds no secret.

    With a user name or a query it might: what is stored here is published.
    """
    if len(url) > MAX_URL_LENGTH or not _URL.fullmatch(url):
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        return False
    return not (parts.query or parts.fragment) and unquote(parts.path.rpartition("/")[2]) == filename


def is_requires_python(text: str) -> bool:
    """Return whether a text is a valid specifier of Python versions, and not too long."""
    if len(text) > MAX_REQUIRES_PYTHON:
        return False
    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        return False
    return True
