"""The seal: what is not exactly what its sender sealed is refused, whatever was done to it (R27)."""

import dataclasses
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import OKPKey

from bellpull.contract.message import MAX_BYTES
from bellpull.contract.seal import PinnedKey, Sealed, SealError, SealFault, SealType, seal, unseal

_NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
_HOUR: Final = timedelta(hours=1)
_BODY: Final = b'{"specversion":"1.0","data":{}}'


class _Key:
    """A signer and a verifier of a few lines, so that the contract is tried with keys that are not the product's."""

    def __init__(self, number: int) -> None:
        self.private = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
        self.public: Ed25519PublicKey = self.private.public_key()
        self.kid = f"key-{number}"

    def sign(self, data: bytes) -> bytes:
        return self.private.sign(data)

    def verify(self, signature: bytes, data: bytes) -> bool:
        try:
            self.public.verify(signature, data)
        except InvalidSignature:
            return False
        return True


_KEY: Final = _Key(1)
_OTHER: Final = _Key(2)
_KEYS: Final = {_KEY.kid: PinnedKey(verifier=_KEY)}


def _flipped(data: bytes, bit: int) -> bytes:
    at, of_byte = divmod(bit, 8)
    return data[:at] + bytes([data[at] ^ (1 << of_byte)]) + data[at + 1 :]


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _seal(body: bytes = _BODY, key: _Key = _KEY) -> str:
    return seal(body, seal_type=SealType.EVENT, audience="acme", now=_NOW, signer=key)


def _unseal(seal_text: str, body: bytes = _BODY, keys: Mapping[str, PinnedKey] = _KEYS) -> Sealed:
    return unseal(seal_text, body, seal_type=SealType.EVENT, audience="acme", keys=keys, now=_NOW)


def _fault(seal_text: str, body: bytes = _BODY, keys: Mapping[str, PinnedKey] = _KEYS) -> SealFault:
    with pytest.raises(SealError) as caught:
        _unseal(seal_text, body, keys)
    return caught.value.fault


@given(st.binary(max_size=500), st.sampled_from(SealType), st.text("abc-.", min_size=1, max_size=63))
def test_what_was_sealed_is_unsealed_as_it_was(body: bytes, seal_type: SealType, audience: str) -> None:
    text = seal(body, seal_type=seal_type, audience=audience, now=_NOW, signer=_KEY)
    sealed = unseal(text, body, seal_type=seal_type, audience=audience, keys=_KEYS, now=_NOW)
    assert (sealed.body, sealed.kid, sealed.issued) == (body, _KEY.kid, _NOW)


@given(st.binary(min_size=1, max_size=100), st.data())
def test_a_body_with_one_bit_flipped_is_refused(body: bytes, drawn: st.DataObject) -> None:
    at = drawn.draw(st.integers(0, 8 * len(body) - 1))
    assert _fault(_seal(body), _flipped(body, at)) is SealFault.SIGNATURE


def test_a_seal_with_any_one_bit_flipped_is_refused() -> None:
    """Every bit of its text, so also those of a last digit that stand for no byte."""
    text = _seal().encode()
    for at in range(8 * len(text)):
        _fault(_flipped(text, at).decode("latin-1"))


def test_a_header_with_any_one_bit_flipped_is_refused() -> None:
    header, signature = _seal().split("..")
    for at in range(8 * len(_decoded(header))):
        _fault(f"{_encoded(_flipped(_decoded(header), at))}..{signature}")


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_a_seal_of_another_body_is_refused(body: bytes, other: bytes) -> None:
    if body != other:
        assert _fault(_seal(other), body) is SealFault.SIGNATURE


@given(
    st.text(max_size=200) | st.from_regex(r"[A-Za-z0-9_-]{1,50}\.\.[A-Za-z0-9_-]{86}", fullmatch=True), st.binary()
)
def test_any_text_over_any_bytes_gives_nothing_but_a_seal_error(text: str, body: bytes) -> None:
    assert isinstance(_fault(text, body), SealFault)


def _signed(header: bytes, key: _Key = _KEY) -> str:
    """Return a seal with any header, its signature genuine: as a sender of another make would."""
    return f"{_encoded(header)}..{_encoded(key.sign(_encoded(header).encode() + b'.' + _BODY))}"


@given(st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - made so
def test_law_it_says_when_it_was_made_to_a_millisecond(now: datetime) -> None:
    """Never later: what an agent did before is ordered by it."""
    text = seal(_BODY, seal_type=SealType.EVENT, audience="acme", now=now, signer=_KEY)
    issued = _unseal(text).issued
    assert now - timedelta(milliseconds=1.001) <= issued <= now + timedelta(microseconds=1)


_HEADER: Final[Mapping[str, Any]] = {
    "alg": "Ed25519",
    "typ": "bellpull-event+jws",
    "kid": _KEY.kid,
    "iat": _NOW.timestamp(),
    "aud": "acme",
    "b64": False,
    "crit": ["b64"],
}


def test_the_header_is_these_members_in_this_order() -> None:
    assert _decoded(_seal().split("..")[0]) == orjson.dumps(_HEADER)
    assert _unseal(_signed(orjson.dumps(_HEADER))).body == _BODY


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("alg", "none"),
        ("alg", "EdDSA"),
        ("alg", "HS256"),
        ("alg", "ed25519"),
        ("alg", ["Ed25519"]),
        ("alg", None),
        ("typ", "bellpull-report+jws"),
        ("typ", "JWT"),
        ("kid", None),
        ("kid", 1),
        ("kid", ["key-1"]),
        ("iat", "1772366400"),
        ("iat", True),
        ("iat", -1),
        ("iat", 2**40),
        ("aud", ["acme"]),
        ("aud", None),
        ("b64", True),
        ("b64", 0),
        ("b64", None),
        ("crit", []),
        ("crit", "b64"),
        ("crit", ["b64", "exp"]),
    ],
)
def test_a_header_that_says_anything_else_is_refused(member: str, value: object) -> None:
    """Although its signature is genuine: nothing is negotiated."""
    assert _fault(_signed(orjson.dumps({**_HEADER, member: value}))) is SealFault.HEADER


_DUMPED: Final = orjson.dumps(_HEADER)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(orjson.dumps({**_HEADER, "exp": 1}), id="one member more"),
        pytest.param(orjson.dumps({**_HEADER, "jwk": {"kty": "OKP"}}), id="a key of its own"),
        pytest.param(orjson.dumps(dict(reversed(list(_HEADER.items())))), id="another order"),
        pytest.param(_DUMPED.replace(b'{"alg"', b'{"alg":"none","alg"'), id="a member twice"),
        pytest.param(_DUMPED.replace(b":", b": "), id="spaces"),
        pytest.param(_DUMPED.replace(b"acme", b"\\u0061cme"), id="an escape"),
        pytest.param(_DUMPED + b"\n", id="a newline"),
        *(
            pytest.param(orjson.dumps({k: v for k, v in _HEADER.items() if k != name}), id=f"no {name}")
            for name in _HEADER
        ),
        pytest.param(b"[]", id="an array"),
        pytest.param(b"null", id="null"),
    ],
)
def test_a_header_that_is_written_otherwise_is_refused(header: bytes) -> None:
    assert _fault(_signed(header)) is SealFault.HEADER


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "a..b",
        _seal().replace("..", "."),
        _seal().replace("..", f".{_BODY.hex()}."),
        _seal() + "=",
        _seal() + "\n",
        " " + _seal(),
        _seal()[:-1],
        _seal() + "A",
        "A" * 5000 + ".." + "A" * 86,
        "A..".ljust(89, "A"),
        _signed(b"{"),
        _signed(b"\xff"),
        _signed(b"[" * 500),
        _seal().replace("..", "..\u00e9")[:-1],
    ],
)
def test_what_is_no_seal_is_malformed(text: str) -> None:
    assert _fault(text) is SealFault.MALFORMED


def test_a_seal_of_one_kind_is_not_taken_for_the_other() -> None:
    """A report can't ring a bell."""
    text = seal(_BODY, seal_type=SealType.REPORT, audience="acme", now=_NOW, signer=_KEY)
    assert _fault(text) is SealFault.HEADER


def test_a_seal_for_another_installation_is_refused() -> None:
    text = seal(_BODY, seal_type=SealType.EVENT, audience="emca", now=_NOW, signer=_KEY)
    assert _fault(text) is SealFault.AUDIENCE


def test_a_key_that_is_not_pinned_is_a_reason_of_its_own() -> None:
    """It may be one that a file will have in a moment, and is no forgery (R27, rotation)."""
    with pytest.raises(SealError) as caught:
        _unseal(_seal(key=_OTHER))
    assert (caught.value.fault, caught.value.kid) == (SealFault.KEY_UNKNOWN, "key-2")


def test_a_key_under_the_name_of_another_is_refused() -> None:
    assert _fault(_seal(), keys={_KEY.kid: PinnedKey(verifier=_OTHER)}) is SealFault.SIGNATURE


@pytest.mark.parametrize(
    ("not_before", "not_after", "valid"),
    [
        (None, None, True),
        (_NOW, _NOW + _HOUR, True),
        (_NOW - _HOUR, None, True),
        (_NOW - _HOUR, _NOW, False),
        (_NOW + _HOUR, None, False),
        (None, _NOW - _HOUR, False),
    ],
)
def test_a_key_counts_from_its_first_moment_and_not_at_its_last(
    not_before: datetime | None, not_after: datetime | None, valid: bool
) -> None:
    keys = {_KEY.kid: PinnedKey(verifier=_KEY, not_before=not_before, not_after=not_after)}
    if valid:
        assert _unseal(_seal(), keys=keys).body == _BODY
    else:
        assert _fault(_seal(), keys=keys) is SealFault.KEY_EXPIRED


def test_during_a_rotation_both_keys_count() -> None:
    keys = {key.kid: PinnedKey(verifier=key) for key in (_KEY, _OTHER)}
    assert [_unseal(_seal(key=key), keys=keys).kid for key in (_KEY, _OTHER)] == ["key-1", "key-2"]


def test_a_body_that_is_too_large_is_refused_before_anything_else() -> None:
    assert _fault("", b" " * (MAX_BYTES + 1)) is SealFault.TOO_LARGE


def test_the_proof_of_a_checked_seal_is_not_made_by_hand() -> None:
    sealed = _unseal(_seal())
    with pytest.raises(TypeError, match=r"made by unseal\(\) only"):
        Sealed(body=b"forged", kid=_KEY.kid, issued=_NOW, proof=object())
    with pytest.raises((TypeError, ValueError), match="proof"):
        dataclasses.replace(sealed, body=b"forged")  # type: ignore[call-arg]  # as mypy says


def test_joserfc_verifies_the_seal_as_a_detached_jws() -> None:
    """RFC 7515 with the unencoded payload of RFC 7797, and `Ed25519` of RFC 9864: not only our own reader's word."""
    key = OKPKey.import_key(
        {"kty": "OKP", "crv": "Ed25519", "x": _encoded(_KEY.public.public_bytes_raw()), "kid": _KEY.kid}
    )
    registry = jws.JWSRegistry(algorithms=["Ed25519"], strict_check_header=False)  # it knows no iat and aud
    found = jws.deserialize_compact(_seal(), key, payload=_BODY, registry=registry)
    assert found.headers() == _HEADER
