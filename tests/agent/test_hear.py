from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.hear import ACKS, Ack, Heard, Hearing, concerns, hear
from bellpull.contract.event import Resync
from bellpull.contract.message import Message, encode
from bellpull.contract.report import Heartbeat, Watches
from bellpull.contract.repository import Ref, Repository
from bellpull.contract.seal import PinnedKey, SealType, seal
from bellpull.contract.text import MessageId, Name, Note, SyncName
from bellpull.runtime.jose import generate
from tests.agent.events import push

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = generate()
STRANGER = generate()
KEYS: Mapping[str, PinnedKey] = {KEY.kid: PinnedKey(verifier=KEY.public)}


def heard(
    body: bytes, *, seal_type: SealType = SealType.EVENT, audience: str = "acme", signer: object = KEY
) -> Heard:
    sealed = seal(body, seal_type=seal_type, audience=audience, now=NOW, signer=signer)  # type: ignore[arg-type]
    return hear(sealed, body, installation="acme", keys=KEYS, now=NOW)


def message(data: Resync | Heartbeat) -> bytes:
    return encode(Message(id=MessageId("m"), source="//acme/sources/x", time=NOW, data=data))


RESYNC = message(Resync(reason=Note("a hole")))
HEARTBEAT = message(Heartbeat(agent=Name("a"), environment=Name("e"), epoch=1, seq=1, version="0", syncs=0, state=""))


def test_a_sealed_event_is_recorded() -> None:
    result = heard(RESYNC)

    assert result.hearing is Hearing.RECORDED
    assert result.message is not None
    assert result.message.data == Resync(reason=Note("a hole"))


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        pytest.param(
            lambda: hear("", RESYNC, installation="acme", keys=KEYS, now=NOW), Hearing.UNSEALED, id="no seal"
        ),
        pytest.param(lambda: heard(RESYNC, signer=STRANGER), Hearing.UNSEALED, id="a key that is not pinned"),
        pytest.param(lambda: heard(RESYNC, audience="other"), Hearing.UNSEALED, id="another installation's"),
        pytest.param(lambda: heard(RESYNC, seal_type=SealType.REPORT), Hearing.UNSEALED, id="sealed as a report"),
        pytest.param(lambda: heard(b"{}"), Hearing.UNDECODABLE, id="sealed, and no message"),
        pytest.param(lambda: heard(HEARTBEAT), Hearing.UNDECODABLE, id="a heartbeat is no event"),
        pytest.param(
            lambda: heard(RESYNC.replace(b"resync.v1", b"resync.v2")),
            Hearing.UNDECODABLE,
            id="a higher major version",
        ),
        pytest.param(
            lambda: heard(RESYNC.replace(b"bellpull.resync", b"bellpull.later")), Hearing.SKIPPED, id="a later type"
        ),
    ],
)
def test_what_is_not_an_event_for_us_is_not_recorded(result: object, expected: Hearing) -> None:
    """Only what the pinned keys sealed, for this installation, as an event, reaches the inbox (R27)."""
    outcome: Heard = result()  # type: ignore[operator]

    assert outcome.hearing is expected
    assert outcome.message is None
    assert outcome.why


@given(seal_text=st.text(max_size=200), body=st.binary(max_size=200))
def test_hearing_raises_for_no_input(seal_text: str, body: bytes) -> None:
    """Whatever comes is recorded or refused, and without a seal it is refused."""
    assert hear(seal_text, body, installation="acme", keys=KEYS, now=NOW).hearing is Hearing.UNSEALED


def test_every_hearing_has_an_acknowledgement() -> None:
    """The rule is a table, and it is complete; what waits for an acknowledgement is only what we never looked at."""
    assert set(ACKS) == set(Hearing)
    assert [hearing for hearing, ack in ACKS.items() if ack is Ack.LEAVE] == [Hearing.STOPPING]


SYNCS = {
    SyncName("default/site"): Watches(
        repository=Repository.from_url("https://git.example/acme/site"), ref=Ref.parse("refs/heads/main")
    ),
    SyncName("default/tag"): Watches(
        repository=Repository.from_url("https://git.example/acme/site"), ref=Ref.parse("refs/tags/main")
    ),
    SyncName("default/other"): Watches(
        repository=Repository.from_url("https://git.example/acme/other"), ref=Ref.parse("refs/heads/main")
    ),
}


@pytest.mark.parametrize(
    ("url", "ref", "expected"),
    [
        ("https://git.example/acme/site.git", "refs/heads/main", ["default/site"]),
        ("ssh://git@git.example:2222/Acme/Site", "refs/heads/main", ["default/site"]),
        ("git@git.example:acme/site.git", "refs/tags/main", ["default/tag"]),
        ("https://git.example/acme/site", "refs/heads/other", []),
        ("https://git.example/acme/site2", "refs/heads/main", []),
    ],
)
def test_an_event_concerns_the_syncs_that_watch_its_ref(url: str, ref: str, expected: list[str]) -> None:
    """Names of one repository meet whatever scheme, user, port, case and ending they come with (R25)."""
    assert list(concerns(push(url, ref), SYNCS)) == expected


def test_a_resync_concerns_its_repository_or_all() -> None:
    site = Repository.from_url("https://git.example/acme/site")

    assert list(concerns(Resync(reason=Note("")), SYNCS)) == list(SYNCS)
    assert list(concerns(Resync(reason=Note(""), repository=site), SYNCS)) == ["default/site", "default/tag"]
