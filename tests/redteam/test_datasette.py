# ruff: noqa: S608 - the queries are the attack
"""Datasette while strangers query it: no query holds it, fills its memory, or shows this machine."""

import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
import requests
from datasette_server import RunningDatasette, fill_ledger, running_datasette

from ppp.ledger.store import Store
from ppp.model.record import Record

#: Above Datasette's own time limit of 1.5 s and far below what each query would take without limits.
ENDED_S: Final = 12.0
VISITOR: Final = "127.0.0.9"

pytestmark = pytest.mark.attack("open-to-readers")


@pytest.fixture(scope="module", name="node")
def _node(record: Callable[..., Record], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a node."""
    data = tmp_path_factory.mktemp("node") / "data"
    with Store.open(data) as store:
        fill_ledger(store, record)
    return data


@pytest.fixture(scope="module", name="log")
def _log(node: Path) -> Path:
    """The file of what the server complains about."""
    return node.parent / "log"


@pytest.fixture(scope="module", name="server")
def _server(node: Path, log: Path) -> Iterator[RunningDatasette]:
    with running_datasette(node, log=log) as server:
        yield server


class FromAddress(requests.adapters.HTTPAdapter):
    """Requests from another address of this machine."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, source_address=(self._address, 0))


def visit(server: RunningDatasette, *, timeout_s: float = ENDED_S) -> None:
    """Fail unless somebody else's small query and the front page are answered."""
    with requests.Session() as session:
        session.mount("http://", FromAddress(VISITOR))
        answer = session.get(f"{server.database}.json", params={"sql": "select 1 as one"}, timeout=timeout_s)
        assert (answer.status_code, answer.json()["rows"]) == (200, [[1]])
        assert session.get(server.url, timeout=timeout_s).status_code == 200


LONG: Final = "replace(hex(zeroblob(250000)), '00', 'ab')"
NUMBERS: Final = "with recursive n(x) as (select 1 union all select x + 1 from n)"
ENDLESS: Final = f"{NUMBERS} select sum(x) from n"
PRINTF: Final = "printf('%.*c', 1000000000, 'x')"
#: Each takes minutes, or gigabytes, where nothing but Datasette's own time limit ends it.
QUERIES: Final = {
    "printf": f"select {PRINTF}",
    "printf-many": f"select {', '.join([PRINTF] * 20)}",
    "format": "select format('%1000000000d', 1)",
    "zeroblob": "select zeroblob(900000000)",
    "randomblob": "select randomblob(900000000)",
    "hex": "select hex(zeroblob(900000000))",
    "replace-grows": f"select replace({LONG}, 'a', {LONG})",
    "replace-slow": f"select replace({LONG}, substr({LONG}, 1, 240000) || 'x', '')",
    "instr-slow": f"select instr({LONG}, substr({LONG}, 1, 240000) || 'x')",
    "trim-slow": f"select trim({LONG}, 'b' || {LONG} || 'a')",
    "trim-many": "with recursive n(x) as (select 300 union all select x + 1 from n limit 60000)"
    " select ltrim((select group_concat(char(x), '') from n), (select group_concat(char(x), '') from n))",
    "like": f"select {LONG} like '%{'a_' * 2000}x%'",
    "like-percents": f"select {LONG} like '{'%a' * 45}%x'",
    "glob": f"select {LONG} glob '{'*[a-b]' * 12}x'",
    "group-concat": f"with recursive n(x) as (select {LONG} union all select x from n) select group_concat(x) from n",
    "json-group": f"with recursive n(x) as (select {LONG} union all select x from n) select json_group_array(x) from n",
    "json-patch": "with recursive n(x) as (select 1 union all select x + 1 from n limit 60000), o(j) as"
    " (select json_group_object('k' || x, x) from n) select length(json_patch(j, j)) from o",
    "json-pretty": f"select length(json_pretty('{'[' * 900}{']' * 900}', {LONG}))",
    "json-deep": "select json_extract(replace(hex(zeroblob(400000)), '0', '['), '$')",
    "many-rows": f"{NUMBERS} select {LONG} || x from n",
    "many-columns": f"with v(x) as materialized (select {LONG}) select {', '.join(['x'] * 99)} from v",
    "too-many-columns": f"select {', '.join(['1'] * 1500)}",
    "sort": f"{NUMBERS} select {LONG} || x as y from n order by y",
    "distinct": f"{NUMBERS} select distinct {LONG} || x from n",
    "joins": "select count(*) from records a, records b, records c, records d, records e, records f, records g,"
    " records h, records i, records j, records k, records l",
    "laughs": "with a0(x) as (select 1 union select 2), "
    + ", ".join(f"a{n + 1}(x) as (select p.x from a{n} p, a{n} q)" for n in range(22))
    + " select count(*) from a22",
    "nested": f"select {'(' * 900}1{')' * 900}",
    "match": f"select count(*) from packages_fts where packages_fts match '\"' || {LONG} || '\"'",
    "match-or": f"select count(*) from packages_fts where packages_fts match replace({LONG}, 'ab', 'abc OR ') || 'abc'",
    "endless": ENDLESS,
}  # fmt: skip


@pytest.mark.parametrize("sql", QUERIES.values(), ids=QUERIES.keys())
@pytest.mark.attack("bounded-input")
def test_no_query_holds_it(server: RunningDatasette, log: Path, sql: str) -> None:
    before = log.read_text().count("did not stop")
    begun = time.monotonic()
    answer = requests.get(f"{server.database}.json", params={"sql": sql}, timeout=60)
    assert time.monotonic() - begun < ENDED_S
    assert answer.status_code in {200, 400, 500}, answer.text[:200]
    assert len(answer.content) < 10_000_000
    visit(server)
    assert log.read_text().count("did not stop") == before, "it was ended by its own limits"


def test_its_memory_is_limited(server: RunningDatasette) -> None:
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    (peak,) = [line for line in Path(f"/proc/{children[0]}/status").read_text().splitlines() if "VmHWM" in line]
    assert int(peak.split()[1]) < 1_200_000, "kB, after all queries above"


@pytest.mark.parametrize("count", [40, 200])
def test_many_endless_queries_do_not_block_others(server: RunningDatasette, count: int) -> None:
    def attack(_: int) -> int:
        try:
            return requests.get(f"{server.database}.json", params={"sql": ENDLESS}, timeout=60).status_code
        except requests.ConnectionError:
            return 503

    with ThreadPoolExecutor(count) as pool:
        attacks = [pool.submit(attack, number) for number in range(count)]
        time.sleep(0.5)
        visit(server, timeout_s=6)
        assert {attack.result() for attack in attacks} == {400, 503}
    visit(server)


def test_one_page_with_many_queries_does_not_block_others(server: RunningDatasette) -> None:
    columns = ("package", "version", "result", "environment", "cause", "blame", "python", "arch", "detail", "node")
    facets = [("_facet", name) for name in columns] * 20
    where = [("_where", f"({ENDLESS}) = 1")]

    def attack(params: list[tuple[str, str]]) -> int:
        return requests.get(f"{server.database}/records.json", params=params, timeout=60).status_code

    with ThreadPoolExecutor(8) as pool:
        attacks = [pool.submit(attack, params) for params in [where, facets, where + facets, where] * 2]
        time.sleep(0.5)
        visit(server, timeout_s=6)
        assert {attack.result() for attack in attacks} <= {200, 400, 503}


def test_silent_connections_do_not_block_others(server: RunningDatasette) -> None:
    clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(300)]
    try:
        visit(server)
    finally:
        for client in clients:
            client.close()


DIAGNOSIS: Final = (
    "-/databases.json", "-/databases", "-/plugins.json", "-/versions.json", "-/settings.json", "-/threads.json",
    "-/metadata.json", "-/config.json", "-/actor.json", "-/permissions", "-/messages", "-/allow-debug", "-/patterns",
    "-/auth-token?token=x", "-/logout", "_internal", "_internal/databases.json", "_memory", "_memory.json?sql=select+1",
    "-/%64atabases.json", "/-/databases.json", "./-/databases.json", "-//databases.json",
)  # fmt: skip
PATHS: Final = (
    "select * from pragma_database_list", "select file from pragma_database_list()",
    "select name || file from pragma_database_list as p", "select * from PRAGMA_DATABASE_LIST",
    'select "file" from main.pragma_database_list', "select quote(file) from (select * from pragma_database_list)",
    "select load_extension('/etc/passwd')", "select readfile('/etc/passwd')", "attach '/tmp/x.db' as x",
    "select * from sqlite_dbpage", "select * from nowhere", "select ' from", "select writefile('/tmp/x', 'x')",
)  # fmt: skip


def shows_paths(text: str, node: Path) -> list[str]:
    """Return the words of a text that name a folder of this machine."""
    here = {
        str(node),
        str(node.parent),
        str(Path.cwd()),
        "site-packages",
        "/etc/passwd:",
        "/usr/",
        str(Path.home()) + "/",
    }
    return [word for word in here if word in text]


@pytest.mark.parametrize("path", DIAGNOSIS)
def test_no_page_describes_the_machine(server: RunningDatasette, node: Path, path: str) -> None:
    request = f"GET /{path} HTTP/1.1\r\nHost: node.example\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=ENDED_S) as client:
        client.sendall(request.encode())
        answer = b"".join(iter(lambda: client.recv(65536), b"")).decode()
    assert answer.split(" ")[1] in {"302", "403", "404"}, answer[:300]
    assert shows_paths(answer, node) == []


@pytest.mark.parametrize("sql", PATHS)
@pytest.mark.parametrize("end", [".json", ""])
def test_no_query_shows_a_path(server: RunningDatasette, node: Path, sql: str, end: str) -> None:
    answer = requests.get(f"{server.database}{end}", params={"sql": sql}, timeout=ENDED_S)
    assert answer.status_code in {200, 400}
    assert shows_paths(answer.text, node) == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_is_uploaded(server: RunningDatasette, method: str) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(200):
            yield b"x" * 65536

    try:
        answer = requests.request(method, server.database, data=endless(), timeout=ENDED_S)
    except requests.ConnectionError:
        visit(server)
        return
    assert answer.status_code == 405


def children_of(pid: int) -> list[int]:
    """Return the ids of a process's children."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.attack("crash-safe")
def test_it_does_not_outlive_ppp(node: Path) -> None:
    with running_datasette(node) as server:
        (child,) = children_of(server.process.pid)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(10)
        until = time.monotonic() + 20
        while Path(f"/proc/{child}").exists() and time.monotonic() < until:
            time.sleep(0.1)
        assert not Path(f"/proc/{child}").exists()
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", server.port)) != 0


@pytest.mark.attack("crash-safe")
def test_endless_queries_do_not_keep_it_from_ending(node: Path) -> None:
    with running_datasette(node) as server, ThreadPoolExecutor(10) as pool:
        (child,) = children_of(server.process.pid)

        def attack(_: int) -> None:
            with suppress(requests.RequestException):
                requests.get(f"{server.database}.json", params={"sql": ENDLESS}, timeout=30)

        for number in range(10):
            pool.submit(attack, number)
        time.sleep(0.5)
        server.process.terminate()
        assert server.process.wait(25) == 0
        assert not Path(f"/proc/{child}").exists()


STUCK: Final = """
import time
from datasette import hookimpl

@hookimpl(trylast=True)
def prepare_connection(conn):
    conn.set_authorizer(None)
    conn.create_function("stuck", 0, lambda: time.sleep(600))
"""


def test_a_query_that_nothing_stops_is_ended_with_its_process(node: Path, tmp_path: Path) -> None:
    # In the place of a function of SQLite that nobody knows yet: a plugin with one that does not end.
    plugins = node / "cache" / "serve" / "plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    (plugins / "stuck.py").write_text(STUCK)
    log = tmp_path / "log"
    try:
        with running_datasette(node, log=log) as server:
            before = children_of(server.process.pid)
            with pytest.raises(requests.ConnectionError):
                requests.get(f"{server.database}.json", params={"sql": "select stuck()"}, timeout=60)
            visit(server, timeout_s=30)
            assert children_of(server.process.pid) != before
        assert "a query did not stop within 10 seconds" in log.read_text()
    finally:
        (plugins / "stuck.py").unlink()


def test_rows_are_json_all_the_same(server: RunningDatasette) -> None:
    sql = "select trim('  a '), trim('xax', 'x'), ltrim('xax', 'x'), rtrim('xax', 'x'), instr('abc', 'c'),"
    sql += " instr('abc', ''), replace('abab', 'b', 'cd'), replace('a', '', 'x'), instr(null, 'a'), trim(5, '5'),"
    sql += " instr(x'0102', x'02'), replace(12, 1, 3)"
    answer = requests.get(f"{server.database}.json", params={"sql": sql}, timeout=ENDED_S)
    assert json.loads(answer.text)["rows"] == [["a", "a", "ax", "xa", 3, 1, "acdacd", "a", None, "", 2, "32"]]
