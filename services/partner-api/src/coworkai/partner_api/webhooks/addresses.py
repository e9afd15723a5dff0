"""Which addresses a webhook may be sent to: nothing inside our network, whatever a name resolves to.

Outside local mode: https to a public address on port 443 or 8443. In local mode the machine itself as well,
over http or https on any port. A URL is checked when it is registered, and each address when it is connected
to: what a name resolved to earlier proves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

import httpx

from coworkai.common.errors import Terminal

IPAddress = IPv4Address | IPv6Address

HTTPS_PORTS = frozenset({443, 8443})
MAX_URL_CHARS = 2_048
_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All that is assigned of IPv6: mapped and translated IPv4, link- and site-local and the rest lie outside."""
_NEVER: Sequence[IPv4Network | IPv6Network] = (
    # What `is_global` of Python 3.11 takes for public, or lies inside the networks of cloud providers.
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv4Network("168.63.129.16/32"),
    # Teredo, 6to4 and documentation: the first two carry IPv4 addresses.
    IPv6Network("2001::/23"),
    IPv6Network("2002::/16"),
    IPv6Network("2001:db8::/32"),
    IPv6Network("3fff::/20"),
)


class RefusedAddress(Terminal):
    """A webhook may not be sent there."""

    code = "refused_address"
    status = 422


def is_public(address: IPAddress) -> bool:
    """Whether the address is one of the open internet, of one host."""
    if isinstance(address, IPv6Address) and (address not in _GLOBAL_UNICAST or address.scope_id is not None):
        return False
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in network for network in _NEVER if network.version == address.version)
    )


def checked_addresses(found: Sequence[str], *, loopback: bool, public: bool = True) -> list[str]:
    """The addresses that a host resolved to. Raises RefusedAddress unless each of them is allowed."""
    addresses = [ip_address(each) for each in dict.fromkeys(found)]
    for address in addresses:
        if not ((loopback and address.is_loopback) or (public and is_public(address))):
            raise RefusedAddress("the host has an address that is not public")
    if not addresses:
        raise RefusedAddress("the host has no address")
    return [str(address) for address in addresses]


def parse_url(text: str, *, is_local: bool) -> httpx.URL:
    """The URL of an endpoint, by everything but what its host resolves to. Raises RefusedAddress."""
    if len(text) > MAX_URL_CHARS or not all("!" <= char <= "~" and char != "\\" for char in text):
        raise RefusedAddress(
            f"a URL is at most {MAX_URL_CHARS} visible ASCII characters, without backslashes"
        )
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise RefusedAddress("it is no URL") from None
    if url.scheme != "https" and not (is_local and url.scheme == "http"):
        raise RefusedAddress("the URL is not https")
    if not url.host or "%" in url.host:
        raise RefusedAddress("the URL has no host")
    if "@" in urlsplit(text).netloc:
        raise RefusedAddress("the URL holds credentials: a signature tells who sends")
    if "#" in text:
        raise RefusedAddress("the URL has a fragment, which is never sent")
    if not is_local and url.port is not None and url.port not in HTTPS_PORTS:
        raise RefusedAddress("the port is neither 443 nor 8443")
    return url
