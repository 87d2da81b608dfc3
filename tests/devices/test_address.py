"""What is an address, and what never becomes one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.devices.address import (
    AdbAddress,
    EmulatedAddress,
    LocalAddress,
    NameAddress,
    address_from_text,
)
from edgedistill.devices.openssh import SshAddress
from edgedistill.errors import InputError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("local", LocalAddress()),
        ("emulated", EmulatedAddress(None)),
        ("emulated:cortex-a72", EmulatedAddress("cortex-a72")),
        ("ssh://pi@192.168.1.20", SshAddress("192.168.1.20", "pi")),
        ("ssh://pi@kitchen:2222", SshAddress("kitchen", "pi", 2222)),
        ("ssh://Kitchen", SshAddress("Kitchen")),
        ("ssh://root@[fe80::1]:22", SshAddress("fe80::1", "root", 22)),
        ("adb:R58M12ABCDE", AdbAddress("R58M12ABCDE")),
        ("adb:127.0.0.1:5555", AdbAddress("127.0.0.1:5555")),
        ("kitchen-pi.2", NameAddress("kitchen-pi.2")),
    ],
)
def test_addresses(text: str, address: object) -> None:
    assert address_from_text(text) == address


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ssh://-oProxyCommand=x", "no host"),
        ("ssh://pi:secret@kitchen", "a password"),
        ("ssh://pi@kitchen/home", "more than an address"),
        ("ssh://pi@kitchen:99999", "out of range"),
        ("ssh://", "no host"),
        ("ssh://-l@kitchen", "the user"),
        ("adb:", "no serial"),
        ("adb:-s x", "no serial"),
        ("kitchen pi", "no address"),
        ("", "no address"),
        ("-F/etc/passwd", "no address"),
    ],
)
def test_what_is_none_says_why(text: str, found: str) -> None:
    with pytest.raises(InputError, match=found):
        address_from_text(text)


@given(st.text(max_size=30).map("-".__add__), st.sampled_from(["", "ssh://", "ssh://user@", "adb:"]))
def test_nothing_becomes_an_option_of_a_client(text: str, scheme: str) -> None:
    with pytest.raises(InputError):
        address_from_text(scheme + text)


def test_an_ssh_address_reads_as_it_was_written() -> None:
    for text in ("ssh://pi@kitchen:2222", "ssh://Kitchen", "ssh://root@[fe80::1]:22"):
        assert str(address_from_text(text)) == text
