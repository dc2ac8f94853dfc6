from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote_plus

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellpull.contract.event import Assurance, RefUpdated
from bellpull.contract.ids import body_digest
from bellpull.contract.message import decode, encode
from bellpull.runtime.secret import Secret
from gateway.core.providers import github
from gateway.core.receive import Accepted, Ignored, Outcome, Rejected, receive, refuse_head
from gateway.core.request import Headers, Request
from gateway.core.verified import VerifiedBody
from tests.gateway.github import NOW, SECRET, SOURCE, TAG_OBJECT, ZERO, A, B, headers, payload, request, signature
from tests.odd_values import places, spoiled


def accepted(outcome: Outcome) -> RefUpdated:
    assert isinstance(outcome, Accepted), outcome
    (message,) = outcome.messages
    assert isinstance(message.data, RefUpdated)
    assert decode(encode(message)) == message
    return message.data


def test_githubs_documented_vector_passes() -> None:
    """GitHub's documentation: this secret and body give this signature."""
    body = b"Hello, World!"
    documented = b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    delivery = Request(headers=Headers(((b"X-Hub-Signature-256", documented),)), body=body, received=NOW)

    checked = github.verify(delivery, [Secret(SECRET)])

    assert isinstance(checked, VerifiedBody)
    assert (checked.body, checked.assurance) == (body, Assurance.SIGNATURE)


@pytest.mark.parametrize("form", [False, True], ids=["json", "form"])
def test_a_push_becomes_one_event(form: bool) -> None:
    """What changed, who delivered it, and nothing else: no message, no file name, no address."""
    outcome = receive(request(payload(), form=form), SOURCE, NOW)

    event = accepted(outcome)
    assert isinstance(outcome, Accepted)
    written = encode(outcome.messages[0])
    assert (event.repository.key, event.ref.full, event.before, event.after) == (
        "github.com/acme/site",
        "refs/heads/main",
        A,
        B,
    )
    assert event.repository.clone_urls == ("https://github.com/acme/site.git", "git@github.com:acme/site.git")
    assert (event.actor, event.created, event.deleted, event.forced) == ("ada", False, False, False)
    assert event.delivery.id == "72d3162e-cc78-11e3-81ab-4c9367dc0958"
    assert event.hops.pushed is not None
    assert b"example.org" not in written
    assert b"Say hello" not in written
    assert b"index.html" not in written


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"before": ZERO, "created": True}, (None, B, True, False, False), id="created"),
        pytest.param(
            {"after": ZERO, "deleted": True, "head_commit": None}, (A, None, False, True, False), id="deleted"
        ),
        pytest.param({"forced": True}, (A, B, False, False, True), id="forced"),
        pytest.param({"ref": "refs/tags/v1", "before": ZERO}, (None, B, True, False, False), id="tag"),
        pytest.param(
            {"ref": "refs/tags/v1", "before": ZERO, "after": TAG_OBJECT},
            (None, B, True, False, False),
            id="annotated tag",
        ),
        pytest.param(
            {"ref": "refs/tags/v1", "after": ZERO, "head_commit": None},
            (A, None, False, True, False),
            id="deleted tag",
        ),
        pytest.param(
            {"ref": "refs/tags/v1", "head_commit": None}, (A, B, False, False, False), id="tag without a head commit"
        ),
        pytest.param({"head_commit": {"id": A}}, (A, B, False, False, False), id="a branch's tip is its after"),
    ],
)
def test_each_sort_of_push(changes: dict[str, Any], expected: tuple[object, ...]) -> None:
    """Creation and deletion are told from the zero ids, which every provider sends; the flags are GitHub's own.

    An annotated tag's `after` is the tag object, which is no commit: what everybody else speaks of is `head_commit`.
    """
    event = accepted(receive(request(payload(**changes)), SOURCE, NOW))

    assert (event.before, event.after, event.created, event.deleted, event.forced) == expected


@pytest.mark.parametrize(
    ("delivery", "reason"),
    [
        (request({"zen": "Keep it logically awesome.", "hook_id": 1}, event="ping"), "ping"),
        (request(payload(), event="issues"), "the event issues is not used"),
        (request(payload(ref="refs/notes/commits")), "the ref is neither a branch nor a tag"),
        (
            request(payload(repository={"clone_url": "https://github.com/mallory/site.git"})),
            "the repository github.com/mallory/site is not in this source's list",
        ),
        (
            request(payload(repository={"clone_url": "https://evil.example/acme/site.git"})),
            "the repository evil.example/acme/site is not in this source's list",
        ),
        (
            request(payload(repository={"clone_url": "https://github.com/*/*.git"})),
            "the repository github.com/*/* is not in this source's list",
        ),
        (request(["no", "object"], event="ping"), "ping"),
        (request(payload(), event="Push<"), "the event unknown is not used"),
    ],
)
def test_what_is_authentic_and_not_needed_is_ignored(delivery: Request, reason: str) -> None:
    """It is a 2xx with a reason: providers switch off hooks that keep failing."""
    assert receive(delivery, SOURCE, NOW) == Ignored(reason=reason)


BODY = orjson.dumps(payload())
GOOD = signature(BODY)


@pytest.mark.parametrize(
    "signatures",
    [
        pytest.param((), id="missing"),
        pytest.param((b"",), id="empty"),
        pytest.param((b"sha256=",), id="no digits"),
        pytest.param((b"sha256",), id="prefix only"),
        pytest.param((GOOD[:-1],), id="truncated"),
        pytest.param((GOOD + b"0",), id="too long"),
        pytest.param((GOOD.upper(),), id="upper case"),
        pytest.param((b"sha256=" + GOOD[7:].upper(),), id="upper-case digits"),
        pytest.param((b"sha1=" + GOOD[7:],), id="another algorithm"),
        pytest.param((GOOD.removeprefix(b"sha256="),), id="no prefix"),
        pytest.param((b" " + GOOD,), id="space before"),
        pytest.param(("sha256=é".encode() + GOOD[9:],), id="not ASCII"),
        pytest.param((b"sha256=\xff\xfe" + GOOD[9:],), id="no text"),
        pytest.param((GOOD, GOOD), id="twice"),
        pytest.param((GOOD, b"sha256=" + b"0" * 64), id="a good and a bad one"),
        pytest.param((signature(BODY, b"another secret"),), id="another secret"),
        pytest.param((signature(BODY + b" "),), id="another body"),
    ],
)
def test_a_signature_that_is_not_exactly_right_is_401(signatures: tuple[bytes, ...]) -> None:
    """Nothing is decoded, and the sender is told the same whatever was wrong (P2)."""
    rest = tuple(field for field in headers(BODY) if field[0] != b"X-Hub-Signature-256")
    fields = rest + tuple((b"x-hub-signature-256", value) for value in signatures)

    outcome = receive(Request(headers=Headers(fields), body=BODY, received=NOW), SOURCE, NOW)

    assert isinstance(outcome, Rejected)
    assert (outcome.status, outcome.told) == (401, "the signature was not accepted")


def test_any_of_several_secrets_is_accepted() -> None:
    """During a rotation both the old and the new secret are good."""
    for secrets in ((Secret(b"the new one"), Secret(SECRET)), (Secret(SECRET), Secret(b"the old one"))):
        assert isinstance(receive(request(payload()), replace(SOURCE, secrets=secrets), NOW), Accepted)


def test_decoding_is_reachable_through_a_verified_body_only() -> None:
    """P2: nobody can make the proof by hand, and a decoder takes nothing else."""
    with pytest.raises(TypeError, match="made by a provider's verify"):
        VerifiedBody(body=BODY, assurance=Assurance.SIGNATURE, proof=object())
    with pytest.raises(AttributeError):
        github.decode(BODY, Headers(headers(BODY)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "fields", "status"),
    [
        ("GET", headers(BODY), 405),
        ("PUT", headers(BODY), 405),
        ("POST", headers(BODY, content_type="text/plain"), 415),
        ("POST", headers(BODY, content_type="multipart/form-data; boundary=x"), 415),
        ("POST", headers(BODY, content_type="application/json; charset=utf-7"), 415),
        ("POST", (*headers(BODY), (b"Content-Type", b"text/plain")), 415),
        ("POST", headers(BODY, content_type='application/json; charset="utf-8'), 415),
        ("POST", headers(BODY, content_type="application/json; charset=utf-8; x=y"), 415),
        ("POST", headers(BODY, content_type="application/json, text/plain"), 415),
        ("POST", (), 415),
        ("POST", (*headers(BODY), (b"Content-Encoding", b"gzip")), 415),
        ("POST", (*headers(BODY), (b"Content-Encoding", b"identity"), (b"Content-Encoding", b"br")), 415),
    ],
)
def test_what_stands_before_the_body_is_judged_first(
    method: str, fields: tuple[tuple[bytes, bytes], ...], status: int
) -> None:
    outcome = refuse_head(method, Headers(fields), "github")

    assert outcome is not None
    assert outcome.status == status


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON; charset=UTF-8",
        'application/json;charset="utf-8"',
        "application/x-www-form-urlencoded",
    ],
)
def test_githubs_content_types_pass(content_type: str) -> None:
    assert refuse_head("POST", Headers(headers(BODY, content_type=content_type)), "github") is None


@pytest.mark.parametrize(
    ("changes", "actor"),
    [
        ({}, "ada"),
        ({"sender": {"login": "dependabot[bot]"}}, "dependabot[bot]"),
        ({"sender": None}, "ada"),
        ({"sender": None, "pusher": {"name": "ada@example.org"}}, None),
        ({"sender": None, "pusher": None}, None),
    ],
)
def test_who_pushed_is_a_login_never_an_address(changes: dict[str, Any], actor: str | None) -> None:
    assert accepted(receive(request(payload(**changes)), SOURCE, NOW)).actor == actor


@pytest.mark.parametrize(
    ("pushed", "expected"),
    [
        (1_772_366_395, datetime(2026, 3, 1, 11, 59, 55, tzinfo=UTC)),
        ("2026-03-01T11:59:55Z", None),
        (0, None),
        (-1, None),
        (1_772_366_395_000, None),
        (True, None),
        (None, None),
    ],
)
def test_when_it_was_pushed_is_taken_where_it_makes_sense(pushed: object, expected: datetime | None) -> None:
    """It is in whole seconds in a push, in words in other events; a wrong one is no reason to lose the push."""
    value = payload(repository={"clone_url": "https://github.com/acme/site", "pushed_at": pushed})

    assert accepted(receive(request(value), SOURCE, NOW)).hops.pushed == expected


@pytest.mark.parametrize("delivery", [(), (b"",), (b"a b",), (b"<script>",), (b"x" * 65,), (b"1", b"2")])
def test_a_delivery_without_a_usable_id_is_known_by_its_body(delivery: tuple[bytes, ...]) -> None:
    rest = tuple(field for field in headers(BODY) if field[0] != b"X-GitHub-Delivery")
    fields = rest + tuple((b"X-GitHub-Delivery", value) for value in delivery)

    outcome = receive(Request(headers=Headers(fields), body=BODY, received=NOW), SOURCE, NOW)

    assert isinstance(outcome, Accepted)
    assert outcome.delivery == outcome.digest == body_digest(BODY)


def signed(body: bytes, content_type: str = "application/json") -> Request:
    return Request(headers=Headers(headers(body, content_type=content_type)), body=body, received=NOW)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the body is not JSON in UTF-8"),
        (b"[]", "the body is not a JSON object"),
        (b'\xef\xbb\xbf{"ref": "x"}', "the body is not JSON in UTF-8"),
        ('{"ref": "x"}'.encode("utf-16"), "the body is not JSON in UTF-8"),
        (b'{"ref": NaN}', "the body is not JSON in UTF-8"),
        (b'{"ref": "\\ud800"}', "the body is not JSON in UTF-8"),
        (b"[" * 100_000, "the body is not JSON in UTF-8"),
        (b"{}", "ref is missing"),
        (orjson.dumps(payload(ref=["refs/heads/main"])), "ref is not a string"),
        (orjson.dumps(payload(ref="refs/heads/../../x")), "ref is not a ref name that git check-ref-format admits"),
        (
            orjson.dumps(payload(ref="refs/heads/-oProxyCommand")),
            "ref is not a ref name that git check-ref-format admits",
        ),
        (
            orjson.dumps(payload(after="HEAD")),
            "after is not a commit id of 40 or 64 hexadecimal digits, not all zero",
        ),
        (orjson.dumps(payload(before=ZERO, after=ZERO)), "before and after are both zero"),
        (orjson.dumps(payload(repository=None)), "repository.clone_url is missing"),
        (
            orjson.dumps(payload(repository={"clone_url": "https://ada:hunter2@github.com/acme/site"})),
            "repository.clone_url has a password in it",
        ),
        (
            orjson.dumps(payload(repository={"clone_url": "https://github.com/" + "a" * 3000})),
            "repository.clone_url is longer than 2048 characters",
        ),
        (
            orjson.dumps(payload(repository={"clone_url": "https://github.com/acme/site", "ssh_url": "x" * 3000})),
            "repository.ssh_url is longer than 2048 characters",
        ),
        (
            orjson.dumps(payload(repository={"clone_url": "file:///etc/passwd"})),
            "repository.clone_url is not a clone URL (https://HOST/PATH, ssh://HOST/PATH or USER@HOST:PATH)",
        ),
        (orjson.dumps(payload(forced="yes")), "forced is not true or false"),
        (orjson.dumps(payload(repository="acme/site")), "repository.clone_url is not in an object"),
    ],
)
def test_an_authentic_body_that_is_no_push_is_400_and_says_where(body: bytes, reason: str) -> None:
    """Bad input gets a clear answer (P11), and its values are not repeated."""
    outcome = receive(signed(body), SOURCE, NOW)

    assert outcome == Rejected(status=400, reason=reason, told=reason)


FORM: Final = b"payload=" + quote_plus(orjson.dumps(payload())).encode()


def test_a_form_of_one_payload_is_read() -> None:
    assert isinstance(receive(signed(FORM, "application/x-www-form-urlencoded"), SOURCE, NOW), Accepted)


def test_no_form_is_read_out_of_a_text_in_json() -> None:
    """The signature covers the body, not the content type: whoever replays it chooses that."""
    pushed_by_a_stranger = orjson.dumps(payload(head_commit={"message": f"?a=1&{FORM.decode()}&b=2"}))
    outcome = receive(signed(pushed_by_a_stranger, "application/x-www-form-urlencoded"), SOURCE, NOW)
    assert isinstance(outcome, Rejected)
    assert outcome.status == 400


@pytest.mark.parametrize(
    "body",
    [
        b"payload=%7B%7D&payload=%7B%7D",
        b"",
        b"other=1",
        b"payload",
        b"payload=",
        b"payload=%ff",
        b"\xff=1",
        FORM + b"&other=1",
        FORM + b"&other=",
        b"other=1&" + FORM,
    ],
)
def test_a_form_without_exactly_one_payload_is_400(body: bytes) -> None:
    outcome = receive(signed(body, "application/x-www-form-urlencoded"), SOURCE, NOW)

    assert isinstance(outcome, Rejected)
    assert outcome.status == 400


@pytest.mark.parametrize("path", list(places(payload())), ids=lambda path: ".".join(map(str, path)))
def test_no_odd_value_anywhere_in_a_push_is_more_than_a_400(path: tuple[Any, ...]) -> None:
    """Each in turn is of another type, empty, huge or missing: there is an outcome, never an exception."""
    for odd in spoiled(payload(), path):
        outcome = receive(request(odd), SOURCE, NOW)
        assert isinstance(outcome, Accepted | Ignored) or outcome.status == 400


header_fields = st.lists(
    st.tuples(
        st.sampled_from([b"content-type", b"x-hub-signature-256", b"x-github-event", b"x-github-delivery"])
        | st.binary(max_size=20),
        st.binary(max_size=80),
    ),
    max_size=8,
).map(tuple)


@given(fields=header_fields, body=st.binary(max_size=300))
def test_receiving_raises_for_no_input(fields: tuple[tuple[bytes, bytes], ...], body: bytes) -> None:
    """Without the secret every input is rejected with 401, whatever is in it."""
    outcome = receive(Request(headers=Headers(fields), body=body, received=NOW), SOURCE, NOW)

    assert isinstance(outcome, Rejected)
    assert outcome.status == 401


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["ref", "before", "after", "repository", "clone_url", "sender"]), inner)
    ),
    max_leaves=12,
)


@given(value=json_values, form=st.booleans(), event=st.sampled_from(["push", "ping", "create", ""]))
def test_any_signed_json_has_an_outcome(value: Any, form: bool, event: str) -> None:
    """The holder of the secret cannot make the gateway fail either: it is accepted, ignored, or 400."""
    outcome = receive(request(value, event=event, form=form), SOURCE, NOW)

    assert isinstance(outcome, Accepted | Ignored) or outcome.status == 400
