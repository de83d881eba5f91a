"""Addresses inside the own network, in every form that they come in."""

import socket

import pytest

from fairseq_item.fetch import addresses
from fairseq_item.fetch.addresses import NotPublic, is_public, resolve


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1",
        "2001:db8::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1",
        "64:ff9b::10.0.0.1", "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a00:1::1",
    ],
)  # fmt: skip
def test_private(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "1.1.1.1", "2606:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"]
)
def test_public(address):
    assert is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "localhost"])
def test_spellings_of_the_own_machine(host):
    with pytest.raises(NotPublic, match="no public address"):
        resolve(host, 80)
    assert resolve(host, 80, allow_private=True)


def test_one_private_address_among_public_ones_is_enough(monkeypatch):
    found = [(None, None, 6, "", (ip, 80)) for ip in ("93.184.216.34", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(NotPublic, match=r"shop\.example is at 10\.0\.0\.1"):
        addresses.resolve("shop.example", 80)
