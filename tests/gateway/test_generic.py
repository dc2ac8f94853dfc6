"""The provider `generic`: Standard Webhooks and plain HMAC, for whatever can run a hook."""

import hmac
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellpull.contract.event import Assurance, RefUpdated
from bellpull.contract.text import Name
from bellpull.runtime.secret import Secret
from gateway.core.providers import generic
from gateway.core.receive import Accepted, Ignored, Outcome, Rejected, Source, receive
from gateway.core.request import Headers, Request
from gateway.core.verified import Unverified, VerifiedBody
from tests.odd_values import places, spoiled

A, B, ZERO = "a" * 40, "b" * 40, "0" * 40
NOW: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SENT: Final = str(int(NOW.timestamp())).encode()
PLAIN: Final = b"a long word that only two sides know"
KEY: Final = bytes(range(32))
STANDARD: Final = b"whsec_" + b64encode(KEY)
OTHER: Final = b"whsec_" + b64encode(bytes(reversed(range(32))))
PUSH: Final[dict[str, Any]] = {
    "repository": "https://git.example/acme/site.git",
    "ref": "refs/heads/main",
    "before": A,
    "after": B,
    "actor": "ada",
    "forced": False,
}
JSON: Final = (b"Content-Type", b"application/json")


def source(*secrets: bytes) -> Source:
    return Source(
        installation=Name("acme"),
        name=Name("git"),
        provider=Name("generic"),
        secrets=tuple(Secret(secret) for secret in secrets),
        repositories=("git.example/acme/*",),
    )


def plain(body: bytes, *, secret: bytes = PLAIN, algorithm: str = "sha256") -> Request:
    signature = f"{algorithm}={hmac.new(secret, body, algorithm).hexdigest()}".encode()
    return Request(headers=Headers((JSON, (b"X-Signature", signature))), body=body, received=NOW)


def standard(
    body: bytes, *, key: bytes = KEY, identity: bytes = b"msg_1", sent: bytes = SENT, **fields: bytes
) -> Request:
    digest = hmac.digest(key, identity + b"." + sent + b"." + body, "sha256")
    headers = {"id": identity, "timestamp": sent, "signature": b"v1," + b64encode(digest)} | fields
    named = tuple((f"Webhook-{name.title()}".encode(), value) for name, value in headers.items())
    return Request(headers=Headers((JSON, *named)), body=body, received=NOW)


def without(request: Request, name: bytes) -> Request:
    return replace(request, headers=Headers(tuple(each for each in request.headers.fields if each[0] != name)))


def accepted(outcome: Outcome) -> RefUpdated:
    assert isinstance(outcome, Accepted), outcome
    (message,) = outcome.messages
    assert isinstance(message.data, RefUpdated)
    return message.data


def test_the_documented_vector_of_standard_webhooks_passes() -> None:
    """The vector that all its libraries share."""
    body = b'{"test": 2432232314}'
    fields = (
        (b"webhook-id", b"msg_p5jXN8AQM9LWM0D4loKWxJek"),
        (b"webhook-timestamp", b"1614265330"),
        (b"webhook-signature", b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    )
    received = datetime.fromtimestamp(1614265330, UTC) + timedelta(seconds=3)
    delivery = Request(headers=Headers(fields), body=body, received=received)

    checked = generic.verify(delivery, [Secret(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")])

    assert isinstance(checked, VerifiedBody)
    assert (checked.body, checked.assurance) == (body, Assurance.SIGNATURE)


def test_an_hmac_of_a_known_key_and_body_passes() -> None:
    """The key `bar`, the body `foo`, and what HMAC-SHA256 makes of them."""
    documented = b"sha256=147933218aaabc0b8b10a2b3a5c34684c8d94341bcf10a4736dc7270f7741851"
    delivery = Request(headers=Headers(((b"X-Signature", documented),)), body=b"foo", received=NOW)

    assert isinstance(generic.verify(delivery, [Secret(b"bar")]), VerifiedBody)


@pytest.mark.parametrize(
    "delivery",
    [
        pytest.param(plain(orjson.dumps(PUSH)), id="sha256"),
        pytest.param(plain(orjson.dumps(PUSH), algorithm="sha512"), id="sha512"),
        pytest.param(standard(orjson.dumps(PUSH)), id="standard"),
    ],
)
def test_a_push_becomes_one_event(delivery: Request) -> None:
    event = accepted(receive(delivery, source(PLAIN, STANDARD), NOW))

    assert (event.repository.key, event.ref.full, event.before, event.after, event.actor) == (
        "git.example/acme/site",
        "refs/heads/main",
        A,
        B,
        "ada",
    )
    assert event.delivery.assurance is Assurance.SIGNATURE


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"before": ZERO}, (None, B, True, False, False), id="created"),
        pytest.param({"after": ZERO}, (A, None, False, True, False), id="deleted"),
        pytest.param({"forced": True}, (A, B, False, False, True), id="forced"),
        pytest.param({"ref": "refs/tags/v1", "forced": None, "actor": None}, (A, B, False, False, False), id="tag"),
        pytest.param({"before": "a" * 64, "after": "0" * 64}, ("a" * 64, None, False, True, False), id="SHA-256"),
    ],
)
def test_each_sort_of_push(changes: dict[str, Any], expected: tuple[object, ...]) -> None:
    event = accepted(receive(plain(orjson.dumps(PUSH | changes)), source(PLAIN), NOW))

    assert (event.before, event.after, event.created, event.deleted, event.forced) == expected


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ref": "refs/notes/commits"}, "the ref is neither a branch nor a tag"),
        (
            {"repository": "https://git.example/mallory/site"},
            "the repository git.example/mallory/site is not in this source's list",
        ),
    ],
)
def test_what_is_authentic_and_not_needed_is_ignored(changes: dict[str, Any], reason: str) -> None:
    assert receive(plain(orjson.dumps(PUSH | changes)), source(PLAIN), NOW) == Ignored(reason=reason)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"repository": 1}, "repository is not a string"),
        ({"repository": None}, "repository is missing"),
        ({"repository": "https://ada:hunter2@git.example/acme/site"}, "repository has a password in it"),
        ({"repository": "https://git.example/" + "x" * 2048}, "repository is longer than 2048 characters"),
        ({"ref": "refs/heads/-oProxyCommand=x"}, "ref "),
        ({"ref": "refs/heads/../../x"}, "ref "),
        ({"before": ZERO, "after": ZERO}, "before and after are both zero"),
        ({"after": "main"}, "after "),
        ({"before": None}, "before is missing"),
    ],
)
def test_an_authentic_body_that_is_no_push_is_400_and_says_where(changes: dict[str, Any], reason: str) -> None:
    outcome = receive(plain(orjson.dumps(PUSH | changes)), source(PLAIN), NOW)

    assert isinstance(outcome, Rejected)
    assert outcome.status == 400
    assert outcome.reason.startswith(reason)
    assert "hunter2" not in outcome.reason


BODY: Final = orjson.dumps(PUSH)
_GOOD: Final = standard(BODY).headers.one(b"webhook-signature") or b""
_HEX: Final = (plain(BODY).headers.one(b"x-signature") or b"").removeprefix(b"sha256=")


@pytest.mark.parametrize(
    "delivery",
    [
        pytest.param(without(standard(BODY), b"Webhook-Id"), id="no id"),
        pytest.param(without(standard(BODY), b"Webhook-Timestamp"), id="no time"),
        pytest.param(without(standard(BODY), b"Webhook-Signature"), id="no signature"),
        pytest.param(standard(BODY, sent=str(int(SENT) - 301).encode()), id="old"),
        pytest.param(standard(BODY, sent=str(int(SENT) + 301).encode()), id="of the future"),
        pytest.param(standard(BODY, sent=SENT + b".0"), id="time with a fraction"),
        pytest.param(standard(BODY, sent=b" " + SENT), id="time with a space"),
        pytest.param(standard(BODY, sent=b"1_" + SENT), id="time with an underscore"),
        pytest.param(standard(BODY, sent=b"9" * 400), id="time beyond all numbers"),
        pytest.param(standard(BODY, identity=b"msg.1"), id="id with a dot"),
        pytest.param(standard(BODY, identity=b""), id="empty id"),
        pytest.param(standard(BODY, key=bytes(32)), id="another key"),
        pytest.param(standard(BODY, signature=b""), id="empty signature"),
        pytest.param(standard(BODY, signature=b"v1,"), id="version only"),
        pytest.param(standard(BODY, signature=b"v1"), id="half a version"),
        pytest.param(standard(BODY, signature=_GOOD[:-4]), id="truncated"),
        pytest.param(standard(BODY, signature=_GOOD.replace(b"v1,", b"v2,")), id="another version"),
        pytest.param(standard(BODY, signature=_GOOD + b",x"), id="junk behind"),
        pytest.param(standard(BODY, signature=_GOOD.replace(b"v1,", b"v1,!")), id="junk inside"),
        pytest.param(standard(BODY, signature=b"\xff\xfe"), id="not ASCII"),
        pytest.param(standard(BODY, signature=b" ".join([b"v1,AAAA"] * 8 + [_GOOD])), id="too many"),
        pytest.param(replace(standard(BODY), body=BODY + b" "), id="another body"),
        pytest.param(plain(BODY, secret=b""), id="empty word"),
        pytest.param(plain(BODY, secret=STANDARD), id="plain with the other sort's secret"),
        pytest.param(plain(BODY, algorithm="sha1"), id="SHA-1"),
        pytest.param(without(plain(BODY), b"X-Signature"), id="nothing"),
        *(
            pytest.param(Request(headers=Headers((JSON, *fields)), body=BODY, received=NOW), id=name)
            for name, fields in {
                "bare hex": [(b"X-Signature", _HEX)],
                "upper case": [(b"X-Signature", b"sha256=" + _HEX.upper())],
                "cut": [(b"X-Signature", b"sha256=" + _HEX[:-1])],
                "wrong length": [(b"X-Signature", b"sha512=" + _HEX)],
                "a space": [(b"X-Signature", b"sha256= " + _HEX)],
                "twice": [(b"X-Signature", b"sha256=" + _HEX)] * 2,
            }.items()
        ),
    ],
)
def test_a_signature_that_is_not_exactly_right_is_401(delivery: Request) -> None:
    """The answer never says in what it was wrong."""
    outcome = receive(delivery, source(PLAIN, STANDARD), NOW)

    assert isinstance(outcome, Rejected), outcome
    assert (outcome.status, outcome.told) == (401, "the signature was not accepted")


@pytest.mark.parametrize("moved_s", [-300, 300])
def test_five_minutes_of_difference_between_clocks_are_forgiven(moved_s: int) -> None:
    delivery = standard(BODY, sent=str(int(SENT) + moved_s).encode())

    assert isinstance(generic.verify(delivery, [Secret(STANDARD)]), VerifiedBody)


def test_any_of_several_secrets_and_signatures_is_accepted() -> None:
    """Either side may rotate first."""
    old = standard(BODY, key=bytes(reversed(range(32))))
    signatures = b" ".join([b"v1a,AAAA", old.headers.one(b"webhook-signature") or b"", _GOOD])
    for secrets in ([STANDARD], [OTHER], [PLAIN, STANDARD]):
        checked = generic.verify(standard(BODY, signature=signatures), [Secret(each) for each in secrets])
        assert isinstance(checked, VerifiedBody)


@pytest.mark.parametrize(
    ("delivery", "reason"),
    [
        (without(standard(BODY), b"Webhook-Signature"), "no webhook-signature: this source's secret is one of"),
        (standard(BODY, sent=b"1"), "webhook-timestamp is missing, or not within five minutes"),
        (standard(BODY, key=b"x"), "the signature fits none"),
    ],
)
def test_the_log_says_what_is_missing(delivery: Request, reason: str) -> None:
    unverified = generic.verify(delivery, [Secret(STANDARD)])

    assert isinstance(unverified, Unverified)
    assert unverified.reason.startswith(reason)


@pytest.mark.parametrize(
    ("secret", "is_good"),
    [
        (PLAIN, True),
        (STANDARD, True),
        (b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", True),
        (b"whsec_", False),
        (b"whsec_" + b64encode(bytes(23)), False),
        (b"whsec_" + b64encode(bytes(65)), False),
        (b"whsec_not base64", False),
        (STANDARD + b"!", False),
    ],
)
def test_a_secret_that_nothing_can_be_signed_with_is_a_problem(secret: bytes, is_good: bool) -> None:
    """It would refuse every delivery for ever; and an empty key would accept anybody's."""
    problem = generic.secret_problem(Secret(secret))

    assert (problem is None) == is_good
    assert is_good or not isinstance(generic.verify(standard(BODY, key=b""), [Secret(secret)]), VerifiedBody)


@pytest.mark.parametrize(
    ("fields", "delivery"),
    [(((b"webhook-id", b"msg_1"),), "msg_1"), ((), None), (((b"webhook-id", b"a.b"),), None)],
)
def test_a_delivery_is_known_by_its_id_or_by_its_body(
    fields: tuple[tuple[bytes, bytes], ...], delivery: str | None
) -> None:
    assert generic.delivery_id(Headers(fields)) == delivery


@pytest.mark.parametrize("path", list(places(PUSH)), ids=lambda path: ".".join(map(str, path)))
def test_no_odd_value_anywhere_in_a_push_is_more_than_a_400(path: tuple[Any, ...]) -> None:
    for odd in spoiled(PUSH, path):
        outcome = receive(plain(orjson.dumps(odd)), source(PLAIN), NOW)
        assert isinstance(outcome, Accepted | Ignored) or outcome.status == 400


_NAMES: Final = [b"x-signature", b"webhook-id", b"webhook-timestamp", b"webhook-signature"]


@given(
    fields=st.lists(st.tuples(st.sampled_from(_NAMES), st.binary(max_size=80)), max_size=6).map(tuple),
    body=st.binary(max_size=100),
)
def test_receiving_raises_for_no_input(fields: tuple[tuple[bytes, bytes], ...], body: bytes) -> None:
    delivery = Request(headers=Headers(fields), body=body, received=NOW)
    outcome = receive(delivery, source(PLAIN, STANDARD), NOW)

    assert isinstance(outcome, Rejected)
    assert outcome.status == 401
