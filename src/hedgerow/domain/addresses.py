"""Addresses of the internet: which belong to everybody, and which to the network that hedgerow itself stands in."""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last four bytes are an IPv4 address
_INSIDE = (
    # Both look public to some versions of Python, and are the clouds' own inside every machine of theirs.
    ipaddress.IPv4Network("168.63.129.16/32"),  # Azure
    ipaddress.IPv4Network("192.0.0.0/24"),  # set aside for protocols; 192.0.0.192 is Oracle's
)


def unwrapped(address: Address) -> Address:
    """An address as it is, where an IPv4 address in the clothes of IPv6 counts as what it is."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    translated = ipaddress.IPv4Address(address.packed[-4:]) if address in _TRANSLATED else None
    return address.ipv4_mapped or address.sixtofour or translated or address


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet, also seen through the ways of writing IPv4 in IPv6."""
    plain = unwrapped(address)
    if isinstance(plain, ipaddress.IPv6Address) and plain.is_site_local:
        return False
    if isinstance(plain, ipaddress.IPv4Address) and any(plain in network for network in _INSIDE):
        return False
    return plain.is_global and not plain.is_multicast and not plain.is_reserved
