"""On whose behalf a proxy asks."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellpull.runtime.http.forwarded import client_address, network, trusted

PROXIES = (network("10.0.0.0/8"), network("fd00::/8"), network("127.0.0.1"))
FAR = "203.0.113.7"

CASES = (
    pytest.param("198.51.100.1", [FAR], "198.51.100.1", id="a stranger's header says nothing"),
    pytest.param("10.0.0.1", [], "10.0.0.1", id="no header"),
    pytest.param("10.0.0.1", [FAR], FAR, id="one proxy"),
    pytest.param("10.0.0.1", [f"1.1.1.1, {FAR}"], FAR, id="what the sender put there is not looked at"),
    pytest.param("10.0.0.1", ["1.1.1.1", f"{FAR},10.9.9.9"], FAR, id="two proxies, two fields"),
    pytest.param("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3", id="all are proxies"),
    pytest.param("10.0.0.1", ["nonsense"], "10.0.0.1", id="no address"),
    pytest.param("10.0.0.1", [f"nonsense, {FAR}"], FAR, id="nonsense beyond what counts"),
    pytest.param("10.0.0.1", [f"{FAR}, nonsense"], "10.0.0.1", id="nonsense before what counts"),
    pytest.param("10.0.0.1", [f"{FAR}, 10.0.0.2, "], "10.0.0.1", id="an empty part"),
    pytest.param("10.0.0.1", [f"{FAR}:443"], "10.0.0.1", id="with a port"),
    pytest.param("10.0.0.1", ["2001:DB8::1"], "2001:db8::1", id="IPv6, as it is written best"),
    pytest.param("::ffff:10.0.0.1", [FAR], FAR, id="the proxy as IPv6 writes it"),
    pytest.param("fd00::1", [FAR], FAR, id="an IPv6 proxy"),
    pytest.param("", [FAR], "", id="no socket's address"),
)


@pytest.mark.parametrize(("socket", "forwarded", "address"), CASES)
def test_where_a_request_came_from(socket: str, forwarded: list[str], address: str) -> None:
    assert client_address(socket, forwarded, PROXIES) == address


def test_without_trusted_proxies_no_header_counts() -> None:
    assert client_address("127.0.0.1", [FAR], ()) == "127.0.0.1"


@given(st.ip_addresses().map(str), st.lists(st.text() | st.ip_addresses().map(str)))
def test_it_is_the_sockets_or_an_address_and_a_stranger_is_nobody_else(socket: str, forwarded: list[str]) -> None:
    found = client_address(socket, forwarded, PROXIES)
    assert found == socket or str(ip_address(found)) == found
    assert found == socket or trusted(socket, PROXIES)


@pytest.mark.parametrize("value", ["", "10.0.0.1/8", "10.0.0.0/33", "nowhere", "10.0.0.0/8 "])
def test_what_is_no_network_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="is no network"):
        network(value)
