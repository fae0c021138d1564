"""How references to images are read, and what an engine is asked for."""

import json
from pathlib import Path
from typing import Any

import docker
import pytest
import requests
from docker.errors import APIError, ImageNotFound
from hypothesis import given
from hypothesis import strategies as st

from ppp.check.images import ImagePins, ImageReference, ImageUnavailableError, find_or_pull, registry_digest

HEX = "5a" * 32
DIGEST = f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("text", "repository", "version", "name"),
    [
        ("python", "python", "latest", "python:latest"),
        ("python:3.12-slim", "python", "3.12-slim", "python:3.12-slim"),
        (f"python@{DIGEST}", "python", DIGEST, f"python@{DIGEST}"),
        (f"python:3.12-slim@{DIGEST}", "python", DIGEST, f"python@{DIGEST}"),
        ("group/sub/name:1", "group/sub/name", "1", "group/sub/name:1"),
        ("registry.example/name", "registry.example/name", "latest", "registry.example/name:latest"),
        ("host:5000/name", "host:5000/name", "latest", "host:5000/name:latest"),
        ("host:5000/name:tag", "host:5000/name", "tag", "host:5000/name:tag"),
        (f"host:5000/name:tag@{DIGEST}", "host:5000/name", DIGEST, f"host:5000/name@{DIGEST}"),
        ("[::1]:5000/name:tag", "[::1]:5000/name", "tag", "[::1]:5000/name:tag"),
        ("localhost/name", "localhost/name", "latest", "localhost/name:latest"),
        ("HOST/name", "HOST/name", "latest", "HOST/name:latest"),
        ("12-3/a__b/c---d.e", "12-3/a__b/c---d.e", "latest", "12-3/a__b/c---d.e:latest"),
        ("localhost", "localhost", "latest", "localhost:latest"),
        # By its id, as `docker image ls --no-trunc` prints it.
        (DIGEST, "sha256", HEX, DIGEST),
    ],
)
def test_a_reference_is_read_as_engines_do(text: str, repository: str, version: str, name: str) -> None:
    reference = ImageReference.parse(text)
    assert (reference.repository, reference.version, reference.name) == (repository, version, name)
    assert str(reference) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":tag",
        "name:",
        "name@",
        "name:tag:tag",
        "Name",
        "name:-tag",
        f"name:{'t' * 129}",
        "name@sha256:5a",
        f"name@{DIGEST}@{DIGEST}",
        "host:port/name",
        "host:5000/",
        "/name",
        "name//name",
        "-host.example/name",
        "a___b",
        "a b",
        "name\n",
        f"name/{'x' * 251}",
        "https://registry.example/name",
    ],
)
def test_an_invalid_reference_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a valid image reference"):
        ImageReference.parse(text)


COMPONENTS = st.from_regex(r"[a-z0-9]{1,4}((\.|_|__|--?)[a-z0-9]{1,4}){0,2}", fullmatch=True)
HOSTS = st.from_regex(r"([a-zA-Z0-9]{1,4}\.[a-z]{2}|localhost|host:[0-9]{1,5})(:[0-9]{1,5})?", fullmatch=True).filter(
    lambda host: host.count(":") < 2
)
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", fullmatch=True)
DIGESTS = st.from_regex(r"sha(256|512):[0-9a-f]{64}", fullmatch=True)


@given(
    host=st.none() | HOSTS,
    path=st.lists(COMPONENTS, min_size=1, max_size=3),
    tag=st.none() | TAGS,
    digest=st.none() | DIGESTS,
)
def test_every_reference_is_parsed_into_its_parts(
    host: str | None, path: list[str], tag: str | None, digest: str | None
) -> None:
    # Without a host a first component with a dot would be one.
    parts = [host, *path] if host else ["library", *path]
    repository = "/".join(parts)
    text = f"{repository}{f':{tag}' if tag else ''}{f'@{digest}' if digest else ''}"
    reference = ImageReference.parse(text)
    assert reference == ImageReference(repository=repository, tag=tag, digest=digest)
    assert str(reference) == text
    again = ImageReference.parse(reference.name)
    assert (again.repository, again.version) == (repository, reference.version)


@given(st.text(max_size=40))
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    try:
        reference = ImageReference.parse(text)
    except ValueError:
        return
    assert str(reference) == text


# ---------------------------------------------------------------- finding and pulling


class ScriptedImages:
    """An engine's images, as docker-py has them; what it was asked is in `requests`."""

    def __init__(self, *, local: bool = False, fails: Exception | None = None) -> None:
        self.local = local
        self.fails = fails
        self.requests: list[tuple[str, ...]] = []

    @property
    def images(self) -> "ScriptedImages":
        return self

    def get(self, name: str) -> str:
        self.requests.append(("get", name))
        if not self.local:
            raise ImageNotFound("no such image")
        return f"image {name}"

    def pull(self, repository: str, *, tag: str) -> str:
        self.requests.append(("pull", repository, tag))
        if self.fails:
            raise self.fails
        return f"pulled {repository} {tag}"


def find(images: Any, text: str, noted: list[str]) -> object:
    client: docker.DockerClient = images
    return find_or_pull(client, text, on_pull=lambda: noted.append(text))


def test_a_local_image_is_not_pulled() -> None:
    noted: list[str] = []
    assert find(images := ScriptedImages(local=True), "host:5000/name", noted) == "image host:5000/name:latest"
    assert (images.requests, noted) == ([("get", "host:5000/name:latest")], [])


@pytest.mark.parametrize(
    ("text", "repository", "version"),
    [
        ("python", "python", "latest"),
        ("host:5000/name", "host:5000/name", "latest"),
        ("host:5000/name:tag", "host:5000/name", "tag"),
        (f"python@{DIGEST}", "python", DIGEST),
        (f"python:3.12@{DIGEST}", "python", DIGEST),
    ],
)
def test_a_missing_image_is_pulled_by_repository_and_version(text: str, repository: str, version: str) -> None:
    noted: list[str] = []
    images = ScriptedImages()
    assert find(images, text, noted) == f"pulled {repository} {version}"
    assert (images.requests[1], noted) == (("pull", repository, version), [text])


@pytest.mark.parametrize("error", [APIError("denied"), requests.ConnectionError("gone")])
def test_an_image_that_cannot_be_pulled_says_why(error: Exception) -> None:
    with pytest.raises(ImageUnavailableError, match=f"^name:1 is not here and cannot be pulled: {error}$"):
        find(ScriptedImages(fails=error), "name:1", [])


def test_an_engine_is_not_asked_for_an_invalid_reference() -> None:
    images = ScriptedImages()
    with pytest.raises(ImageUnavailableError, match="'Name' is not a valid image reference"):
        find(images, "Name", [])
    assert images.requests == []


def test_an_engine_that_does_not_answer_says_so() -> None:
    class Dead(ScriptedImages):
        def get(self, name: str) -> str:
            raise requests.ConnectionError(f"refused {name}")

    with pytest.raises(ImageUnavailableError, match="the Docker engine does not answer: refused name:1"):
        find(Dead(), "name:1", [])


# ---------------------------------------------------------------- the digest that a tag had


class TaggedImage:
    """An image as docker-py has it; `tags` are those that it was given."""

    def __init__(self, *names: str) -> None:
        self.attrs = {"RepoDigests": [*names]}
        self.tags: list[tuple[str, str]] = []

    def tag(self, repository: str, tag: str) -> None:
        self.tags.append((repository, tag))


class EngineWithRegistry:
    """An engine with a registry behind it: `local` are images by name, `remote` by repository and version."""

    def __init__(self, local: dict[str, TaggedImage], remote: dict[tuple[str, str], TaggedImage]) -> None:
        self.local = local
        self.remote = remote

    @property
    def images(self) -> "EngineWithRegistry":
        return self

    def get(self, name: str) -> TaggedImage:
        if name not in self.local:
            raise ImageNotFound("no such image")
        return self.local[name]

    def pull(self, repository: str, *, tag: str) -> TaggedImage:
        return self.remote[repository, tag]


OLD, NEW = (f"sha256:{digit * 64}" for digit in "12")


def found(engine: Any, pins: Path, text: str = "python:3.12") -> object:
    return find_or_pull(engine, text, pins=ImagePins(pins))


def test_a_tag_that_was_moved_gives_the_image_that_it_gave_before(tmp_path: Path) -> None:
    old, new = TaggedImage(f"python@{OLD}"), TaggedImage(f"python@{NEW}")
    pins = tmp_path / "images.json"
    assert found(EngineWithRegistry({}, {("python", "3.12"): old}), pins) is old
    assert json.loads(pins.read_text()) == {"python:3.12": OLD}
    assert (found(EngineWithRegistry({}, {("python", "3.12"): new, ("python", OLD): old}), pins), old.tags) == (
        old,
        [("python", "3.12")],
    )
    # Whoever pulls it by hand wants the new one.
    assert found(EngineWithRegistry({"python:3.12": new}, {}), pins) is new
    assert json.loads(pins.read_text()) == {"python:3.12": NEW}
    assert [path.name for path in tmp_path.iterdir()] == ["images.json"]


def test_an_image_that_was_built_here_or_is_named_by_digest_is_not_remembered(tmp_path: Path) -> None:
    pins = tmp_path / "images.json"
    built = TaggedImage()
    by_digest = TaggedImage(f"python@{OLD}")
    assert found(EngineWithRegistry({"python:3.12": built}, {}), pins) is built
    assert found(EngineWithRegistry({f"python@{OLD}": by_digest}, {}), pins, f"python:3.12@{OLD}") is by_digest
    assert not pins.exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"python:3.12": "latest"}', '{"python:3.12": 1}'])
def test_a_file_of_something_else_pins_nothing_and_is_reported(tmp_path: Path, content: str) -> None:
    (pins := tmp_path / "images.json").write_text(content)
    with pytest.raises(ImageUnavailableError, match=r"images\.json.*remove it"):
        found(EngineWithRegistry({}, {}), pins)


@pytest.mark.parametrize(
    ("names", "digest"),
    [
        ([], None),
        (None, None),
        ([f"python@{OLD}"], OLD),
        ([f"registry.example/library/python@{OLD}"], OLD),
        ([f"cpython@{OLD}"], None),
        ([f"mirror@{OLD}", f"python@{NEW}"], NEW),
        (["python@latest", "python"], None),
    ],
)
def test_the_digest_is_that_of_the_same_repository(names: list[str] | None, digest: str | None) -> None:
    image = TaggedImage()
    image.attrs["RepoDigests"] = names  # type: ignore[assignment]
    assert registry_digest(ImageReference.parse("python:3.12"), image) == digest
