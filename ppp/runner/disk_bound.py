"""Keep the data folder within a bound: cached files make room, those that were not used for longest first.

First goes what the index gives again: distribution files in folders named by their sha256. Then the backups that
upgrades made, the oldest first, but never the last one: it is the way back. The ledger, the key, signed batches and
what is published stay, whatever the bound.
"""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ppp.ledger.upgrade import list_upgrade_backups
from ppp.runner.context import Context

MIB: Final = 1024**2
#: The folders of the cache that hold files by their sha256, at any depth.
CACHES: Final = ("files", "gateway")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskUse:
    """What the data folder takes, in bytes, and what was removed for that: bytes, cached files, and backups."""

    used: int
    removed_bytes: int = 0
    removed_files: int = 0
    removed_backups: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class _CachedFile:
    used_at: float
    folder: Path
    size: int


def keep_within_bound(context: Context) -> None:
    """Make room where the settings bound the data folder, and report it; nothing may use its caches meanwhile."""
    config = context.config
    if config.disk_mib is None:
        return
    use = make_room(config.data, [config.cache / name for name in CACHES], config.disk_mib * MIB)
    if use.removed_files or use.removed_backups:
        context.reporter.note(
            f"{use.removed_files} cached files and {use.removed_backups} backups before upgrades,"
            f" {use.removed_bytes // MIB:,} MiB, made room (PPP_DISK_MIB)"
        )
    if use.used > config.disk_mib * MIB:
        context.reporter.warn(
            f"without cached files the data folder takes {use.used // MIB:,} MiB; PPP_DISK_MIB is {config.disk_mib:,}:"
            " records are never removed; raise it, or move old snapshots elsewhere"
        )


def make_room(data: Path, caches: list[Path], limit: int) -> DiskUse:
    """Remove cached files, then backups but the last, until the data folder takes at most `limit` bytes."""
    used = folder_bytes(data)
    removed_bytes = removed_files = removed_backups = 0
    if used > limit:
        for cached in sorted(each for cache in caches for each in _cached_files(cache)):
            if used - removed_bytes <= limit:
                break
            shutil.rmtree(cached.folder, ignore_errors=True)
            if not cached.folder.exists():
                removed_bytes += cached.size
                removed_files += 1
        for backup in list_upgrade_backups(data)[:-1]:
            if used - removed_bytes <= limit:
                break
            removed_bytes += folder_bytes(backup.path)
            backup.path.unlink(missing_ok=True)
            removed_backups += 1
    return DiskUse(
        used=used - removed_bytes,
        removed_bytes=removed_bytes,
        removed_files=removed_files,
        removed_backups=removed_backups,
    )


def folder_bytes(folder: Path) -> int:
    """Return how many bytes the files below a folder take on the disk; what vanishes meanwhile counts nothing."""
    total = 0
    for path in (folder, *folder.rglob("*")):
        try:
            # Blocks of 512 bytes: a small file takes more than it holds, and one with holes less.
            total += path.lstat().st_blocks * 512
        except OSError:
            continue
    return total


def _cached_files(cache: Path) -> Iterator[_CachedFile]:
    for folder in cache.rglob("*"):
        if _SHA256.fullmatch(folder.name) and folder.is_dir() and not folder.is_symlink():
            yield _CachedFile(used_at=folder.stat().st_mtime, folder=folder, size=folder_bytes(folder))
