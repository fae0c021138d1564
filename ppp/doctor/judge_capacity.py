"""What disk and memory come to, by what the matrix lets a cell use. Pure; sizes in bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from ppp.doctor.diagnosis import Diagnosis, State, format_size
from ppp.doctor.machine import FileSystemFacts, MemoryFacts
from ppp.model.matrix import Limits

MIB: Final = 1024 * 1024
GIB: Final = 1024 * MIB
#: A release may unpack a hundred thousand files; with fewer than a few thousand left not even pip can be unpacked.
FEW_INODES: Final = 100_000
NO_INODES: Final = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderNeeds:
    """A folder that a run uses, where it is, and the free bytes without which nothing goes, or not all at once."""

    role: str
    system: FileSystemFacts
    required: int
    wanted: int
    written_by_us: bool = True


def disk(folders: Sequence[FolderNeeds]) -> tuple[Diagnosis, ...]:
    """Judge the folders, those of one file system together."""
    unusable = [
        folder
        for folder in folders
        if folder.written_by_us and not (folder.system.is_folder and folder.system.writable)
    ]
    rest = sorted((f for f in folders if f not in unusable), key=lambda folder: folder.system.device)
    together = [list(found) for _, found in groupby(rest, key=lambda folder: folder.system.device)]
    return (*map(_unusable, unusable), *map(_room, together))


def _unusable(folder: FolderNeeds) -> Diagnosis:
    path = folder.system.path
    if not folder.system.is_folder:
        found, remedy = f"a file stands at {path}, where {folder.role} need a folder", "move it away"
    else:
        found, remedy = f"{path} cannot be written, and {folder.role} go there", "make it writable"
    other = "set TMPDIR to another folder" if folder.role == "temporary files" else "name another with --data"
    return Diagnosis(subject="disk", state=State.BROKEN, found=found, remedy=f"{remedy}, or {other}")


def _room(folders: Sequence[FolderNeeds]) -> Diagnosis:
    system = folders[0].system
    least, wanted = (sum(bounds) for bounds in zip(*((f.required, f.wanted) for f in folders), strict=True))
    names = ", ".join(folder.role for folder in folders)
    found = f"{format_size(system.free_bytes)} of {format_size(system.total_bytes)} free for {names} (at {system.path})"
    if system.total_inodes:
        found += f", {system.free_inodes} inodes"
    counted = bool(system.total_inodes)
    if system.free_bytes < least or (counted and system.free_inodes < NO_INODES):
        state = State.BROKEN
    elif system.free_bytes < wanted or (counted and system.free_inodes < FEW_INODES):
        state = State.WARN
    else:
        return Diagnosis(subject="disk", state=State.OK, found=found)
    return Diagnosis(
        subject="disk",
        state=state,
        found=f"{found}; a run wants {format_size(wanted)} and {FEW_INODES} inodes,"
        f" and does nothing below {format_size(least)}",
        remedy="free some space (`docker image prune`, the cache folder can go), or take fewer jobs with PPP_JOBS",
    )


def folder_needs(
    limits: Limits, jobs: int, systems: Mapping[str, FileSystemFacts], *, in_memory: bool, images: int
) -> tuple[FolderNeeds, ...]:
    """Give what a run needs of `systems`, by its own names for them: data, cache, temporary, docker (may be missing).

    Files are fetched into the cache; cells live among the temporary files, but for sandboxes that are `in_memory`.
    """
    file_bytes, cell_bytes = limits.file_mb * MIB, 0 if in_memory else limits.disk_mb * MIB
    folders = [
        FolderNeeds(role="the ledger and pages", system=systems["data"], required=64 * MIB, wanted=GIB),
        FolderNeeds(role="fetched files", system=systems["cache"], required=file_bytes, wanted=jobs * file_bytes),
        FolderNeeds(
            role="temporary files",
            system=systems["temporary"],
            required=cell_bytes + 16 * MIB,
            wanted=jobs * cell_bytes + 64 * MIB,
        ),
    ]
    if "docker" in systems:
        # What an image of the matrix takes, and a little for the engine itself.
        least, wanted = 64 * MIB, (64 + images * 300) * MIB
        folders.append(
            FolderNeeds(role="Docker", system=systems["docker"], required=least, wanted=wanted, written_by_us=False)
        )
    return tuple(folders)


def memory(found: MemoryFacts, limits: Limits, jobs: int, *, in_memory: bool) -> Diagnosis:
    """Judge whether as many cells as run at a time may each use all they may; `in_memory` are a sandbox's own files."""
    cell = (limits.memory_mb + (limits.disk_mb if in_memory else 0)) * MIB
    what = f"{format_size(found.total_bytes)}, {format_size(found.available_bytes)} of it free"
    wants = f"{jobs} cells at a time may use {format_size(cell)} each"
    fit = found.total_bytes // cell
    if found.total_bytes >= jobs * cell:
        return Diagnosis(subject="memory", state=State.OK, found=f"{what}; {wants}")
    lower = "lower memory_mb and disk_mb in a matrix of your own (--matrix)"
    return Diagnosis(
        subject="memory",
        state=State.WARN if found.total_bytes >= limits.memory_mb * MIB else State.BROKEN,
        found=f"{what}; {wants}, and where the machine runs out its own programs are ended too",
        remedy=f"set PPP_JOBS={fit}, or {lower}" if fit else lower,
    )
