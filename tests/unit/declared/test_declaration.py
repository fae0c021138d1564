"""A declared set as TOML: read into one form, or refused with all its mistakes."""

import json
from pathlib import Path
from typing import Any

import pytest
from declared_sets import APP, LIB, SET, declared_set, with_package
from hypothesis import given
from hypothesis import strategies as st

from ppp.declared.declaration import MAX_BYTES, normal_requirement, parse_declaration, read_declaration
from ppp.model.content_id import InvalidContentIdError, raw_content_id, raw_content_sha256
from ppp.model.errors import DeclarationError
from ppp.resources import resource

#: Sixteen names in each of two parts.
MANY_TAGS = f"app-1.0-{'.'.join('abcdefghijklmnop')}-{'.'.join('abcdefghijklmnop')}-any.whl"


def test_a_set_is_read_into_one_form() -> None:
    found = declared_set(environments=["py312-slim", "py311-alpine"])
    assert found == declared_set(environments=["py311-alpine", "py312-slim"], package=[LIB, APP])
    app, lib = found.packages
    assert (app.requirement, lib.requirement) == ("app==1.0", "lib[fast]==2.0")
    assert app.dependencies == ("lib[fast]>=2",)
    assert with_package(APP, dependencies=["Lib [Fast] >= 2", "lib[fast]>=2"]) == found
    assert with_package(APP, name="App") == found


def test_a_cid_names_the_same_file() -> None:
    source = {"file": "app-1.0-py3-none-any.whl", "cid": raw_content_id("a" * 64)}
    assert with_package(APP, sources=[source]) == declared_set()


@given(sha256=st.binary(min_size=32, max_size=32).map(bytes.hex), text=st.text(max_size=70))
def test_a_cid_is_read_back_and_nothing_else_is_one(sha256: str, text: str) -> None:
    assert raw_content_sha256(raw_content_id(sha256)) == sha256
    with pytest.raises(InvalidContentIdError):
        raw_content_sha256(text)


def test_a_cid_has_one_form_only() -> None:
    cid = raw_content_id("a" * 64)
    # The last letter holds two bits that belong to nothing.
    for other in (cid.upper(), f"{cid}=", cid[:-1], f"{cid[:-1]}{chr(ord(cid[-1]) + 1)}", f"b{cid}"):
        with pytest.raises(InvalidContentIdError):
            raw_content_sha256(other)


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "Two Words"}, "name"),
        ({"environments": []}, "environments"),
        ({"environments": ["windows"]}, "is no environment: write one such as py312-slim"),
        ({"environments": ["../py312-slim"]}, "is no environment"),
        ({"package": []}, "package"),
        ({"packages": []}, "packages"),
        ({"package": [APP, APP]}, "app==1.0 is declared twice: leave one of the two out"),
        ({"package": [{**APP, "name": "a b"}]}, "is not a package name"),
        ({"package": [{**APP, "version": "new"}]}, "is not a version"),
        ({"package": [{**APP, "requires-python": "newest"}]}, "is no specifier: write one such as >=3.9"),
        ({"package": [{**APP, "dependencies": ["a b"]}]}, "is no requirement: write it as in METADATA"),
        ({"package": [{**APP, "dependencies": ["a @ https://evil.example/a.whl"]}]}, "has a URL: name a package"),
        ({"package": [{**APP, "sources": []}]}, "sources"),
        ({"package": [{**APP, "sources": [{"file": "app-1.0-py3-none-any.whl"}]}]}, "sources"),
        ({"package": [{**APP, "sources": [{**APP["sources"][0], "cid": "b"}]}]}, "sources"),
        ({"package": [{**APP, "sources": [{"file": "app-1.0.tar.gz", "sha256": "a" * 64}]}]}, "declare a wheel"),
        ({"package": [{**APP, "sources": [{"file": "../app-1.0-py3-none-any.whl", "sha256": "a" * 64}]}]}, "no wheel"),
        ({"package": [{**APP, "sources": [{"file": "app.whl", "sha256": "a" * 64}]}]}, "as the index lists it"),
        (
            {"package": [{**APP, "sources": [{"file": "lib-1.0-py3-none-any.whl", "sha256": "a" * 64}]}]},
            "is a wheel of lib 1.0, not of app==1.0: declare it there",
        ),
        ({"package": [{**APP, "sources": [{"file": "app-1.0-py3-none-any.whl", "sha256": "A" * 64}]}]}, "sha256"),
        ({"package": [{**APP, "sources": [{"file": "app-1.0-py3-none-any.whl", "cid": "Qm1"}]}]}, "write the sha256"),
        ({"package": [{**APP, "sources": [{"file": MANY_TAGS, "sha256": "a" * 64}]}]}, "has 256 tags, and at most 200"),
    ],
)
def test_a_mistake_is_named_with_what_to_change(change: dict[str, Any], said: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        declared_set(**change)
    assert said in caught.value.message
    assert "\n" not in str(caught.value)


def test_all_mistakes_are_told_together() -> None:
    with pytest.raises(DeclarationError, match=r"demo\.toml has 3 mistakes"):
        declared_set(environments=["windows"], package=[{**APP, "requires-python": "x", "dependencies": ["a b"]}])


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("content", [b"\xff", b"name =", b"[" * 5000, b"#" * (MAX_BYTES + 1), b""])
def test_what_is_no_set_is_refused(content: bytes) -> None:
    with pytest.raises(DeclarationError):
        parse_declaration(content, "demo.toml")


def test_the_schema_knows_every_key(tmp_path: Path) -> None:
    assert set(SET) <= set(_properties("properties"))
    assert {*APP, *LIB} <= set(_properties("$defs", "package", "properties"))
    with pytest.raises(DeclarationError, match="cannot read"):
        read_declaration(tmp_path / "nothing.toml")


def _properties(*path: str) -> dict[str, Any]:
    found = json.loads(resource("site/schemas/declared-set.schema.json").read_text())
    for key in path:
        found = found[key]
    return dict(found)


@given(name=st.from_regex(r"[A-Za-z][A-Za-z0-9._-]{0,8}[a-z]", fullmatch=True), extra=st.sampled_from(["", "[A.b]"]))
def test_a_requirement_has_one_form(name: str, extra: str) -> None:
    found = normal_requirement(f"{name} {extra} >=1 , <2 ; python_version>'3'")
    assert normal_requirement(found) == found
    assert found == normal_requirement(f'{name.upper()}{extra.lower()} (<2,>=1) ; python_version > "3"')
