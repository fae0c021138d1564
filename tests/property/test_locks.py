"""A lock is read back as it was written, has the same bytes for the same record, and is refused where it changed."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st
from sample_lock import sample_pass

from ppp.index_files.file import IndexedFile
from ppp.locks.make import make_lock
from ppp.locks.pylock import read_lock, write_pylock
from ppp.locks.requirements import write_requirements
from ppp.model.errors import InvalidLockError
from ppp.model.file_sizes import MAX_DISTRIBUTION_BYTES
from ppp.model.record import DistributionFile, Installed, Record
from ppp.model.release import Release, parse_package, parse_version

NAMES: Final = st.from_regex(re.compile(r"[a-z][a-z0-9]{0,6}(-[a-z0-9]{1,3})?", re.ASCII), fullmatch=True).map(
    parse_package
)
VERSIONS: Final = st.from_regex(
    re.compile(r"([1-9]!)?[0-9]{1,3}(\.[0-9]{1,3}){0,3}(rc1)?(\.post2)?(\+[a-z]{1,3})?", re.ASCII), fullmatch=True
).map(parse_version)
TIMES: Final = st.datetimes(datetime(2005, 1, 1), datetime(2100, 1, 1)).map(lambda time: time.replace(tzinfo=UTC))  # noqa: DTZ001 - the zone is set
HASHES: Final = st.integers(0, 2**256 - 1).map("{:064x}".format)


@st.composite
def installations(draw: st.DrawFn) -> tuple[Record, dict[tuple[str, str], IndexedFile]]:
    """Draw a record that is a PASS, and what the index says of its files."""
    names = draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
    files = {}
    for name in names:
        stem, version = name.replace("-", "_"), draw(VERSIONS)
        filename = draw(st.sampled_from([f"{stem}-{version}-py3-none-any.whl", f"{stem}-{version}.tar.gz"]))
        sha256 = draw(HASHES)
        files[sha256, name] = IndexedFile(
            sha256=sha256,
            project=name,
            version=version,
            filename=filename,
            url=f"https://files.example/{draw(st.integers(0, 9))}/{filename}",
            seen_at=1,
            size=draw(st.none() | st.integers(1, MAX_DISTRIBUTION_BYTES)),
            upload_time=draw(st.none() | TIMES),
        )
    own, *_ = files.values()
    installed = [Installed(name=f.project, version=f.version, sha256=f.sha256) for f in files.values()]
    record = replace(
        sample_pass(),
        release=Release(package=own.project, version=own.version),
        environment=draw(st.sampled_from(["py312-slim", "py39-alpine", "py314-host"])),
        image_digest=draw(st.none() | HASHES.map("sha256:{}".format)),
        observed_at=draw(st.integers(0, 4_102_444_800)),
        file=DistributionFile(filename=own.filename, sha256=own.sha256, size=1),
        installed=tuple(draw(st.permutations(installed))),
    )
    return record, files


@settings(max_examples=40)
@given(installations())
def test_a_lock_is_read_back_as_it_was_written(drawn: tuple[Record, dict[tuple[str, str], IndexedFile]]) -> None:
    record, files = drawn
    lock = make_lock(record, record.id, files)
    assert read_lock(write_pylock(lock)) == lock
    assert {(p.name, p.version, p.file.sha256) for p in lock.packages} == {
        (one.name, one.version, one.sha256) for one in record.installed
    }


@settings(max_examples=40)
@given(installations(), st.randoms(use_true_random=False))
def test_the_order_of_what_was_installed_does_not_matter(
    drawn: tuple[Record, dict[tuple[str, str], IndexedFile]], random: Random
) -> None:
    record, files = drawn
    shuffled = [*record.installed]
    random.shuffle(shuffled)
    one, other = (
        make_lock(replace(record, installed=tuple(i)), "ab" * 32, files) for i in (record.installed, shuffled)
    )
    assert write_pylock(one) == write_pylock(other)
    assert write_requirements(one) == write_requirements(other)


@settings(max_examples=40)
@given(installations(), st.data())
def test_a_change_is_refused_or_means_the_same(
    drawn: tuple[Record, dict[tuple[str, str], IndexedFile]], data: st.DataObject
) -> None:
    record, files = drawn
    lock = make_lock(record, record.id, files)
    content = write_pylock(lock)
    start = data.draw(st.integers(0, len(content) - 1))
    end = data.draw(st.integers(start, min(start + 40, len(content))))
    changed = content[:start] + data.draw(st.binary(max_size=40) | st.just(b"\n")) + content[end:]
    try:
        found = read_lock(changed)
    except InvalidLockError:
        assert changed != content
    else:
        assert found == lock
