"""Which distribution brought a module."""

import pytest

from ppp.check.distributions import MAX_MODULES, Distributions
from ppp.model.record import Installed

INSTALLED = [
    Installed(name=name, version="1.0", sha256=None) for name in ("pyyaml", "google-auth", "protobuf", "markupsafe")
]
OWNED = [
    ("PyYAML", ["yaml", "_yaml"]),
    ("google_auth", ["google/auth", "shared"]),
    ("protobuf", ["google/protobuf", "google/_upb", "shared"]),
    ("MarkupSafe", ["markupsafe"]),
]


@pytest.mark.parametrize(
    ("module", "owner"),
    [
        ("yaml", "pyyaml"),
        ("yaml.reader", "pyyaml"),
        ("yaml/reader", "pyyaml"),
        ("google.auth.transport", "google-auth"),
        ("google/protobuf/message", "protobuf"),
        ("google.cloud", None),
        ("google", None),
        ("shared", None),
        ("markupsafe", "markupsafe"),
        ("collections", None),
        ("", None),
    ],
)
def test_the_owner_of_a_module(module: str, owner: str | None) -> None:
    assert Distributions.of(INSTALLED, OWNED).owner(module) == owner


def test_without_records_a_module_is_its_namesakes() -> None:
    known = Distributions.of(INSTALLED)
    assert (known.owner("markupsafe._speedups"), known.owner("yaml")) == ("markupsafe", None)


def test_the_number_of_modules_is_bounded() -> None:
    many = [("big", [f"m{number}" for number in range(MAX_MODULES + 5)])]
    assert len(Distributions.of([], many).modules) == MAX_MODULES
