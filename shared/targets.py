"""Where deliveries may go: out into the world, and into private networks only where the installation says so.

Who may name an address could otherwise have this machine call what only it can reach: a database's port, a cloud's
metadata service (server-side request forgery, OWASP).
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from shared.sealing import SealingSettings

LONGEST_URL = 2_000
_PLAIN = re.compile(r"[\x21-\x7e]+")
_NAT64 = ip_network("64:ff9b::/96")
_SIX_TO_FOUR = ip_network("2002::/16")

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Networks:
    """Private networks that deliveries may go to; everything public is allowed anyway."""

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    @classmethod
    def parse(cls, text: str) -> "Networks":
        """Return the networks in `text`, such as `127.0.0.0/8, ::1/128`. Raises ValueError."""
        return cls([ip_network(each.strip()) for each in text.split(",") if each.strip()])

    def allow(self, address: Address) -> bool:
        """Tell whether a delivery may go to `address`: a global unicast one, or one of an allowed network."""
        inner = _inner(address)
        if any(each in network for network in self._allowed for each in {address, inner}):
            return True
        return inner.is_global and not inner.is_multicast


def _inner(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one stands for, if it does: a way around a look at the outer one."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _SIX_TO_FOUR and address.sixtofour is not None:
            return address.sixtofour
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def target_faults(url: str, networks: Networks) -> list[str]:
    """Return what is wrong with an address to deliver to, each as the end of a sentence; nothing for a good one.

    What its name resolves to is looked at with every delivery, not here.
    """
    if len(url) > LONGEST_URL or not _PLAIN.fullmatch(url):
        return [f"must be a URL of up to {LONGEST_URL} visible ASCII characters"]
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return ["must be a URL such as https://example.com/hooks/blotter"]
    if parts.scheme not in ("http", "https") or not host:
        return ["must be an http or https URL such as https://example.com/hooks/blotter"]
    if parts.username is not None or parts.password is not None:
        return ["must hold no user and password: use the secret, with which each delivery is signed"]
    if parts.fragment:
        return ["must have no fragment"]
    literal = literal_address(host)
    if literal is not None and not networks.allow(literal):
        return [f"leads to {literal}, in a private network: allow that network with BLOTTER_WEBHOOK_NETWORKS"]
    return []


def literal_address(host: str) -> Address | None:
    """Return the address that `host` is, None when it is a name."""
    try:
        return ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


class TargetSettings(SealingSettings):
    """Settings of a process that takes, or uses, addresses to deliver to."""

    webhook_networks: str = Field(
        "", description="private networks that webhooks may lead to, such as 127.0.0.0/8,::1/128; none by default"
    )

    @field_validator("webhook_networks")
    @classmethod
    def _check_networks(cls, text: str) -> str:
        try:
            Networks.parse(text)
        except ValueError as error:
            raise ValueError(f"must be networks such as 10.1.0.0/16 with commas between: {error}") from None
        return text

    @property
    def networks(self) -> Networks:
        """Return the private networks that are allowed."""
        return Networks.parse(self.webhook_networks)
