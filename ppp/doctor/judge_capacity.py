"""Judge disk and memory by what the matrix allows a cell to use. Pure; sizes in bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from ppp.doctor.diagnosis import Diagnosis, State, format_size
from ppp.doctor.machine import FileSystemFacts, MemoryFacts
from ppp.model.matrix import Limits

MIB: Final = 1024 * 1024
GIB: Final = 1024 * MIB
#: A release may unpack a hundred thousand files; with fewer than a few thousand inodes not even pip can be unpacked.
WANTED_INODES: Final = 100_000
REQUIRED_INODES: Final = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderNeeds:
    """The free space that one of a run's folders needs.

    Below `required` bytes nothing can run; below `wanted`, not as many cells at a time as configured. `written_by_us`
    is false for a folder that another program writes.
    """

    role: str
    system: FileSystemFacts
    required: int
    wanted: int
    written_by_us: bool = True


def disk(folders: Sequence[FolderNeeds]) -> tuple[Diagnosis, ...]:
    """Judge the folders; those on one file system are judged together, because they share its space."""
    # The folder of Docker is written by its engine, so this user need not be able to write it.
    unusable = [f for f in folders if f.written_by_us and not (f.system.is_folder and f.system.writable)]
    usable = sorted((f for f in folders if f not in unusable), key=lambda folder: folder.system.device)
    shared = [list(group) for _, group in groupby(usable, key=lambda folder: folder.system.device)]
    return (*map(_unusable, unusable), *map(_free_space, shared))


def _unusable(folder: FolderNeeds) -> Diagnosis:
    path = folder.system.path
    if not folder.system.is_folder:
        found, remedy = f"{path} is not a folder, but {folder.role} need one there", "move it away"
    else:
        found, remedy = f"{path} cannot be written, and {folder.role} go there", "make it writable"
    other = "set TMPDIR to another folder" if folder.role == "temporary files" else "choose another with --data"
    return Diagnosis(subject="disk", state=State.BROKEN, found=found, remedy=f"{remedy}, or {other}")


def _free_space(folders: Sequence[FolderNeeds]) -> Diagnosis:
    system = folders[0].system
    required, wanted = (sum(bounds) for bounds in zip(*((f.required, f.wanted) for f in folders), strict=True))
    roles = ", ".join(folder.role for folder in folders)
    found = f"{format_size(system.free_bytes)} of {format_size(system.total_bytes)} free for {roles} (at {system.path})"
    if system.total_inodes:
        found += f", {system.free_inodes} inodes"
    counts_inodes = bool(system.total_inodes)
    if system.free_bytes < required or (counts_inodes and system.free_inodes < REQUIRED_INODES):
        state = State.BROKEN
    elif system.free_bytes < wanted or (counts_inodes and system.free_inodes < WANTED_INODES):
        state = State.WARN
    else:
        return Diagnosis(subject="disk", state=State.OK, found=found)
    needs = f"a run needs up to {format_size(wanted)} and {WANTED_INODES} inodes, and at least {format_size(required)}"
    return Diagnosis(
        subject="disk",
        state=state,
        found=f"{found}; {needs}",
        remedy="free some space (`docker image prune`; the cache folder can be deleted), or run fewer cells at a time"
        " with PPP_JOBS",
    )


def folder_needs(
    limits: Limits, jobs: int, systems: Mapping[str, FileSystemFacts], *, in_memory: bool, images: int
) -> tuple[FolderNeeds, ...]:
    """Return what a run needs of each of its folders.

    `systems` maps `data`, `cache`, `temporary` and, optionally, `docker` to their file systems. Files are fetched into
    the cache. Cells run in the temporary folder unless their sandboxes keep files `in_memory`. `images` is how many
    images the engine has to store.
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
        # About 300 MiB for each image of the matrix, and a little for the engine itself.
        required, wanted = 64 * MIB, (64 + images * 300) * MIB
        docker = systems["docker"]
        folders.append(FolderNeeds(role="Docker", system=docker, required=required, wanted=wanted, written_by_us=False))
    return tuple(folders)


def memory(facts: MemoryFacts, limits: Limits, jobs: int, *, in_memory: bool) -> Diagnosis:
    """Judge whether `jobs` cells may each use all the memory they are allowed.

    If `in_memory`, a cell's files count as memory too.
    """
    cell = (limits.memory_mb + (limits.disk_mb if in_memory else 0)) * MIB
    # By the total, not by what is free: the system frees cache memory when cells need it.
    total = f"{format_size(facts.total_bytes)}, {format_size(facts.available_bytes)} of it free"
    use = f"{jobs} cells at a time may use {format_size(cell)} each"
    fit = facts.total_bytes // cell
    if facts.total_bytes >= jobs * cell:
        return Diagnosis(subject="memory", state=State.OK, found=f"{total}; {use}")
    lower = "lower memory_mb and disk_mb in a matrix of your own (--matrix)"
    return Diagnosis(
        subject="memory",
        state=State.WARN if facts.total_bytes >= limits.memory_mb * MIB else State.BROKEN,
        found=f"{total}; {use}, and if memory runs out the kernel may also kill other programs",
        remedy=f"set PPP_JOBS={fit}, or {lower}" if fit else lower,
    )
