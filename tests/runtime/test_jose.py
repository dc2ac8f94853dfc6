"""Keys go into files and come back, and a file that is not right says why without showing a key."""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellpull.contract.seal import SealType, seal, unseal
from bellpull.runtime.jose import (
    JoseError,
    dump_private,
    generate,
    load_pinned,
    load_private,
    load_public,
    public_jwk,
    public_set,
)

KEY = generate()
OTHER = generate()
NOW = datetime(2026, 3, 1, tzinfo=UTC)
LATER = datetime(2026, 4, 1, tzinfo=UTC)

# RFC 8037, appendix A: the key, its thumbprint, and what it signs.
RFC_8037 = {
    "kty": "OKP",
    "crv": "Ed25519",
    "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}


def test_the_key_of_the_standard_has_the_thumbprint_of_the_standard() -> None:
    """RFC 8037, A.3."""
    assert load_private(json.dumps(RFC_8037).encode()).kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_a_private_key_comes_back_as_it_went() -> None:
    again = load_private(dump_private(KEY))
    assert again.kid == KEY.kid
    assert again.sign(b"x") == KEY.sign(b"x")


def test_a_seal_made_with_a_key_is_accepted_by_who_pins_its_public_half() -> None:
    """R27."""
    pinned = load_pinned(public_set([public_jwk(OTHER.public), public_jwk(KEY.public)]))
    made = seal(b"{}", seal_type=SealType.EVENT, audience="acme", now=NOW, signer=KEY)
    sealed = unseal(made, b"{}", seal_type=SealType.EVENT, audience="acme", keys=pinned, now=NOW)
    assert sealed.kid == KEY.kid


def test_a_pinned_key_has_the_time_its_file_gives_it() -> None:
    _, key = load_public(public_jwk(KEY.public, nbf=NOW, exp=LATER))
    assert (key.not_before, key.not_after) == (NOW, LATER)
    _, key = load_public(public_jwk(KEY.public))
    assert (key.not_before, key.not_after) == (None, None)


def test_a_public_key_holds_nothing_private() -> None:
    private = json.loads(dump_private(KEY))["d"]
    assert private not in public_set([public_jwk(KEY.public)]).decode()


@given(signature=st.binary(max_size=80), data=st.binary(max_size=80))
def test_checking_a_signature_raises_for_no_input(signature: bytes, data: bytes) -> None:
    assert KEY.public.verify(signature, data) is False
    assert KEY.public.verify(KEY.sign(data), data) is True


def _changed(**changes: Any) -> dict[str, Any]:
    jwk = {**json.loads(dump_private(KEY)), **changes}
    return {name: value for name, value in jwk.items() if value is not None}


BAD_PRIVATE = {
    "nothing": (b"", "is not JSON"),
    "not JSON": (b"-----BEGIN PRIVATE KEY-----", "is not JSON"),
    "a list": (b"[]", "is not a JSON object"),
    "only the public half": (_changed(d=None), "is not a private key"),
    "another kind of key": (_changed(kty="RSA"), "is not an Ed25519 key"),
    "another curve": (_changed(crv="X25519"), "is not an Ed25519 key"),
    "the halves of two keys": (_changed(x=OTHER.public.x, kid=None), "public half is not that of its private half"),
    "a half key": (_changed(d="c2hvcnQ"), "is damaged"),
    "no public half": (_changed(x=None), "is damaged"),
    "a number": (_changed(d=4), "no base64url text"),
    "no ASCII": (_changed(d="é" * 43), "no base64url text"),
    "another's kid": (_changed(kid=OTHER.kid), "kid that is not its RFC 7638 thumbprint"),
}


@pytest.mark.parametrize(("content", "problem"), BAD_PRIVATE.values(), ids=BAD_PRIVATE.keys())
def test_a_private_key_that_is_none_says_why_and_is_not_shown(content: bytes | dict[str, Any], problem: str) -> None:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    with pytest.raises(JoseError, match=problem) as caught:
        load_private(data)
    for part in (json.loads(dump_private(KEY))["d"], KEY.public.x, "c2hvcnQ"):
        assert part not in str(caught.value)


PUBLIC = public_jwk(KEY.public)
BAD_SETS = {
    "no set": ({}, "is not a set of keys"),
    "an empty set": ({"keys": []}, "is not a set of keys"),
    "a text": ({"keys": ["x"]}, r"keys\[0\]: is not an object"),
    "a private key": ({"keys": [PUBLIC, _changed()]}, r"keys\[1\]: is a private key"),
    "one key twice": ({"keys": [PUBLIC, PUBLIC]}, r"keys\[1\]: is there twice"),
    "a time as text": ({"keys": [{**PUBLIC, "nbf": "2026"}]}, r"keys\[0\]: nbf is not a time"),
    "a truth as time": ({"keys": [{**PUBLIC, "exp": True}]}, r"keys\[0\]: exp is not a time"),
    "a time out of reach": ({"keys": [{**PUBLIC, "exp": 10**30}]}, r"exp is not a time|is not JSON"),
}


@pytest.mark.parametrize(("content", "problem"), BAD_SETS.values(), ids=BAD_SETS.keys())
def test_a_set_of_keys_that_is_none_says_which_key_and_why(content: dict[str, Any], problem: str) -> None:
    with pytest.raises(JoseError, match=problem):
        load_pinned(json.dumps(content).encode())


@pytest.mark.parametrize("read", [load_private, load_pinned])
@given(
    data=st.one_of(
        st.binary(), st.recursive(st.text() | st.integers() | st.none(), st.lists).map(str).map(str.encode)
    )
)
def test_any_bytes_are_a_key_or_the_one_documented_error(read: Callable[[bytes], object], data: bytes) -> None:
    with pytest.raises(JoseError):
        read(data)


@given(
    jwk=st.dictionaries(
        st.sampled_from(["kty", "crv", "x", "d", "kid", "nbf", "exp"]),
        st.sampled_from(["OKP", "Ed25519", KEY.public.x, KEY.kid, ""]) | st.text() | st.integers() | st.none(),
    )
)
def test_any_members_are_a_public_key_or_the_one_documented_error(jwk: dict[str, Any]) -> None:
    with suppress(JoseError):
        load_public(jwk)
