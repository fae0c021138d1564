"""What is asked for, and what is refused: a fetcher against a real server on loopback."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from my_lib import FileRequest, WheelServer, wheel_server
from projects import Project

from ppp.bounded_http.session import BoundedSession
from ppp.model.errors import LockedFileError
from ppp.project_env.cache import WheelCache
from ppp.project_env.download import WheelFetcher, fetch_wheels
from ppp.project_env.locked import LockedWheel

PROJECT: Final = Project(name="one", files={"one.bin": bytes(range(256)) * 400})
CONTENT: Final = PROJECT.build()


class SilentProgress:
    def begin(self, wheels: Sequence[LockedWheel]) -> None: ...
    def start(self, wheel: LockedWheel, offset: int) -> None: ...
    def advance(self, wheel: LockedWheel, count: int) -> None: ...
    def finish(self, wheel: LockedWheel) -> None: ...
    def end(self) -> None: ...


@pytest.fixture(scope="module")
def server() -> Iterator[WheelServer]:
    with wheel_server([PROJECT]) as made:
        yield made


def wheel_of(server: WheelServer, *, size: int | None = len(CONTENT)) -> LockedWheel:
    return LockedWheel(
        name="one",
        version="1.0",
        filename=PROJECT.filename,
        url=server.url_of(PROJECT),
        sha256=sha256(CONTENT).hexdigest(),
        size=size,
    )


def fetch(cache: WheelCache, wheel: LockedWheel) -> bytes:
    with BoundedSession("tests") as session:
        return fetch_wheels(WheelFetcher(session, cache, SilentProgress()), [wheel])[wheel.name].read_bytes()


def leave_partial(cache: WheelCache, wheel: LockedWheel, content: bytes) -> Path:
    path = cache.path_of(wheel)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(content)
    return partial


@given(arrived=st.integers(0, len(CONTENT)), ignores_range=st.booleans(), has_size=st.booleans())
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_only_the_rest_is_asked_for_wherever_it_ended(
    server: WheelServer, tmp_path: Path, arrived: int, *, ignores_range: bool, has_size: bool
) -> None:
    cache, wheel = WheelCache(tmp_path), wheel_of(server, size=len(CONTENT) if has_size else None)
    partial = leave_partial(cache, wheel, CONTENT[:arrived])
    server.ignores_range = ignores_range
    server.take_requests()
    assert fetch(cache, wheel) == CONTENT
    server.ignores_range = False
    asked = [] if arrived == len(CONTENT) else [FileRequest(filename=wheel.filename, offset=arrived)]
    assert server.take_requests() == asked
    assert not partial.exists()
    assert fetch(cache, wheel) == CONTENT
    assert server.take_requests() == []


@pytest.mark.parametrize("arrived", [b"\x00", CONTENT[:99] + b"\x00", CONTENT + b"more", CONTENT[:-1] + b"\x00"])
def test_a_wrong_beginning_is_fetched_again(server: WheelServer, tmp_path: Path, arrived: bytes) -> None:
    cache, wheel = WheelCache(tmp_path), wheel_of(server)
    leave_partial(cache, wheel, arrived)
    assert fetch(cache, wheel) == CONTENT


@pytest.mark.parametrize("place", range(0, len(CONTENT), len(CONTENT) // 5))
def test_one_flipped_byte_is_refused_and_nothing_is_kept(server: WheelServer, tmp_path: Path, place: int) -> None:
    cache, wheel = WheelCache(tmp_path), wheel_of(server)
    flipped = bytearray(CONTENT)
    flipped[place] ^= 1
    server.contents[wheel.filename] = bytes(flipped)
    try:
        with pytest.raises(LockedFileError, match=r"from 127\.0\.0\.1:\d+ has the sha256"):
            fetch(cache, wheel)
    finally:
        server.contents[wheel.filename] = CONTENT
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert fetch(cache, wheel) == CONTENT
    cache.path_of(wheel).write_bytes(flipped)
    with pytest.raises(LockedFileError, match=r"in the cache, at .* has the sha256"):
        fetch(cache, wheel)


def test_a_file_that_is_longer_or_missing_is_refused(server: WheelServer, tmp_path: Path) -> None:
    cache = WheelCache(tmp_path)
    with pytest.raises(LockedFileError, match="is larger than 10 bytes"):
        fetch(cache, wheel_of(server, size=10))
    missing = LockedWheel(name="a", version="1", filename="a", url=server.index.url_of("/a"), sha256="ab" * 32, size=1)
    with pytest.raises(LockedFileError, match="responded with 404"):
        fetch(cache, missing)
