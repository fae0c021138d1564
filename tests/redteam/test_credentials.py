"""Credentials of an index go to that index, and nowhere else: not with redirects, and not to package code."""

import hashlib
import os
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest
from cell_environments import SLIM, FetchedPip, host_environment, tiny_matrix
from local_index import LocalIndex, reply
from program import Program, new_program
from projects import Project, module_project
from runtimes import open_runtime

from ppp.check.cell import Checker
from ppp.check.gateway.gateway import run_gateway
from ppp.check.index.client import SimpleIndex
from ppp.doctor import probe_network
from ppp.doctor.machine import IndexAccess
from ppp.mesh.node import NodeKey
from ppp.model.credentials import split_credentials
from ppp.model.errors import IndexUnreachableError
from ppp.model.matrix import Cell, Environment
from ppp.model.record import Result
from ppp.model.release import Release

pytestmark = pytest.mark.attack("credentials")

SECRET = "0p3n/s3s@me"
PAIR = b64encode(f"user:{SECRET}".encode()).decode()
#: How it may be written.
FORMS: Final = [SECRET, PAIR, quote(SECRET, safe=""), quote(SECRET)]
#: A node's key, as a secret of a workflow gives it.
NODE_KEY: Final = "5eed" * 16
SECRETS: Final = [*FORMS, NODE_KEY]
PROJECT = module_project("quiet", "")


@pytest.fixture
def private() -> Iterator[LocalIndex]:
    """An index that wants credentials."""
    with LocalIndex(authorization=f"Basic {PAIR}") as index:
        index.add(PROJECT)
        yield index


@pytest.fixture
def public() -> Iterator[LocalIndex]:
    """An index that anybody may read."""
    with LocalIndex() as index:
        index.add(PROJECT)
        yield index


@pytest.fixture(name="program")
def _program(tmp_path: Path, private: LocalIndex) -> Iterator[Program]:
    with new_program(tmp_path, private) as made:
        yield made


def with_credentials(url: str) -> str:
    return url.replace("://", f"://user:{quote(SECRET, safe='')}@")


def client(url: str, folder: Path) -> SimpleIndex:
    bare, credentials = split_credentials(url)
    return SimpleIndex(bare, cache=folder, user_agent="tests", credentials=credentials)


def test_pages_and_files_of_a_private_index_are_read(private: LocalIndex, tmp_path: Path) -> None:
    index = client(with_credentials(private.url), tmp_path)
    (file,) = index.files("quiet")
    assert index.fetch(file, timeout_s=10, max_bytes=10**6).read_bytes() == PROJECT.build()
    assert "@" not in file.url


def test_the_error_of_a_wrong_password_does_not_show_it(private: LocalIndex, tmp_path: Path) -> None:
    index = client(private.url.replace("://", "://user:wr0ng-w0rd@"), tmp_path)
    with pytest.raises(IndexUnreachableError) as caught:
        index.files("quiet")
    assert "wr0ng-w0rd" not in f"{caught.value} {caught.value.hint} {caught.value.__cause__!r}"


@pytest.mark.parametrize("what", ["page", "file", "file on a page"])
def test_another_host_gets_no_credentials(
    private: LocalIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Neither those of the index nor those that the operator's netrc has for that host."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login admin password other-word\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with LocalIndex() as evil:
        evil.add(PROJECT)
        page = reply(status=302, headers={"Location": evil.url_of("/simple/quiet/")})
        path = f"/files/quiet/{PROJECT.filename}"
        if what == "page":
            private.set_response("/simple/quiet/", page)
        elif what == "file":
            private.set_response(path, reply(status=302, headers={"Location": evil.url_of(path)}))
        else:
            evil_url = f"{evil.url_of(path)}#sha256={hashlib.sha256(PROJECT.build()).hexdigest()}"
            links = f'<a href="{evil_url.replace("://", "://you:too@")}">{PROJECT.filename}</a>'
            private.set_response("/simple/quiet/", reply(links.encode(), headers={"Content-Type": "text/html"}))
        index = client(with_credentials(private.url), tmp_path)
        (file,) = index.files("quiet")
        index.fetch(file, timeout_s=10, max_bytes=10**6)
        assert evil.request_headers, "the redirect was followed"
        assert not any("Authorization" in headers for headers in evil.request_headers)


@pytest.mark.parametrize(
    "proxy",
    [
        "http://user:{}@:99999/",
        "http://user:{}@127.0.0.1:9",
        "http://user:{}@[::1",
        "user:{}@127.0.0.1:9",
        "socks5://user:{}@127.0.0.1:9",
        "foo://user:{}@127.0.0.1:9",
        "http:///user:{}@127.0.0.1:9",
        "http://us@er:{}@:99999/",
    ],
)
@pytest.mark.parametrize("secret", ["0p3ns3same", "0p3n/s3s@me"])
def test_the_error_of_a_proxy_does_not_show_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str, secret: str
) -> None:
    monkeypatch.setenv("http_proxy", proxy.format(secret))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    url = "http://index.example/simple/"
    with pytest.raises(IndexUnreachableError) as caught:
        client(url, tmp_path).files("quiet")
    pip = tiny_matrix().pip
    facts = probe_network.page(IndexAccess(url=url), pip, user_agent="tests", now=0)
    for text in (str(caught.value), facts.detail):
        assert "s3s" not in text


@pytest.mark.parametrize("how", ["address", "netrc", "proxy"])
def test_the_open_network_is_refused_where_cells_would_need_credentials(
    program: Program, private: LocalIndex, public: LocalIndex, tmp_path: Path, how: str
) -> None:
    if how == "address":
        program.settings["PPP_INDEX_URL"] = with_credentials(private.url)
    elif how == "netrc":
        program.settings["PPP_INDEX_URL"] = private.url
        program.settings["NETRC"] = str(tmp_path / "netrc")
        (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login user password {SECRET}\n")
    else:
        program.settings["PPP_INDEX_URL"] = public.url
        program.settings |= {"http_proxy": f"http://user:{FORMS[2]}@127.0.0.1:9", "no_proxy": "127.0.0.1"}
    done = program.run("run", "--package", "quiet", "--network", "open")
    assert done.code == 10, done
    assert "--network gateway" in done.err
    assert not [form for form in FORMS if form in done.err + done.out]


# ---------------------------------------------------------------- cells

#: Looks for the secret, which it knows in reverse, wherever package code can look; then it prints what it knows.
SEARCH: Final = """
import os, socket, sys, urllib.request
forms = [form[::-1] for form in {reversed_forms!r}]
found = []
def look(place, content):
    text = content if isinstance(content, str) else content.decode('utf-8', 'replace')
    found.extend(f'{{place}} has form {{number}}' for number, form in enumerate(forms) if form in text)
def read(path):
    try:
        with open(path, 'rb') as opened:
            look(path, opened.read(4_000_000))
    except OSError:
        pass
look('environ', repr(dict(os.environ)))
for process in filter(str.isdigit, os.listdir('/proc')):
    for name in ('environ', 'cmdline', 'maps', 'mountinfo'):
        read(f'/proc/{{process}}/{{name}}')
# Interpreters and their libraries are those of the machine or of the image.
skipped = ('/proc', '/sys', '/usr', '/lib', '/lib64', sys.base_prefix, '/ppp/pip')
for folder, folders, files in os.walk('/'):
    folders[:] = [name for name in folders if not os.path.join(folder, name).startswith(skipped)]
    for name in files:
        if os.path.isfile(os.path.join(folder, name)) and not name.startswith(('before_build', 'curious')):
            read(os.path.join(folder, name))
base = os.environ['PIP_INDEX_URL']
root = base.rsplit('/', 2)[0]
for url in (base + 'curious/', base + 'absent/', base, root + '/-/curious/' + '0' * 64 + '/x', root + '/'):
    for headers in ({{}}, {{'Authorization': 'Basic eDp5'}}, {{'Accept': 'application/vnd.pypi.simple.v1+json'}}):
        try:
            answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5)
        except urllib.error.HTTPError as error:
            answer = error
        except OSError:
            continue
        look(url, str(answer.headers) + answer.read().decode('utf-8', 'replace'))
# A node's key, which is not hidden wherever it is said, is only looked for.
known = forms[:{hidden}]
print('found:', found)
print('known:', known)
raise RuntimeError('found: %s; known: %s' % (found, known))
"""


def curious_project() -> Project:
    search = SEARCH.format(reversed_forms=[form[::-1] for form in SECRETS], hidden=len(FORMS))
    return Project(
        name="curious",
        kind="sdist",
        files={
            "before_build.py": search.encode(),
            "src/curious.py": b"",
        },
    )


def processes_with_secret() -> list[str]:
    """Return the processes of this machine that show the secret in their arguments, or nginx in its environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            arguments = (process / "cmdline").read_bytes()
            shown = arguments + ((process / "environ").read_bytes() if b"nginx" in arguments else b"")
            found += [f"{process.name} {arguments!r}" for form in SECRETS if form.encode() in shown]
    return found


@pytest.mark.online
@pytest.mark.nginx
@pytest.mark.parametrize(
    "environment",
    [
        pytest.param(SLIM, id=SLIM.id, marks=pytest.mark.docker),
        pytest.param(None, id="bubblewrap", marks=pytest.mark.sandbox),
    ],
)
def test_a_package_finds_no_credentials_and_its_record_has_none_whatever_it_prints(
    private: LocalIndex, tmp_path: Path, pinned_pip: FetchedPip, environment: Environment | None
) -> None:
    private.add(curious_project())
    index = client(with_credentials(private.url), tmp_path / "files")
    environment = environment or host_environment()
    matrix = tiny_matrix(environment)
    with ExitStack() as stack:
        running = stack.enter_context(run_gateway(index, cache=tmp_path / "gateway", environ=os.environ))
        runtime = stack.enter_context(
            open_runtime(
                environment,
                pip=pinned_pip.folder,
                folder=tmp_path,
                index_url=index.url,
                gateway=running,
                matrix=matrix,
            )
        )
        checker = Checker(
            index=index,
            runtime=runtime,
            matrix=matrix,
            node="ab" * 32,
            index_hosts=index.hosts,
            hide=index.hide_credentials,
        )
        cell = Cell(release=Release(package="curious", version="1.0"), environment=environment.id)
        observation = checker.check(cell, runtime.prepare(environment))
        assert processes_with_secret() == []
        for path in running.socket.parent.rglob("*"):
            if path.is_file():
                assert not [form for form in FORMS if form.encode() in path.read_bytes()], path
    assert observation.log is not None
    assert observation.record.result is Result.FAIL, observation
    assert "found: []" in observation.log
    assert "known: [" in observation.log
    text = f"{observation.record} {observation.log}"
    assert not [form for form in FORMS if form in text]
    assert not [path for path in (tmp_path / "gateway").rglob("*") if path.is_file() and holds_secret(path)]


def holds_secret(path: Path) -> bool:
    content = path.read_bytes()
    return any(form.encode() in content for form in SECRETS)


@pytest.mark.online
@pytest.mark.nginx
@pytest.mark.sandbox
def test_a_run_with_a_private_index_leaves_its_password_nowhere(
    program: Program, private: LocalIndex, pinned_pip: FetchedPip
) -> None:
    private.add(curious_project())
    private.add_pip(pinned_pip.wheel)
    address = with_credentials(private.url)
    program.settings |= {"PPP_INDEX_URL": address, "PPP_NETWORK": "gateway", "PPP_NODE_KEY": NODE_KEY}
    done = program.run("run", "--package", "curious", "--package", "quiet", timeout_s=120)
    assert done.code == 0, done
    assert sorted(program.query("SELECT result, network FROM records")) == [("FAIL", "gateway"), ("PASS", "gateway")]
    others = (program.run(*words) for words in (["publish"], ["doctor"], ["show", "curious"]))
    output = "".join(one.out + one.err for one in (done, *others))
    assert not [form for form in SECRETS if form in output]
    assert program.query("SELECT DISTINCT node FROM records") == [(NodeKey.from_seed(bytes.fromhex(NODE_KEY)).id,)]
    # The package itself, which says the secret in its own file, is not ours to change.
    kept = [path for path in program.data.rglob("*") if path.is_file() and "files" not in path.parts[:-3]]
    assert len(kept) > 20
    assert not [path for path in kept if holds_secret(path)]
