"""The commands on what strangers wrote: nothing that they print acts on a terminal, and no line is without end.

Where a word cannot be what it stands for, it is refused in one line; all of this runs within the process of the tests.
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

PEER: Final = NodeKey.from_seed(b"\x07" * 32)
LONGEST: Final = 12_100
#: Exit codes of commands that were misspelt, and of the first and the last of our own errors.
USAGE, FIRST, LAST = 2, 3, 39
#: As arguments none holds what an argument cannot.
ARGUMENTS: Final = {
    name: word for name, word in {**HOSTILE_STRINGS, "byte": SURROGATES["escaped-byte"]}.items() if "\0" not in word
}
#: What a name within a folder can be.
NAMES: Final = {
    name: word
    for name, word in ARGUMENTS.items()
    if "/" not in word and len(os.fsencode(word)) < 200 and word.strip(".")
}


def harmless(done: CompletedCommand) -> CompletedCommand:
    for text in (done.out, done.err):
        assert unsafe_characters(text) == set(), done
        assert max(map(len, text.split("\n"))) <= LONGEST
    assert "Traceback" not in done.err, done
    return done


def refused(done: CompletedCommand) -> None:
    """See a command refused: by one line of ours, or as misspelt."""
    harmless(done)
    assert done.out == ""
    assert done.code == USAGE or (FIRST < done.code <= LAST and re.fullmatch(r"ppp: .+\n", done.err)), done


@pytest.fixture
def node(program: Program) -> Program:
    """A node with a key, and with a ledger of its own that is empty."""
    with Store.open(program.data):
        create_key(program.data)
    return program


@pytest.fixture
def full(node: Program) -> Program:
    """A node whose ledger is full of hostile words."""
    with Store.open(node.data) as store, store.db.atomic():
        for made, log in hostile_records(HOSTILE_STRINGS):
            store.insert_record(made, log)
    return node


# ---------------------------------------------------------------- the ledger


def test_what_the_ledger_holds_is_shown_as_text(full: Program) -> None:
    everything = harmless(full.run_in_process("show"))
    assert everything.code == 0
    # A release is a row of the table; in how it did not pass are no lines but its own.
    assert len(re.findall(r"^✗ FAIL", everything.out, re.MULTILINE)) == len(HOSTILE_STRINGS)
    assert not re.search(r"^(ppp:|✓)", everything.out, re.MULTILINE)
    for name in ("forged", "up", "eight-bit", "override", "rich"):
        assert harmless(full.run_in_process("show", name)).out.count("✗ FAIL") == 3
    assert "[bold red]x[/]" in full.run_in_process_ok("show", "rich")


def test_json_holds_the_words_and_acts_on_nothing(full: Program) -> None:
    told = json.loads(harmless(full.run_in_process("show", "--json")).out)
    details = {row["package"]: row["detail"] for row in told["results"] if row["result"] == "FAIL"}
    assert details == {name: word[:500] for name, word in HOSTILE_STRINGS.items()}


def test_publishing_and_verifying_says_harmless_things(full: Program) -> None:
    for command in (("publish",), ("narrate",), ("publish",), ("snapshot",), ("verify", str(full.data))):
        assert harmless(full.run_in_process(*command)).code == 0, command
    page = (full.data / "public" / "p" / "override" / "index.html").read_text("utf-8")
    assert "\\u202egnp.exe" in page


# ---------------------------------------------------------------- arguments


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
        ("peer", "add", "@", PEER.id),
        ("peer", "add", "http://node.example/", "@"),
        ("peer", "add", "http://node.example/@", PEER.id),
        ("peer", "add", "http://@/", PEER.id),
        ("peer", "remove", "@"),
        ("run", "--matrix", "@"),
        ("run", "--network", "@"),
    ],
    ids=" ".join,
)
def test_arguments_are_told_as_text(command: tuple[str, ...], node: Program) -> None:
    for word in ARGUMENTS.values():
        done = harmless(node.run_in_process(*(part.replace("@", word) for part in command)))
        assert done.code != 1, done
    assert node.query("SELECT count(*) FROM records") == [(0,)]


# ---------------------------------------------------------------- files


def test_files_with_hostile_names_are_told_in_a_line_each(full: Program) -> None:
    full.run_in_process_ok("publish")
    public = full.data / "public"
    holding = harmless(full.run_in_process("verify", str(public))).out.splitlines()
    assert len(NAMES) > 40
    for folder in ("batches", "snapshots"):
        (public / folder).mkdir(exist_ok=True)
    for name in NAMES.values():
        (public / "batches" / f"{name}.json.gz").write_bytes(b"")
        (public / "snapshots" / f"{name}.db").write_bytes(b"")
    done = harmless(full.run_in_process("verify", str(public)))
    lines = done.out.splitlines()
    assert [line for line in lines if line.startswith("✓ valid  ")] == holding
    assert len([line for line in lines if line.startswith("✗ INVALID  ")]) == 2 * len(NAMES)
    assert len(lines) == len(holding) + 2 * len(NAMES)
    assert re.fullmatch(r"ppp: .+\n", done.err)
    told = json.loads(harmless(full.run_in_process("verify", "--json", str(public))).out)
    assert {row["path"] for row in told} > {str(public / "snapshots" / f"{name}.db") for name in NAMES.values()}


def documents(word: str) -> Iterator[str]:
    """Give texts that might be a document of ours, with a word in many places."""
    yield word
    for schema in ("ppp-current-1", "ppp-files-1", "ppp-statement-1", "ppp-batch-1", "ppp-snapshot-1", word):
        yield json.dumps({"schema": schema, word: word, "node": word, "files": [[word, 1, word]], "records": [word]})
    signed = {"schema": "ppp-statement-1", "node": word, "images": {word: word}, "pip_version": word, word: 1}
    yield json.dumps({"signed": signed, "signature": word})
    yield json.dumps({"schema": "ppp-files-1", "files": [[f"p/{word}", 1, "0" * 64]]}, ensure_ascii=word > "\ud800")


def test_documents_full_of_words_do_not_hold(node: Program, tmp_path: Path) -> None:
    places = []
    for name, word in {**HOSTILE_STRINGS, **SURROGATES}.items():
        for number, document in enumerate(documents(word)):
            for file in ("files.json", "statement.json", f"{name}.json"):
                place = tmp_path / "given" / f"{name}-{number}" / file
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(document.encode("utf-8", "surrogatepass"))
                places.append(str(place))
    done = harmless(node.run_in_process("verify", *places))
    assert [line.partition("  ")[0] for line in done.out.splitlines()] == ["✗ INVALID"] * len(places)
    assert len(json.loads(harmless(node.run_in_process("verify", "--json", *places)).out)) == len(places)


# ---------------------------------------------------------------- peers


@pytest.fixture
def paired(node: Program, local: LocalIndex) -> Program:
    """A node with a peer, which is served by the local index."""
    node.run_in_process_ok("peer", "add", local.url_of("/peer/"), PEER.id)
    return node


def test_what_a_peer_answers_is_told_as_text(paired: Program, local: LocalIndex) -> None:
    for name, word in HOSTILE_STRINGS.items():
        line = header(word)
        for answer in (
            *(reply(document.encode()) for document in [*documents(word)][-2:]),
            reply(status=302, headers={"Location": line}),
            reply(status=302, headers={"Location": f"//{line}"}),
            reply(word.encode(), headers={"Content-Encoding": line}),
        ):
            local.set_response("/peer/statement.json", answer)
            done = harmless(paired.run_in_process("peer", "sync"))
            assert FIRST < done.code <= LAST, (name, done)
            assert re.fullmatch(r"http://[^ ]+: not synced\n", done.out)
            assert re.fullmatch(r"ppp: http://.+\n", done.err)
        (told,) = json.loads(harmless(paired.run_in_process("peer", "list", "--json")).out)
        assert told["trouble"]
        assert unsafe_characters(told["trouble"], keep="") == set(), name
        assert len(harmless(paired.run_in_process("peer", "list")).out.splitlines()) == 1
    json.loads(harmless(paired.run_in_process("peer", "sync", "--json")).out)
    assert paired.query("SELECT count(*) FROM records") == [(0,)]


def header(word: str) -> str:
    """Give a word as it travels in a header."""
    return re.sub("[\r\n]", " ", word.encode("utf-8", "surrogatepass").decode("latin-1"))


@pytest.mark.parametrize(("command", "path"), [("peer sync", "/peer/statement.json"), ("watch", "/feed")])
def test_a_redirect_to_what_is_no_text_is_told(command: str, path: str, paired: Program, local: LocalIndex) -> None:
    local.set_response(path, reply(status=302, headers={"Location": header(SURROGATES["high"])}))
    # In a process of its own: requests leaves what it cannot read open.
    done = harmless(paired.run(*command.split()))
    assert FIRST < done.code <= LAST, done
    assert "cannot be reached" in done.err


# ---------------------------------------------------------------- feeds and indexes


def feed(word: str) -> bytes:
    """Give a feed whose every text is a word, escaped and not."""
    items = "".join(
        f"<item><title>{text}</title><link>https://index.example/project/{text}/</link></item>"
        f"<item><title>six {text}</title><link>https://index.example/project/six/{text}/</link></item>"
        f"<item><title>{text} 1.0</title><link>{text}</link><description>{text}</description></item>"
        for text in (escape(word), word)
    )
    head = '<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"><channel>'
    text = f"{head}<title>{escape(word)}</title>{items}</channel></rss>"
    return text.encode("utf-8", "surrogatepass")


def test_what_a_feed_says_is_told_as_text(node: Program, local: LocalIndex) -> None:
    for name, word in {**HOSTILE_STRINGS, **SURROGATES}.items():
        answers = [
            reply(feed(word)),
            *([reply(status=302, headers={"Location": header(word)})] if name in HOSTILE_STRINGS else []),
        ]
        for answer in answers:
            local.set_response("/feed", answer)
            done = harmless(node.run_in_process("watch"))
            assert done.code in {0, 15, 16}, (name, done)
    assert {package for (package,) in node.query("SELECT package FROM queue")} <= {"six", "con", "proto", "constructor"}


def test_a_list_full_of_words_is_refused(node: Program, tmp_path: Path) -> None:
    for word in {**HOSTILE_STRINGS, **SURROGATES}.values():
        (tmp_path / "list.txt").write_bytes(word.encode("utf-8", "surrogatepass") + b"\n@\n")
        refused(node.run_in_process("watch", "-r", "list.txt"))


@pytest.mark.parametrize("json_pages", [False, True])
def test_what_an_index_lists_is_told_as_text(node: Program, tmp_path: Path, *, json_pages: bool) -> None:
    (tmp_path / "list.txt").write_text("wanted\n")
    with LocalIndex(json_pages=json_pages) as index:
        node.settings["PPP_INDEX_URL"] = index.url
        for word in HOSTILE_STRINGS.values():
            for filename in (word, f"wanted-{word}.tar.gz", f"wanted-1.0-{word}-none-any.whl"):
                index.add_file("wanted", filename, b"", sha256=word, requires_python=word, yanked=True)
        harmless(node.run_in_process("watch", "-r", "list.txt"))
        for word in HOSTILE_STRINGS.values():
            index.set_response("/simple/wanted/", reply(f"<p>{word}".encode(), headers={"Content-Type": "text/html"}))
            refused(node.run_in_process("watch", "-r", "list.txt"))


def test_doctor_tells_of_a_hostile_index_as_text(paired: Program, local: LocalIndex) -> None:
    everything = " ".join(HOSTILE_STRINGS.values())
    local.set_response(
        "/simple/pip/", reply(everything.encode(), headers={"Date": "\x1b[31m\x9b", "Server": "\x1b]0;x\x07"})
    )
    local.set_response("/feed", reply(feed(HOSTILE_STRINGS["up"])))
    local.set_response("/peer/statement.json", reply(json.dumps({everything[:1_000]: 1}).encode()))
    paired.run_in_process("peer", "sync")
    for more in ((), ("--json",)):
        assert harmless(paired.run_in_process("doctor", *more)).code in {0, 36}


@pytest.mark.online
def test_what_a_package_prints_is_told_as_text(program: Program, local: LocalIndex, pinned_pip: FetchedPip) -> None:
    local.add_pip(pinned_pip.wheel)
    words = "\n".join(
        HOSTILE_STRINGS[name] for name in ("up", "colours", "hyperlink", "eight-bit", "override", "forged", "c1")
    )
    code = f"import sys\nwords = {words!r}\nprint(words)\nsys.stdout.flush()\nraise ValueError(words)\n"
    local.add(module_project("prints", code))
    done = harmless(program.run("check", program.environment, "prints"))
    assert done.code == 0, done
    assert "✗ FAIL" in done.out
    assert [line for line in done.out.splitlines() if re.match(r"ppp:|✓", line)] == []
    told = json.loads(harmless(program.run("check", "--json", program.environment, "prints")).out)
    assert told["result"] == "FAIL"
