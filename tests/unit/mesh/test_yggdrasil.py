"""Addresses follow from keys, and what daemons of two versions say of themselves."""

import json

import pytest

from ppp.mesh.yggdrasil import address_mistake, address_of, is_new_enough, read_getself
from ppp.model.errors import RejectedDataError

#: Keys of real daemons (0.5.12) with the addresses that they gave.
ADDRESSES = {
    "3ff2af3c651352688f7f680c2e271cd3b5e172e3db478e067bcd5467424680b1": "202:6a:861c:d765:6cbb:8404:bf9e:8ec7",
    "351d0c83480bc7662216da9cde20ce928ef89cfaeb719ea21264f83b677c91c4": "202:5717:9be5:bfa1:c4ce:ef49:2b19:ef9",
    "134aa82ff49c497d77cff06177d57d4b8955ebe9ee1e39a8e982688b838521b4": "203:cb55:7d00:b63b:6828:8300:f9e8:82a8",
    "f713414eb55c04d942064864e2e4e82b7d02ef50cb36cab80fb556c815e4a213": "200:11d9:7d62:9547:f64d:7bf3:6f36:3a36",
    "804a3d180714ec946de6431e4893fb1fd155113cb6706316fb3eab8bcf3cebf1": "200:ff6b:85cf:f1d6:26d7:2433:79c3:6ed8",
}
KEY, ADDRESS = list(ADDRESSES.items())[-1]


@pytest.mark.parametrize("key", ADDRESSES)
def test_the_address_of_a_key(key: str) -> None:
    assert str(address_of(key)) == ADDRESSES[key]


@pytest.mark.parametrize(
    ("key", "address"),
    [
        ("80" + "00" * 31, "200:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("ff" * 32, "200::"),
        ("00" * 15 + "01" + "55" * 16, "27f:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa"),
    ],
)
def test_the_address_of_an_unusual_key(key: str, address: str) -> None:
    assert str(address_of(key)) == address


@pytest.mark.parametrize("key", ["", "ab", KEY.upper(), KEY + "0", "00" * 32, "00" * 31 + "01"])
def test_what_has_no_address(key: str) -> None:
    with pytest.raises(ValueError, match=r"64 hex digits|has no address"):
        address_of(key)


def getself(**changes: object) -> str:
    return json.dumps({"build_version": "0.5.12", "key": KEY, "address": ADDRESS, "routing_entries": 1, **changes})


def test_an_address_that_is_not_that_of_the_key_is_a_mistake() -> None:
    assert address_mistake(read_getself(getself())) is None
    assert address_mistake(read_getself(json.dumps({"response": json.loads(getself())}))) is None
    mistake = address_mistake(read_getself(getself(address="200::1")))
    assert mistake == f"its daemon says 200::1, but the address of its key {KEY} is {ADDRESS}"
    assert "has no address" in str(address_mistake(read_getself(getself(key="00" * 32))))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"response": 1}',
        getself(key="x"),
        getself(key=1),
        getself(address="1.2.3.4"),
        "[" * 10**5,
    ],
)
def test_an_answer_without_key_and_address_is_rejected(text: str) -> None:
    with pytest.raises(RejectedDataError, match="yggdrasilctl gave"):
        read_getself(text)


def test_a_daemon_of_before_0_5_is_told_by_its_options() -> None:
    assert is_new_enough("Usage of yggdrasil:\n  -address\n    \tprints\n  -exportkey\n    \tuse in combination\n")
    assert not is_new_enough("Usage of yggdrasil:\n  -address\n  -genconf\n")
    assert not is_new_enough("")
