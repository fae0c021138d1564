"""When the name of a module is surely its project's own."""

import pytest

from ppp.check.own_names import (
    equals_project,
    equals_project_by_words,
    plain_name,
    resembles_project,
    resembles_project_by_words,
)


@pytest.mark.parametrize("name", ["zope-lib", "Zope.Lib", "zope_lib", "ZopeLib", "z-o_p.e--lib"])
def test_a_plain_name_has_neither_case_nor_separators(name: str) -> None:
    assert plain_name(name) == "zopelib"


@pytest.mark.parametrize(
    ("package", "module"),
    [
        ("fonttools", "fontTools"),
        ("ruamel-yaml", "ruamel.yaml"),
        ("flask-sqlalchemy", "flask_sqlalchemy"),
        ("pip-tools", "piptools"),
        ("google-cloud-storage", "google.cloud.storage"),
        ("backports-functools-lru-cache", "backports.functools_lru_cache"),
    ],
)
def test_an_equal_name(package: str, module: str) -> None:
    assert equals_project(package, module)
    assert resembles_project(package, module)


@pytest.mark.parametrize(
    ("package", "module"),
    [
        ("python-dateutil", "dateutil"),
        ("py-cpuinfo", "cpuinfo"),
        ("slack-py", "slack"),
        ("redis-py3", "redis"),
        ("pyyaml", "yaml"),
        ("pyjwt", "jwt"),
        ("yaml", "pyyaml"),
        ("biopython", "Bio"),
        ("python-slugify", "slugify"),
        ("psycopg2-binary", "psycopg2"),
        ("tensorflow-cpu", "tensorflow"),
        ("opencv-python-headless", "opencv"),
        ("ansible-core", "ansible"),
        ("python3-openid", "openid"),
        ("foo2", "foo"),
        ("foo", "foo3"),
        ("mysql-connector-python", "mysql.connector"),
    ],
)
def test_a_name_that_surely_means_the_same(package: str, module: str) -> None:
    assert not equals_project(package, module)
    assert resembles_project(package, module)


@pytest.mark.parametrize(
    ("package", "module"),
    [
        ("adafruit-blinka", "pwmio"),
        ("attrs", "attr"),
        ("setuptools", "pkg_resources"),
        ("pytest", "test"),
        ("pytest-lazy", "test_lazy"),
        ("beautifulsoup4", "bs4"),
        ("pillow", "PIL"),
        ("black", "blackd"),
        ("base64", "base6"),
        ("pyx", "x"),
        ("python", "python_core"),
        ("foo-plugin", "foo"),
        ("foo", "foo_core"),
        ("foo-client", "foo_server"),
    ],
)
def test_a_name_that_may_mean_something_else(package: str, module: str) -> None:
    assert not resembles_project(package, module)


def test_inside_a_package_the_words_must_be_the_same() -> None:
    assert equals_project_by_words("mysql-connector", "mysql.connector")
    assert equals_project_by_words("foo-bar-baz", "foo.bar_baz")
    assert not equals_project_by_words("foobar", "foo.bar")
    assert not equals_project_by_words("foo-bar", "foobar")
    assert resembles_project_by_words("mysql-connector-python", "mysql.connector")
    assert resembles_project_by_words("python-foo-bar", "foo.bar")
    assert not resembles_project_by_words("pyfoo-bar", "foo.bar")


@pytest.mark.parametrize("package", ["python", "py", "py-py", "python-binary-core", "a", "2", "py2"])
def test_something_is_left_of_every_name(package: str) -> None:
    assert not resembles_project(package, "")
    assert not resembles_project(package, "_")
