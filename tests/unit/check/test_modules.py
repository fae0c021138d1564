"""Which modules are imported: each rule on a small installation."""

from collections.abc import Sequence
from typing import Final

import pytest

from ppp.check.modules import MAX_MODULES, InstalledMetadata, ModulesToImport, modules_to_import

SUFFIXES: Final = (".cpython-312-x86_64-linux-gnu.so", ".abi3.so", ".so", ".py", ".pyc")


def modules(*paths: str, package: str = "lib", **more: Sequence[str]) -> ModulesToImport:
    """Return what is imported of a release."""
    given = {key: tuple(value) for key, value in more.items()}
    return modules_to_import(package, InstalledMetadata(paths=paths, **given), SUFFIXES)


def found(*paths: str, package: str = "lib", **more: Sequence[str]) -> list[str]:
    """Return the names of the modules, primary first."""
    return list(modules(*paths, package=package, **more).names)


def declares_none(*paths: str, import_names: tuple[str, ...] | None = None) -> bool:
    """Return whether there is nothing to import because the metadata says so."""
    found = modules_to_import("lib", InstalledMetadata(paths=paths, import_names=import_names), SUFFIXES)
    assert found.names == ()
    return found.declares_none


# ---------------------------------------------------------------- what is declared (PEP 794)


def test_declared_names_come_before_what_is_found() -> None:
    assert found("lib/__init__.py", "other.py", import_names=["other"]) == ["other"]


def test_declared_names_that_were_not_installed_do_not_count() -> None:
    assert found("lib/__init__.py", import_names=["json"]) == ["lib"]
    assert found("lib/__init__.py", import_names=["json", "lib"]) == ["lib"]


def test_a_declared_name_may_have_several_parts() -> None:
    assert found("lib/inner/deep.py", "lib/__init__.py", import_names=["lib.inner"]) == ["lib.inner"]
    assert found("lib.cpython-312-x86_64-linux-gnu.so", "a.py", import_names=["lib"]) == ["lib"]


def test_names_declared_private_are_not_imported() -> None:
    assert found("lib.py", "_lib.py", "inner.py", import_names=["lib", "_lib; private", "inner;private"]) == ["lib"]


def test_an_empty_declaration_counts() -> None:
    assert declares_none("lib/__init__.py", import_names=("",))
    assert declares_none("lib/__init__.py", import_names=("_lib; private",))
    assert not declares_none("lib/data.json")


def test_declared_names_keep_their_order_and_are_limited() -> None:
    names = [f"name{n}" for n in reversed(range(50))]
    assert found(*(f"{name}.py" for name in names), import_names=names) == names[:MAX_MODULES]


@pytest.mark.attack("own-verdict")
@pytest.mark.parametrize("name", ["not a name", "../lib", "class", "1lib", "a\x00b", "\ud800", "-c", "x" * 256, "a..b"])
def test_an_invalid_name_declares_nothing(name: str) -> None:
    assert found("other.py", import_names=[name]) == ["other"]
    assert found("other.py", "lib.py", import_names=[name, "lib"]) == ["lib"]


def test_a_name_declared_twice_is_imported_once() -> None:
    assert found("lib.py", import_names=["lib", "lib"]) == ["lib"]


# ---------------------------------------------------------------- what RECORD holds


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("lib/__init__.py", "lib"),
        ("lib.py", "lib"),
        ("lib.pyc", "lib"),
        ("lib.so", "lib"),
        ("lib.abi3.so", "lib"),
        ("lib.cpython-312-x86_64-linux-gnu.so", "lib"),
        ("lib/__init__.cpython-312-x86_64-linux-gnu.so", "lib"),
    ],
)
def test_a_module_by_each_kind_of_file(path: str, module: str) -> None:
    assert found(path) == [module]


@pytest.mark.attack("own-verdict")
@pytest.mark.parametrize(
    "path",
    [
        "lib.cpython-311-x86_64-linux-gnu.so",
        "lib.cp312-win_amd64.pyd",
        "my-lib.py",
        "class.py",
        "1lib.py",
        "lib/1st/__init__.py",
        "__pycache__/lib.cpython-312.pyc",
        "lib-1.0.dist-info/RECORD",
        "lib-1.0.dist-info/extra.py",
        "../../../bin/lib.py",
        "../lib.py",
        "/etc/lib.py",
        "__init__.py",
        "lib.txt",
        "",
        f"{'x' * 256}.py",
    ],
)
def test_paths_that_are_not_modules(path: str) -> None:
    assert found(path) == []


def test_modules_inside_a_package_are_imported_through_it() -> None:
    assert found("lib/__init__.py", "lib/inner.py", "lib/deep/__init__.py") == ["lib"]


def test_a_bare_namespace_is_descended_into() -> None:
    assert found("space/lib/__init__.py", "space/lib/inner.py") == ["space.lib"]
    assert found("space/deep/lib/__init__.py") == ["space.deep.lib"]
    assert found("space/module.py") == ["space.module"]


def test_one_module_of_a_namespace_is_imported() -> None:
    assert found("space/lib/__init__.py", "space/alpha/__init__.py", "space/a.py") == ["space.lib"]
    assert found("space/beta/__init__.py", "space/alpha/__init__.py") == ["space.beta"]
    assert found("space/deep/alpha/__init__.py", "space/zeta.py") == ["space.zeta"]


def test_the_name_closest_to_the_packages_comes_first() -> None:
    assert found("aaa.py", "zope_lib/__init__.py", package="zope-lib") == ["zope_lib", "aaa"]
    assert found("a.py", "Lib/__init__.py") == ["Lib", "a"]
    assert found("a/__init__.py", "zope/lib/__init__.py", package="zope-lib") == ["zope.lib", "a"]


def test_else_the_shortest_comes_first() -> None:
    assert found("yaml/__init__.py", "extra_things.py", package="pyyaml") == ["yaml", "extra_things"]


def test_the_number_of_modules_is_limited() -> None:
    assert len(found(*(f"module{n}.py" for n in range(50)))) == MAX_MODULES


# ---------------------------------------------------------------- what is left out if there is something better


STRAYS: Final = (
    "tests/__init__.py", "docs/conf.py", "test.py", "examples/__init__.py", "Tests.py", "tests_3_8/__init__.py",
    "test_lib.py", "unit_tests.py", "benchmarks/run.py", "scripts/a.py", "build/lib/lib.py", "setup.py", "conftest.py",
    "integration_test/__init__.py", "samples/a/b.py", "testing/__init__.py", "test3.py", "mypkg_tests/__init__.py",
)  # fmt: skip


@pytest.mark.attack("own-verdict")
@pytest.mark.parametrize("stray", STRAYS)
def test_stray_names_are_not_imported(stray: str) -> None:
    assert found("lib.py", stray) == ["lib"]
    assert modules("other.py", stray) == ModulesToImport(names=("other",), primary="other")


@pytest.mark.parametrize("name", ["testify", "contest", "attest", "docstring", "builder", "latest_test", "exampledb"])
def test_names_that_only_look_like_strays_are_imported(name: str) -> None:
    assert found("lib.py", f"{name}.py") == ["lib", name]


def test_a_stray_name_is_imported_if_it_is_the_only_one() -> None:
    assert found("scripts/__init__.py") == ["scripts"]
    assert found("scripts/__init__.py", "docs/__init__.py", "setup.py") == ["docs", "setup", "scripts"]
    assert found("test_util.py") == ["test_util"]


@pytest.mark.parametrize("paths", [["tests/__init__.py"], ["Test.py", "docs/conf.py"], ["examples/a/__init__.py"]])
def test_nothing_but_tests_docs_or_examples_is_nothing_to_import(paths: list[str]) -> None:
    chosen = modules(*paths)
    assert chosen.names == ()
    assert len(chosen.mistakes) == len(paths)
    assert modules(*paths, package="test-docs-examples").mistakes == ()


@pytest.mark.parametrize("package", ["tests", "test-something", "build", "docs", "testing-mysqld", "unit-tests"])
def test_a_project_that_is_called_like_a_stray_keeps_its_own(package: str) -> None:
    name = package.replace("-", "_")
    assert modules(f"{name}/__init__.py", "other.py", package=package).primary == name
    assert modules(f"{name}/__init__.py", "other.py", "tests.py", package=package).names == (name, "other")


def test_private_modules_are_left_out_beside_public_ones() -> None:
    assert found("lib.py", "_lib.so") == ["lib"]
    assert found("yaml.py", "_yaml.so") == ["yaml"]
    assert found("_lib.so") == ["_lib"]


def test_top_level_is_a_hint_that_chooses_among_what_is_found() -> None:
    assert modules("zeta.py", "other.py", top_level=["zeta"]) == ModulesToImport(
        names=("zeta", "other"), primary="zeta"
    )
    assert modules("zeta.py", "other.py", "more.py", top_level=["zeta", "more"]).names == ("more", "zeta")


def test_a_hint_at_a_missing_name_is_ignored() -> None:
    assert found("zeta.py", "other.py", top_level=["absent", "nonsense"]) == ["zeta", "other"]


def test_a_hint_at_a_namespace_chooses_its_module() -> None:
    assert modules("space/zeta/__init__.py", "other.py", top_level=["space"]).primary == "space.zeta"


def test_shared_libraries_that_are_loaded_are_not_imported() -> None:
    assert found("llama/__init__.py", "lib/libggml.so", "libllama.so") == ["llama"]
    assert found("lib.py", "libx.abi3.so", "libyaml.py") == ["lib", "libx", "libyaml"]
    assert found("libtorrent.so", package="libtorrent") == ["libtorrent"]
    assert found("lib/libggml.so") == []


# ---------------------------------------------------------------- which module decides


def files(words: str) -> list[str]:
    """Return paths: each word is one, and a folder stands for its `__init__`."""
    return [f"{word}__init__.py" if word.endswith("/") else word for word in words.split()]


@pytest.mark.parametrize(
    ("package", "paths", "primary"),
    [
        # The name of the project.
        ("adafruit-blinka", "adafruit_blinka/ board.py pwmio.py", "adafruit_blinka"),
        ("attrs", "attr/ attrs/", "attrs"),
        ("setuptools", "_distutils_hack/ pkg_resources/ setuptools/", "setuptools"),
        ("pytest", "_pytest/ py.py pytest/", "pytest"),
        ("black", "_black_version.py black/ blackd/ blib2to3/", "black"),
        ("pymongo", "bson/ gridfs/ pymongo/", "pymongo"),
        ("jupyter-core", "jupyter.py jupyter_core/", "jupyter_core"),
        ("ipython", "IPython/ tools.py", "IPython"),
        # A name that surely means the project.
        ("pyyaml", "_yaml/ yaml/ extra.py", "yaml"),
        ("biopython", "Bio/ BioSQL/", "Bio"),
        ("python-ldap", "_ldap.so ldap/ ldapurl.py ldif.py slapdtest/", "ldap"),
        ("psycopg2-binary", "psycopg2/ helpers.py", "psycopg2"),
        ("ansible-core", "ansible/ ansible_test/", "ansible"),
        # The only one.
        ("pillow", "PIL/ tests/", "PIL"),
        ("beautifulsoup4", "bs4/", "bs4"),
        ("opencv-python", "cv2/ opencv_python.libs/libx.so", "cv2"),
        ("scikit-learn", "sklearn/", "sklearn"),
        ("python-dateutil", "dateutil/", "dateutil"),
        ("djangorestframework", "rest_framework/", "rest_framework"),
        # In a namespace.
        ("google-cloud-storage", "google/cloud/_storage_v2/ google/cloud/storage/", "google.cloud.storage"),
        ("google-auth", "google/auth/ google/oauth2/", "google.auth"),
        ("protobuf", "google/_upb/_message.abi3.so google/protobuf/", "google.protobuf"),
        ("azure-storage-blob", "azure/storage/blob/", "azure.storage.blob"),
        ("zope-interface", "zope/interface/ zope/a.py", "zope.interface"),
        ("backports-zoneinfo", "backports/zoneinfo/", "backports.zoneinfo"),
        ("ruamel-yaml-clib", "_ruamel_yaml.so", "_ruamel_yaml"),
        ("opentelemetry-sdk", "opentelemetry/sdk/_logs/ opentelemetry/sdk/trace/", "opentelemetry.sdk.trace"),
        # None that is certain.
        ("pywin32", "adodbapi/ pythoncom.py win32com/", None),
        ("google-api-python-client", "apiclient/ googleapiclient/", None),
        ("foo", "foo2.py pyfoo.py", None),
        ("pytest-lazy", "lazy_plugin.py lazy_fixtures.py", None),
    ],
)  # fmt: skip
def test_the_primary_module_of(package: str, paths: str, primary: str | None) -> None:
    chosen = modules(*files(paths), package=package)
    assert chosen.primary == primary
    assert chosen.deciding == (chosen.names if primary is None else (primary,))
    assert primary in {None, chosen.names[0]}


@pytest.mark.parametrize(
    ("package", "paths", "inner", "names"),
    [
        # The name of the project with its words: inside a package that others share.
        ("mysql-connector-python", "mysql/ mysqlx/", "mysql/connector/", ["mysql.connector", "mysqlx"]),
        ("google-ads", "google/", "google/ads/ google/rpc/", ["google.ads"]),
        ("backports-lru", "backports/", "backports/lru.py", ["backports.lru"]),
        ("protobuf", "google/", "google/protobuf/ google/protobuf/internal/", ["google.protobuf"]),
        # Not what happens to be called alike.
        ("shelf", "lib/", "lib/a/shelf/ lib/b/shelf/", ["lib"]),
        ("foobar", "foo/", "foo/bar.py", ["foo"]),
        ("python-telegram-bot", "telegram/", "telegram/bot.py", ["telegram"]),
        ("foo-bar", "foo_bar/", "foo_bar/foo/bar.py foo_bar/bar.py", ["foo_bar"]),
    ],
)  # fmt: skip
def test_a_primary_module_inside_a_package(package: str, paths: str, inner: str, names: list[str]) -> None:
    chosen = modules(*files(paths), package=package, inner=files(inner))
    assert (list(chosen.names), chosen.primary) == (names, names[0])


@pytest.mark.parametrize(
    ("paths", "represented_by"),
    [
        (["space/_common/__init__.py", "space/io/__init__.py"], "space.io"),
        (["space/_a.py", "space/deep/io.py"], "space.deep.io"),
        (["space/tests/__init__.py", "space/zeta/__init__.py"], "space.zeta"),
        (["space/version.py", "space/deep/zeta.py"], "space.deep.zeta"),
        (["space/_b.py", "space/_a.py"], "space._a"),
    ],
)
def test_a_namespace_is_represented_by_a_public_module(paths: list[str], represented_by: str) -> None:
    assert modules(*paths, package="some-project").primary == represented_by


def test_of_declared_names_the_projects_own_decides() -> None:
    paths = ["lib.py", "extra.py", "more.py"]
    assert modules(*paths, import_names=["extra", "lib"]).names == ("lib", "extra")
    assert modules(*paths, import_names=["extra", "lib"]).primary == "lib"
    assert modules(*paths, import_names=["extra"]).primary == "extra"
    assert modules(*paths, import_names=["extra", "more"]).primary is None


def test_beside_a_primary_module_only_public_ones_are_imported() -> None:
    assert found("lib.py", "_hidden.py", "tests.py", "extra.py", "space/_a.py") == ["lib", "extra"]
