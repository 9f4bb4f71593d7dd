"""Where deliveries may go, without a name server."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.targets import Networks, literal_address, target_faults

PRIVATE = [
    *("127.0.0.1", "10.0.0.8", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"),
    *("::1", "::", "fe80::1", "fd00::1", "ff02::1", "::ffff:10.0.0.8", "2002:a00:8::", "64:ff9b::a00:8"),
    *("255.255.255.255", "240.0.0.1", "192.0.2.1", "2001:db8::1"),
]


@pytest.mark.parametrize("text", PRIVATE)
def test_what_is_not_out_in_the_world_is_refused_unless_it_is_allowed(text: str) -> None:
    """Loopback, private, link-local (a cloud's metadata), shared, multicast, reserved; in IPv6's clothes too."""
    address = ip_address(text)
    assert not Networks().allow(address)
    assert Networks.parse(f"{text}/{address.max_prefixlen}").allow(address)


@pytest.mark.parametrize("text", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822", "::ffff:8.8.8.8"])
def test_the_world_is_allowed(text: str) -> None:
    """Also through a translation to IPv6."""
    assert Networks().allow(ip_address(text))


@given(st.ip_addresses(v=4))
def test_an_address_is_judged_the_same_in_ipv6s_clothes(address: IPv4Address) -> None:
    """Mapped, by 6to4 and by NAT64: none is a way around."""
    judged = Networks().allow(address)
    number = int(address)
    for clothes in (0xFFFF << 32 | number, 0x2002 << 112 | number << 80, 0x64FF9B << 96 | number):
        assert Networks().allow(IPv6Address(clothes)) == judged


def test_an_allowed_network_opens_nothing_else() -> None:
    """Loopback is not the private network beside it."""
    networks = Networks.parse("127.0.0.0/8, ::1/128")
    assert networks.allow(ip_address("127.3.2.1"))
    assert networks.allow(ip_address("::ffff:127.0.0.1"))
    assert not networks.allow(ip_address("10.0.0.1"))


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("ftp://example.com/x", "http or https"),
        ("https://", "http or https"),
        ("example.com/hook", "http or https"),
        ("https://user:word@example.com/", "no user"),
        ("https://example.com/#top", "fragment"),
        ("https://exa mple.com/", "visible"),
        ("https://example.com:99999/", "must be a URL"),
        ("http://127.0.0.1:5432/", "private network"),
        ("http://[::1]/", "private network"),
        ("http://169.254.169.254/latest/meta-data", "private network"),
        ("https://example.com/" + "x" * 2_000, "up to 2000"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_with_the_reason(url: str, word: str) -> None:
    """One sentence, which names what is wrong."""
    (fault,) = target_faults(url, Networks())
    assert word in fault


@pytest.mark.parametrize("url", ["https://example.com/hook?token=1", "http://hooks.internal:8080", "https://8.8.8.8/x"])
def test_an_address_that_can_be_used_has_no_fault(url: str) -> None:
    """What a name leads to is looked at with every delivery."""
    assert target_faults(url, Networks()) == []


@given(st.text(max_size=60))
def test_any_text_is_judged(text: str) -> None:
    """Nothing raises."""
    assert isinstance(target_faults(text, Networks()), list)
    literal_address(text)
