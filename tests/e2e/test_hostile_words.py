"""Commands on hostile text: nothing that they print controls a terminal, and every line is bounded.

Text that is not valid where it stands is assert_refused in one line. All of this runs in the process of the tests.
"""

import json
import os
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Final

import pytest
from cell_environments import FetchedPip
from hostile_strings import HOSTILE_STRINGS, SURROGATES, hostile_records, unsafe_characters
from local_index import LocalIndex, reply
from program import CompletedCommand, Program
from projects import module_project

from ppp.ledger.store import Store
from ppp.mesh.node import NodeKey, create_key
from ppp.model.errors import JournalUnreachableError

PEER: Final = NodeKey.from_seed(b"\x07" * 32)
LONGEST: Final = 12_100
#: Exit codes of usage errors, and the first and the last of our own errors.
USAGE, FIRST, LAST = 2, 3, 49
#: Those that can be an argument.
ARGUMENTS: Final = {
    name: word for name, word in {**HOSTILE_STRINGS, "byte": SURROGATES["escaped-byte"]}.items() if "\0" not in word
}
#: Those that can be a file name.
NAMES: Final = {
    name: word
    for name, word in ARGUMENTS.items()
    if "/" not in word and len(os.fsencode(word)) < 200 and word.strip(".")
}


def assert_harmless(done: CompletedCommand) -> CompletedCommand:
    for text in (done.out, done.err):
        assert unsafe_characters(text) == set(), done
        assert max(map(len, text.split("\n"))) <= LONGEST
    assert "Traceback" not in done.err, done
    return done


def assert_refused(done: CompletedCommand) -> None:
    """Check that a command was assert_refused: with one line of our own, or as a usage error."""
    assert_harmless(done)
    assert done.out == ""
    assert done.code == USAGE or (FIRST < done.code <= LAST and re.fullmatch(r"ppp: .+\n", done.err)), done


@pytest.fixture
def node(program: Program) -> Program:
    """A node with a key and an empty ledger."""
    with Store.open(program.data):
        create_key(program.data)
    return program


@pytest.fixture
def full(node: Program) -> Program:
    """A node whose ledger is full of hostile strings."""
    with Store.open(node.data) as store, store.db.atomic():
        for made, log in hostile_records(HOSTILE_STRINGS):
            store.insert_record(made, log)
    return node


# ---------------------------------------------------------------- the ledger


@pytest.mark.attack("inert-text")
def test_show_prints_plain_text(full: Program) -> None:
    everything = assert_harmless(full.run_in_process("show", "--limit", "0"))
    assert everything.code == 0
    # Each release has a line for each of two environments, whose blame differs; hostile text adds no line of its own.
    assert len(re.findall(r"^✗ FAIL", everything.out, re.MULTILINE)) == 2 * len(HOSTILE_STRINGS)
    assert not re.search(r"^(ppp:|✓)", everything.out, re.MULTILINE)
    for name in ("forged", "up", "eight-bit", "override", "rich"):
        assert assert_harmless(full.run_in_process("show", name)).out.count("✗ FAIL") == 4
    assert "[bold red]x[/]" in full.run_in_process_ok("show", "rich")


@pytest.mark.attack("inert-text")
def test_json_output_keeps_the_strings(full: Program) -> None:
    answer_json = json.loads(assert_harmless(full.run_in_process("show", "--json")).out)
    details = {row["package"]: row["detail"] for row in answer_json["results"] if row["result"] == "FAIL"}
    assert details == {name: word[:500] for name, word in HOSTILE_STRINGS.items()}


@pytest.mark.attack("inert-text")
def test_publishing_and_verifying_print_plain_text(full: Program) -> None:
    for command in (("publish",), ("narrate",), ("publish",), ("snapshot",), ("verify", str(full.data))):
        assert assert_harmless(full.run_in_process(*command)).code == 0, command
    page = (full.data / "public" / "p" / "override" / "index.html").read_text("utf-8")
    assert "\\u202egnp.exe" in page


# ---------------------------------------------------------------- arguments


@pytest.mark.attack("inert-text")
@pytest.mark.parametrize(
    "command",
    [
        ("@",),
        ("show", "@"),
        ("show", "--@"),
        ("run", "-p", "@"),
        ("run", "-e", "@"),
        ("check", "@", "six"),
        ("check", "py312-host", "@"),
        ("narrate", "--day", "@"),
        ("narrate", "--seed", "@"),
        ("watch", "-r", "@"),
        ("serve", "--port", "@"),
        ("verify", "@"),
        ("verify", "--sha256", "@", "x"),
        ("verify", "--node", "@", "x"),
        ("peer", "@"),
        ("peer", "add", "@", "--key", PEER.id),
        ("peer", "add", "http://node.example/", "--key", "@"),
        ("peer", "add", "http://node.example/@", "--key", PEER.id),
        ("peer", "add", "http://@/", "--key", PEER.id),
        ("peer", "remove", "@"),
        ("run", "--matrix", "@"),
        ("run", "--network", "@"),
    ],
    ids=" ".join,
)
def test_hostile_arguments(command: tuple[str, ...], node: Program) -> None:
    for word in ARGUMENTS.values():
        done = assert_harmless(node.run_in_process(*(part.replace("@", word) for part in command)))
        assert done.code != 1, done
    assert node.query("SELECT count(*) FROM records") == [(0,)]


# ---------------------------------------------------------------- files


@pytest.mark.attack("inert-text")
def test_files_with_hostile_names_are_one_line_each(full: Program) -> None:
    full.run_in_process_ok("publish")
    public = full.data / "public"
    valid_lines = assert_harmless(full.run_in_process("verify", str(public))).out.splitlines()
    assert len(NAMES) > 40
    for folder in ("batches", "snapshots"):
        (public / folder).mkdir(exist_ok=True)
    for name in NAMES.values():
        (public / "batches" / f"{name}.json.gz").write_bytes(b"")
        (public / "snapshots" / f"{name}.db").write_bytes(b"")
    done = assert_harmless(full.run_in_process("verify", str(public)))
    lines = done.out.splitlines()
    assert [line for line in lines if line.startswith("✓ valid  ")] == valid_lines
    assert len([line for line in lines if line.startswith("✗ INVALID  ")]) == 2 * len(NAMES)
    assert len(lines) == len(valid_lines) + 2 * len(NAMES)
    assert re.fullmatch(r"ppp: .+\n", done.err)
    answer_json = json.loads(assert_harmless(full.run_in_process("verify", "--json", str(public))).out)
    assert {row["path"] for row in answer_json} > {str(public / "snapshots" / f"{name}.db") for name in NAMES.values()}


def documents(word: str) -> Iterator[str]:
    """Yield texts that resemble our documents, with a hostile string in many places."""
    yield word
    for schema in ("ppp-current-1", "ppp-files-1", "ppp-statement-1", "ppp-batch-1", "ppp-snapshot-1", word):
        yield json.dumps({"schema": schema, word: word, "node": word, "files": [[word, 1, word]], "records": [word]})
    signed = {"schema": "ppp-statement-1", "node": word, "images": {word: word}, "pip_version": word, word: 1}
    yield json.dumps({"signed": signed, "signature": word})
    yield json.dumps({"schema": "ppp-files-1", "files": [[f"p/{word}", 1, "0" * 64]]}, ensure_ascii=word > "\ud800")


@pytest.mark.attack("inert-text")
def test_hostile_documents_are_invalid(node: Program, tmp_path: Path) -> None:
    places = []
    for name, word in {**HOSTILE_STRINGS, **SURROGATES}.items():
        for number, document in enumerate(documents(word)):
            for file in ("files.json", "statement.json", f"{name}.json"):
                place = tmp_path / "given" / f"{name}-{number}" / file
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(document.encode("utf-8", "surrogatepass"))
                places.append(str(place))
    done = assert_harmless(node.run_in_process("verify", *places))
    assert [line.partition("  ")[0] for line in done.out.splitlines()] == ["✗ INVALID"] * len(places)
    assert len(json.loads(assert_harmless(node.run_in_process("verify", "--json", *places)).out)) == len(places)


# ---------------------------------------------------------------- peers


@pytest.fixture
def paired(node: Program, local: LocalIndex) -> Program:
    """A node with a peer that the local index serves."""
    node.run_in_process_ok("peer", "add", local.url_of("/peer/"), "--key", PEER.id)
    return node


@pytest.mark.attack("inert-text")
def test_hostile_responses_of_a_peer(paired: Program, local: LocalIndex) -> None:
    for name, word in HOSTILE_STRINGS.items():
        line = header(word)
        for answer in (
            *(reply(document.encode()) for document in [*documents(word)][-2:]),
            reply(status=302, headers={"Location": line}),
            reply(status=302, headers={"Location": f"//{line}"}),
            reply(word.encode(), headers={"Content-Encoding": line}),
        ):
            local.set_response("/peer/statement.json", answer)
            done = assert_harmless(paired.run_in_process("peer", "sync"))
            assert FIRST < done.code <= LAST, (name, done)
            assert re.fullmatch(r"http://[^ ]+: not synced\n", done.out)
            assert re.fullmatch(r"ppp: http://.+\n", done.err)
        # The second one is the key that is shipped.
        answer_json, _ = json.loads(assert_harmless(paired.run_in_process("peer", "list", "--json")).out)
        assert answer_json["error"]
        assert unsafe_characters(answer_json["error"], keep="") == set(), name
        assert len(assert_harmless(paired.run_in_process("peer", "list")).out.splitlines()) == 2, (
            "the shipped key is the other one"
        )
    json.loads(assert_harmless(paired.run_in_process("peer", "sync", "--json")).out)
    assert paired.query("SELECT count(*) FROM records") == [(0,)]


def header(word: str) -> str:
    """Return a string as it can be sent in a header."""
    return re.sub("[\r\n]", " ", word.encode("utf-8", "surrogatepass").decode("latin-1"))


@pytest.mark.attack("inert-text")
@pytest.mark.parametrize(("command", "path"), [("peer sync", "/peer/statement.json"), ("watch", "/feed")])
def test_a_redirect_that_is_not_utf_8_is_reported(command: str, path: str, paired: Program, local: LocalIndex) -> None:
    local.set_response(path, reply(status=302, headers={"Location": header(SURROGATES["high"])}))
    # In a process of its own: requests leaves a connection open that it cannot read.
    done = assert_harmless(paired.run(*command.split()))
    assert FIRST < done.code <= LAST, done
    assert "cannot be reached" in done.err


# ---------------------------------------------------------------- feeds and indexes


def feed(word: str) -> bytes:
    """Return a feed in which every text is a hostile string, escaped and unescaped."""
    items = "".join(
        f"<item><title>{text}</title><link>https://index.example/project/{text}/</link></item>"
        f"<item><title>six {text}</title><link>https://index.example/project/six/{text}/</link></item>"
        f"<item><title>{text} 1.0</title><link>{text}</link><description>{text}</description></item>"
        for text in (escape(word), word)
    )
    head = '<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"><channel>'
    text = f"{head}<title>{escape(word)}</title>{items}</channel></rss>"
    return text.encode("utf-8", "surrogatepass")


@pytest.mark.attack("inert-text")
def test_hostile_feeds(node: Program, local: LocalIndex) -> None:
    for name, word in {**HOSTILE_STRINGS, **SURROGATES}.items():
        answers = [
            reply(feed(word)),
            *([reply(status=302, headers={"Location": header(word)})] if name in HOSTILE_STRINGS else []),
        ]
        for answer in answers:
            local.set_response("/feed", answer)
            done = assert_harmless(node.run_in_process("watch"))
            assert done.code in {0, JournalUnreachableError.exit_code}, (name, done)
    assert {package for (package,) in node.query("SELECT package FROM queue")} <= {"six", "con", "proto", "constructor"}


@pytest.mark.attack("inert-text")
def test_hostile_requirements_are_refused(node: Program, tmp_path: Path) -> None:
    for word in {**HOSTILE_STRINGS, **SURROGATES}.values():
        (tmp_path / "list.txt").write_bytes(word.encode("utf-8", "surrogatepass") + b"\n@\n")
        assert_refused(node.run_in_process("watch", "-r", "list.txt"))


@pytest.mark.attack("inert-text")
@pytest.mark.parametrize("json_pages", [False, True])
def test_hostile_index_pages(node: Program, tmp_path: Path, *, json_pages: bool) -> None:
    (tmp_path / "list.txt").write_text("wanted\n")
    with LocalIndex(json_pages=json_pages) as index:
        node.settings["PPP_INDEX_URL"] = index.url
        for word in HOSTILE_STRINGS.values():
            for filename in (word, f"wanted-{word}.tar.gz", f"wanted-1.0-{word}-none-any.whl"):
                index.add_file("wanted", filename, b"", sha256=word, requires_python=word, yanked=True)
        assert_harmless(node.run_in_process("watch", "-r", "list.txt"))
        for word in HOSTILE_STRINGS.values():
            index.set_response("/simple/wanted/", reply(f"<p>{word}".encode(), headers={"Content-Type": "text/html"}))
            assert_refused(node.run_in_process("watch", "-r", "list.txt"))


@pytest.mark.attack("inert-text")
def test_doctor_on_a_hostile_index(paired: Program, local: LocalIndex) -> None:
    everything = " ".join(HOSTILE_STRINGS.values())
    local.set_response(
        "/simple/pip/", reply(everything.encode(), headers={"Date": "\x1b[31m\x9b", "Server": "\x1b]0;x\x07"})
    )
    local.set_response("/feed", reply(feed(HOSTILE_STRINGS["up"])))
    local.set_response("/peer/statement.json", reply(json.dumps({everything[:1_000]: 1}).encode()))
    paired.run_in_process("peer", "sync")
    for more in ((), ("--json",)):
        assert assert_harmless(paired.run_in_process("doctor", *more)).code in {0, 36}


@pytest.mark.attack("inert-text")
@pytest.mark.online
def test_hostile_output_of_a_package(program: Program, local: LocalIndex, pinned_pip: FetchedPip) -> None:
    local.add_pip(pinned_pip.wheel)
    words = "\n".join(
        HOSTILE_STRINGS[name] for name in ("up", "colours", "hyperlink", "eight-bit", "override", "forged", "c1")
    )
    code = f"import sys\nwords = {words!r}\nprint(words)\nsys.stdout.flush()\nraise ValueError(words)\n"
    local.add(module_project("prints", code))
    done = assert_harmless(program.run("check", program.environment, "prints"))
    assert done.code == 1, done
    assert "✗ FAIL" in done.out
    assert [line for line in done.out.splitlines() if re.match(r"ppp:|✓", line)] == []
    answer_json = json.loads(assert_harmless(program.run("check", "--json", program.environment, "prints")).out)
    assert answer_json["result"] == "FAIL"
