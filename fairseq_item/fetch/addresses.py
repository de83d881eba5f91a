"""Which internet addresses may be asked: none inside the machine's own network."""

import ipaddress
import socket

# Networks of IPv6 that hold an IPv4 address in their last 32 bits: translated (RFC 6052), mapped
# and compatible (RFC 4291).
EMBEDDING = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "::ffff:0:0/96", "::/96")))


class NotPublic(Exception):
    """A host has an address that is not public; the message is the reason."""


def is_public(text):
    """Whether an IP address, str, is public, and so is the one that it stands for, if any."""
    address = ipaddress.ip_address(text.split("%")[0])
    if address.version == 6:
        inner = address.sixtofour or (address.teredo and address.teredo[1])
        if any(address in network for network in EMBEDDING):
            inner = ipaddress.ip_address(int(address) & 0xFFFFFFFF)
        if inner:
            return is_public(str(inner))
    return address.is_global and not address.is_multicast and not address.is_reserved


def resolve(host, port, allow_private=False):
    """The IP addresses of a host, list of str.

    Whoever connects must connect to one of these, not to the name: it could stand for another
    address the next time it is asked (DNS rebinding).

    Raises:
        NotPublic: any of them is not public, unless ``allow_private``.
        socket.gaierror, UnicodeError: the name has none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(entry[4][0] for entry in found))
    for address in addresses:
        if not allow_private and not is_public(address):
            raise NotPublic(f"{host} is at {address}, which is no public address")
    return addresses
