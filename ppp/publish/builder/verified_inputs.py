"""What the simple indexes depend on beside the records."""

from dataclasses import dataclass
from pathlib import Path

from ppp.index_files.store import IndexFiles
from ppp.publish.builder.mirrored import CopiedMetadata, mirrored_files, with_metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedInputs:
    """What the index said about files (None: nothing is listed), the days of the cooldown, and the site's own copies.

    `mirrored` are those as pairs of sha256 and name, `metadata` is what they say of themselves.
    """

    index_files: IndexFiles | None
    days: int
    mirrored: frozenset[tuple[str, str]]
    metadata: CopiedMetadata


def verified_inputs(
    out: Path, index_files: IndexFiles | None, *, days: int, copies: frozenset[tuple[str, str]] | None = None
) -> VerifiedInputs:
    """Return the inputs for a public folder, with the copies that it has now; with `copies`, of those only these."""
    found = mirrored_files(out)
    return VerifiedInputs(
        index_files=index_files,
        days=days,
        mirrored=found if copies is None else with_metadata(found, copies),
        metadata=CopiedMetadata(out=out),
    )
