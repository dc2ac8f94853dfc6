"""The proxy that the environment names, as kubectl reads it (Go's `httpproxy`)."""

import pytest

from agent.core.kubernetes.proxy import environment_proxy

API = "https://api.example.org:6443"
P = "http://proxy:3128"


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        pytest.param(API, {}, None, id="none"),
        pytest.param(API, {"HTTPS_PROXY": P}, P, id="one"),
        pytest.param(API, {"https_proxy": P}, P, id="in small letters"),
        pytest.param(API, {"HTTPS_PROXY": P, "https_proxy": "http://other"}, P, id="large letters first"),
        pytest.param(API, {"HTTPS_PROXY": "proxy:3128"}, P, id="without a scheme"),
        pytest.param(API, {"HTTP_PROXY": P, "ALL_PROXY": P}, None, id="for another scheme"),
        pytest.param("http://api.example.org", {"HTTP_PROXY": P}, P, id="plain HTTP"),
        pytest.param("https://localhost:6443", {"HTTPS_PROXY": P}, None, id="this machine"),
        pytest.param("https://127.3.2.1:6443", {"HTTPS_PROXY": P}, None, id="loopback"),
        pytest.param("https://[::1]:6443", {"HTTPS_PROXY": P}, None, id="loopback, IPv6"),
    ],
)
def test_which_proxy(url: str, environment: dict[str, str], proxy: str | None) -> None:
    assert environment_proxy(url, environment) == proxy


@pytest.mark.parametrize(
    ("url", "no_proxy", "direct"),
    [
        pytest.param(API, "*", True, id="all"),
        pytest.param(API, "example.org", True, id="a domain, and what is below it"),
        pytest.param(API, ".example.org", True, id="what is below a domain"),
        pytest.param(API, "*.example.org", True, id="the same, with a star"),
        pytest.param("https://example.org", ".example.org", False, id="not the domain itself"),
        pytest.param("https://badexample.org", "example.org", False, id="another domain that ends so"),
        pytest.param(API, "a, API.example.org ,b", True, id="one of several"),
        pytest.param(API, "example.org:6443", True, id="with its port"),
        pytest.param(API, "example.org:443", False, id="with another port"),
        pytest.param("https://10.96.0.1", "10.96.0.1:443", True, id="with the usual port"),
        pytest.param("https://10.96.0.1:443", "10.0.0.0/8", True, id="a network"),
        pytest.param("https://11.96.0.1:443", "10.0.0.0/8", False, id="another network"),
        pytest.param("https://[fd00::1]:443", "10.0.0.0/8,fd00::/8", True, id="a network, IPv6"),
        pytest.param("https://[fd00::1]:443", "fd00::1", True, id="an address, IPv6"),
        pytest.param("https://[fd00::1]:443", "[fd00::1]", True, id="an address in brackets"),
        pytest.param("https://10.96.0.1:443", "10.0.0.0/99", False, id="no network"),
        pytest.param(API, "", False, id="nothing"),
        pytest.param(API, ",", False, id="nothing, twice"),
    ],
)
def test_what_is_reached_directly(url: str, no_proxy: str, *, direct: bool) -> None:
    found = environment_proxy(url, {"HTTPS_PROXY": P, "NO_PROXY": no_proxy})
    assert found == (None if direct else P)
