"""Where webhooks may go: the open internet, and nothing inside our own network, however it is written."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.doubles.receiver import ReceiverNetwork, Reply

from coworkai.partner_api.webhooks.addresses import RefusedAddress, is_public, parse_url
from coworkai.partner_api.webhooks.outbound import Fault, Outbound, Received

INSIDE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "192.88.99.1",
    "198.18.0.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:93.184.215.14",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2001::7f00:1",
    "2002:7f00:1::",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "100::1",
    "fe80::1",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
]
OUTSIDE = ["93.184.215.14", "8.8.8.8", "172.32.0.1", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]


def posted(network: ReceiverNetwork, url: str, *, is_local: bool = False) -> Received:
    async def post() -> Received:
        outbound = Outbound(network.network(), is_local=is_local, timeout_s=5, max_connections=4)
        try:
            return await outbound(url, {"content-type": "application/json"}, b"{}")
        finally:
            await outbound.aclose()

    return asyncio.run(post())


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_not_public_and_nothing_is_connected_to_it(address: str) -> None:
    assert not is_public(ip_address(address))
    network = ReceiverNetwork({"hooks.example.com": [address]})
    host = f"[{address}]" if ":" in address else address
    for url in ("https://hooks.example.com/", f"https://{host}/"):
        assert posted(network, url) == Received(fault=Fault.REFUSED_ADDRESS)
    assert network.connected == []


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_of_the_open_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))
    network = ReceiverNetwork({"hooks.example.com": [address]})
    assert posted(network, "https://hooks.example.com/").status == 204
    assert network.connected == [(address, 443)]


@given(st.ip_addresses(v=4))
def test_no_ipv4_address_becomes_public_inside_ipv6(address: object) -> None:
    for written in (f"::ffff:{address}", f"::{address}", f"64:ff9b::{address}"):
        assert not is_public(ip_address(written))


def test_one_address_inside_among_public_ones_refuses_them_all() -> None:
    network = ReceiverNetwork({"hooks.example.com": ["93.184.215.14", "10.0.0.1"]})
    assert posted(network, "https://hooks.example.com/").fault is Fault.REFUSED_ADDRESS
    assert network.connected == []


def test_a_name_that_resolves_differently_later_leads_nowhere_else() -> None:
    """DNS rebinding: what was checked when it was registered is checked again, and then connected to."""
    network = ReceiverNetwork({"hooks.example.com": ["93.184.215.14"]})
    outbound = Outbound(network.network(), is_local=False, timeout_s=5, max_connections=4)

    async def rebind() -> Received:
        await outbound.check("https://hooks.example.com/")
        network.names["hooks.example.com"] = ["169.254.169.254"]
        return await outbound("https://hooks.example.com/", {}, b"")

    assert asyncio.run(rebind()).fault is Fault.REFUSED_ADDRESS
    assert network.connected == []


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "ftp://hooks.example.com/",
        "//hooks.example.com/",
        "hooks.example.com",
        "https://",
        "https:///path",
        "https://hooks.example.com:22/",
        "https://hooks.example.com:80/",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:99999/",
        "https://user@hooks.example.com/",
        "https://user:password@hooks.example.com/",
        "https://@hooks.example.com/",
        "https://hooks.example.com@127.0.0.1/",
        "https://hooks.example.com\\@127.0.0.1/",
        "https://hooks.example.com/#fragment",
        "https://hooks.example.com/a b",
        "https://hooks.example.com/\r\nx: y",
        "https://hooks.exämple.com/",
        "https://[fe80::1%25eth0]/",
        "https://hooks.example.com/" + "a" * 2_048,
    ],
)
def test_a_url_that_is_none_to_send_to_is_refused(url: str) -> None:
    with pytest.raises(RefusedAddress):
        parse_url(url, is_local=False)


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost"])
def test_another_way_to_write_an_address_inside_is_found_when_it_is_resolved(host: str) -> None:
    network = ReceiverNetwork({host: ["127.0.0.1"]})
    assert posted(network, f"https://{host}/").fault is Fault.REFUSED_ADDRESS


def test_local_mode_may_send_to_the_machine_itself_and_no_further() -> None:
    network = ReceiverNetwork({"localhost": ["::1", "127.0.0.1"], "box.example": ["192.168.1.1"]})
    network.names |= {"hooks.example.com": ["93.184.215.14"]}
    assert posted(network, "http://127.0.0.1:9999/hook", is_local=True).status == 204
    assert posted(network, "http://localhost:9999/hook", is_local=True).status == 204
    assert posted(network, "https://hooks.example.com/", is_local=True).status == 204
    assert network.connected == [("127.0.0.1", 9999), ("::1", 9999), ("93.184.215.14", 443)]
    for url in ("http://box.example/", "https://box.example/", "http://hooks.example.com/"):
        assert posted(network, url, is_local=True).fault is Fault.REFUSED_ADDRESS


def test_of_several_addresses_one_that_answers_is_enough() -> None:
    network = ReceiverNetwork({"hooks.example.com": ["93.184.215.14", "93.184.215.15"]})
    network.closed = {"93.184.215.14"}
    assert posted(network, "https://hooks.example.com/").status == 204
    network.closed.add("93.184.215.15")
    assert posted(network, "https://hooks.example.com/").fault is Fault.CONNECTION_FAILED


def test_a_name_without_an_address_is_told_apart() -> None:
    assert posted(ReceiverNetwork(), "https://hooks.example.com/").fault is Fault.UNRESOLVED


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://10.0.0.1:3128")
    network = ReceiverNetwork({"hooks.example.com": ["93.184.215.14"]})
    assert posted(network, "https://hooks.example.com/").status == 204
    assert network.connected == [("93.184.215.14", 443)]


def test_a_redirect_inside_leads_nowhere() -> None:
    network = ReceiverNetwork({"hooks.example.com": ["93.184.215.14"]})
    network.answer = lambda _request: Reply(302, {"location": "http://169.254.169.254/"})
    assert posted(network, "https://hooks.example.com/").status == 302
    assert network.connected == [("93.184.215.14", 443)]
