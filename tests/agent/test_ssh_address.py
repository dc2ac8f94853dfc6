"""URLs of SSH, as Git reads them."""

import pytest

from agent.core.ssh_address import SshAddress, ssh_address
from bellpull.contract.repository import Repository


def at(user: str, host: str, port: int, path: str) -> SshAddress:
    return SshAddress(user=user, host=host, port=port, path=path)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("ssh://git@git.example/acme/site.git", at("git", "git.example", 22, "/acme/site.git")),
        ("SSH://git@Git.Example:2222/acme/site", at("git", "git.example", 2222, "/acme/site")),
        ("ssh://git@git.example:/acme/site", at("git", "git.example", 22, "/acme/site")),
        ("ssh://git@git.example/acme/my%20site", at("git", "git.example", 22, "/acme/my site")),
        ("ssh://git@[::1]:2222/~/site", at("git", "::1", 2222, "/~/site")),
        ("git@git.example:acme/site.git", at("git", "git.example", 22, "acme/site.git")),
        ("git@git.example:/srv/site.git", at("git", "git.example", 22, "/srv/site.git")),
        ("git@git.example:22/site", at("git", "git.example", 22, "22/site")),
        ("a-b.c+d@git.example.:acme/100%25", at("a-b.c+d", "git.example", 22, "acme/100%25")),
    ],
)
def test_what_git_reads_is_read_alike(url: str, address: SshAddress) -> None:
    assert ssh_address(url) == address
    assert Repository.from_url(url).host == address.host


@pytest.mark.parametrize("url", ["https://git.example/acme/site", "http://a@b:c/d", "git://git@git.example/a", "x"])
def test_other_protocols_are_none_of_it(url: str) -> None:
    assert ssh_address(url) is None


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("ssh://git.example/acme/site", "names no user"),
        ("git.example:acme/site", "names no user"),
        ("@git.example:acme/site", "names no user"),
        ("ssh://git:secret@git.example/acme", "has a password in it"),
        ("ssh://-oProxyCommand=x@git.example/acme", "has a user that is no name"),
        ("ssh://git%40x@git.example/acme", "has a user that is no name"),
        ("ssh://git@git.example:70000/acme", "has a port that is not between 1 and 65535"),
        ("ssh://git@git.example:0/acme", "has a port that is not between 1 and 65535"),
        ("git@git.example:-x", "begins with a dash"),
        ("git@git.example:a';reboot;'", "has a path with a quote"),
        ("ssh://git@git.example/a%27;reboot;%27", "has a path with a quote"),
        ("ssh://git@git.example/a%0Ab", "what cannot be printed"),
        ("ssh://git@git.example/a\\b", "a backslash"),
    ],
)
def test_what_cannot_be_passed_on_safely_is_refused(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as error:
        ssh_address(url)
    assert "secret" not in str(error.value).replace("secretRef", "")


@pytest.mark.parametrize(
    ("port", "host", "known_as"),
    [(22, "git.example", "git.example"), (2222, "git.example", "[git.example]:2222"), (22, "::1", "::1")],
)
def test_the_name_in_known_hosts_has_a_port_that_is_not_the_usual(port: int, host: str, known_as: str) -> None:
    assert at("git", host, port, "x").known_as == known_as
