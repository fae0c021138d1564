"""Make a lock of a PASS: of the files that its record names by hash, and what the index said about them."""

from collections.abc import Mapping, Sequence
from typing import Final

from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename

from ppp.index_files.file import IndexedFile
from ppp.locks.lock import JointClaim, Lock, LockedFile, LockedPackage, LockOrigin, is_plain
from ppp.model.errors import LockRefusedError
from ppp.model.matrix import EnvironmentId
from ppp.model.printable import first_of
from ppp.model.record import Installed, Record, Result
from ppp.model.release import InvalidReleaseError, Release

COMPLETE_HINT: Final = "add --complete to read from the index what it says about them"


def locked_files(record: Record) -> list[tuple[str, str]]:
    """Return the files that a lock of a record needs, as pairs (sha256, project), see `IndexFiles.get_many`.

    Raise `LockRefusedError` if there can be no lock of it, whatever the index says.
    """
    return [(_sha256(installed, record), release.package) for installed, release in _installed(record)]


def make_lock(record: Record, record_id: str, files: Mapping[tuple[str, str], IndexedFile]) -> Lock:
    """Return the lock of a record that is a PASS; `files` are what the index said, by the pairs of `locked_files`.

    Raise `LockRefusedError` if the record is no PASS, or a file of it has no hash, is unknown to the index, or
    contradicts the record.
    """
    wanted = locked_files(record)
    if unknown := [project for sha256, project in wanted if (sha256, project) not in files]:
        raise LockRefusedError(
            f"what the index says about the files of {first_of(unknown, 5)} is not known here, so there is no lock of"
            f" {record.release} in {record.environment}",
            hint=COMPLETE_HINT,
        )
    releases = [release for _, release in _installed(record)]
    packages = [_package(release, files[key]) for release, key in zip(releases, wanted, strict=True)]
    parts = EnvironmentId.parse(record.environment)
    return Lock(
        packages=tuple(sorted(packages, key=lambda package: package.name)),
        requires_python=f"=={parts.python_version}.*",
        origin=LockOrigin(
            environment=record.environment,
            platform=parts.platform,
            arch=record.arch,
            python=record.python,
            pip_version=record.pip_version,
            image_digest=record.image_digest,
            standin=record.standin,
            node=record.node,
            observed_at=record.observed_at,
            evidence=(record_id,),
            preinstalled=tuple(
                sorted((one.name, one.version) for one in record.preinstalled or () if is_plain(one.version))
            ),
        ),
    )


def make_joint_lock(
    installed: Sequence[Installed],
    files: Mapping[tuple[str, str], IndexedFile],
    origin: LockOrigin,
    claim: JointClaim,
) -> Lock:
    """Return the lock of what was installed together; `files` are what the index said, by sha256 and project.

    Raise `LockRefusedError` if a file is unknown to the index, or contradicts what was installed.
    """
    pairs = [(one, (one.sha256 or "", one.name)) for one in installed]
    if unknown := [one.name for one, key in pairs if key not in files]:
        raise LockRefusedError(
            f"the index does not list the files of {first_of(unknown, 5)} that were installed, so there is no lock",
            hint="run it again: the index may have changed meanwhile",
        )
    packages = [_package(Release.parse(one.name, one.version), files[key]) for one, key in pairs]
    return Lock(
        packages=tuple(sorted(packages, key=lambda package: package.name)),
        requires_python=f"=={EnvironmentId.parse(origin.environment).python_version}.*",
        origin=origin,
        joint=claim,
    )


def _installed(record: Record) -> list[tuple[Installed, Release]]:
    what = f"{record.release} in {record.environment}"
    if record.result is not Result.PASS:
        raise LockRefusedError(
            f"{what} is {record.result}, and only a PASS has a lock", hint="`ppp show` has the results of each release"
        )
    try:
        found = [(one, Release.parse(one.name, one.version)) for one in record.installed]
    except InvalidReleaseError as error:
        raise LockRefusedError(f"the record of {what} names {error.message}", hint="check it again") from error
    own = [one for one, release in found if release == record.release]
    if len({release.package for _, release in found}) < len(found) or len(own) != 1:
        raise LockRefusedError(
            f"the record of {what} does not say what was installed, once for each package", hint="check it again"
        )
    if record.file is None or own[0].sha256 != record.file.sha256:
        raise LockRefusedError(
            f"the record of {what} says that another file was installed than the one it checked", hint="check it again"
        )
    return found


def _sha256(installed: Installed, record: Record) -> str:
    if installed.sha256 is None:
        raise LockRefusedError(
            f"the record of {record.release} in {record.environment} has no hash of {installed.name}"
            f" {installed.version}, so there is no lock of it",
            hint="such files are built or taken from elsewhere than the index",
        )
    return installed.sha256


def _package(release: Release, file: IndexedFile) -> LockedPackage:
    if Release(package=file.project, version=file.version) != release or release_of(file.filename) != release:
        raise LockRefusedError(
            f"the index lists {file.filename} with the hash that was installed as {release}, and a lock cannot name"
            " a file whose name is not that of its release",
            hint="check the release again",
        )
    return LockedPackage(
        name=release.package,
        version=release.version,
        file=LockedFile(
            filename=file.filename, url=file.url, sha256=file.sha256, size=file.size, upload_time=file.upload_time
        ),
    )


def release_of(filename: str) -> Release | None:
    """Return the release of a wheel or sdist by its name, as every reader of locks sees it; None for other names."""
    try:
        if filename.endswith(".whl"):
            name, version, _, _ = parse_wheel_filename(filename)
        else:
            name, version = parse_sdist_filename(filename)
        return Release.parse(name, str(version))
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidReleaseError, ValueError):
        return None
