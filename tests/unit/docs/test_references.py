"""What documents name exists: files, sections of the code, and targets of links."""

import builtins
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[3]
DOCUMENTS: Final = sorted(
    [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"],
    key=lambda path: path.name,
)
#: A node's own output, which a fresh checkout does not have.
GENERATED: Final = ("data/", "out/")
CODE_SPAN: Final = re.compile(r"`([^`\n]+)`")
LINK: Final = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
FENCE: Final = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
CLASS_NAME: Final = re.compile(r"[A-Z][a-z]+(?:[A-Z][a-z]+)+")


def spans(document: Path) -> list[str]:
    return CODE_SPAN.findall(FENCE.sub("", document.read_text("utf-8")))


def named_paths(document: Path) -> Iterator[str]:
    """Return what looks like a file or folder of the repository: its first folder is one of ours."""
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()}
    for span in spans(document):
        word = span.split()[0]
        if "/" in word and word.split("/")[0] in folders and not word.startswith(GENERATED) and "<" not in word:
            yield word


@cache
def defined_classes() -> frozenset[str]:
    sources = [path.read_text("utf-8") for path in (ROOT / "ppp").rglob("*.py")]
    return frozenset(name for source in sources for name in re.findall(r"^class (\w+)", source, re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_paths_in_documents_exist(document: Path) -> None:
    assert [word for word in named_paths(document) if not list(ROOT.glob(word.rstrip("/,.;:")))] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_relative_links_lead_somewhere(document: Path) -> None:
    targets = [target for target in LINK.findall(document.read_text("utf-8")) if "://" not in target]
    assert [target for target in targets if not (document.parent / target).exists()] == []


def is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_dotted_names_in_documents_can_be_imported(document: Path) -> None:
    for name in (span for span in spans(document) if re.fullmatch(r"ppp(\.\w+)+", span) and span != "ppp.db"):
        parts = name.split(".")
        modules = [".".join(parts[:n]) for n in range(1, len(parts) + 1)]
        module = next(m for m in reversed(modules) if is_module(m))
        found: object = importlib.import_module(module)
        for attribute in parts[module.count(".") + 1 :]:
            found = getattr(found, attribute)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_class_names_in_documents_are_ours_or_the_standard_library_s(document: Path) -> None:
    names = {span for span in spans(document) if CLASS_NAME.fullmatch(span)} - {
        *dir(builtins),
        "StrEnum",
        "ThreadPoolExecutor",
    }
    assert names - defined_classes() == set()


def test_decision_records_are_numbered_and_open_with_their_number() -> None:
    pages = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert len({page.name[:4] for page in pages}) == len(pages)
    assert [page.name for page in pages if not page.read_text("utf-8").startswith(f"# {int(page.name[:4])}. ")] == []
