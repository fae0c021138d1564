"""A record that installed a compiled wheel, a pure one and an sdist, and what an index said of their files."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from sample_record import SAMPLE_RECORD

from ppp.index_files.file import IndexedFile
from ppp.model.record import DistributionFile, Installed, Preinstalled, Record
from ppp.model.release import Release

NAMES: Final = {
    "lib": "lib-1.0-cp312-cp312-manylinux_2_28_x86_64.whl",
    "needed": "needed-2.0-py3-none-any.whl",
    "built": "built-3.0.tar.gz",
}
VERSIONS: Final = {"lib": "1.0", "needed": "2.0", "built": "3.0"}
HASHES: Final = {name: f"{number:064x}" for number, name in enumerate(NAMES, 10)}


def sample_pass(*names: str) -> Record:
    """Return the record of `lib`, a PASS that installed the named packages as well."""
    return replace(
        SAMPLE_RECORD,
        release=Release(package="lib", version="1.0"),
        image_digest="sha256:" + "ef" * 32,
        observed_at=1_700_000_000,
        file=DistributionFile(filename=NAMES["lib"], sha256=HASHES["lib"], size=7),
        installed=tuple(Installed(name=one, version=VERSIONS[one], sha256=HASHES[one]) for one in ("lib", *names)),
        preinstalled=(Preinstalled(name="pip", version="25.0"),),
    )


def indexed_files() -> dict[tuple[str, str], IndexedFile]:
    """Return what the index says of all files, by sha256 and project."""
    files = [
        IndexedFile(
            sha256=HASHES[name],
            project=name,
            version=VERSIONS[name],
            filename=filename,
            url=f"https://files.example/{name}/{filename}",
            seen_at=5,
            size=7,
            upload_time=datetime(2024, 5, 1, 12, 0, 0, 7, tzinfo=UTC),
        )
        for name, filename in NAMES.items()
    ]
    return {(file.sha256, file.project): file for file in files}
