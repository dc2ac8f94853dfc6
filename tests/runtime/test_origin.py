"""What an address counts as."""

import pytest

from bellpull.runtime.origin import origin

CASES = {
    "IPv4": ("203.0.113.7", "203.0.113.7"),
    "IPv4, written as IPv6": ("::ffff:203.0.113.7", "203.0.113.7"),
    "IPv6": ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
    "another of the same /64": ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
    "the next /64": ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
    "with a zone": ("fe80::1%eth0", "fe80::/64"),
    "nothing": ("", ""),
    "no address": ("x" * 100, "x" * 64),
}


@pytest.mark.parametrize(("address", "counted"), CASES.values(), ids=CASES.keys())
def test_who_has_one_address_of_a_network_has_all_of_it(address: str, counted: str) -> None:
    assert origin(address) == counted
