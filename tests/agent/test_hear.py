from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.hear import ACKS, Ack, Heard, Hearing, concerns, hear, shows_nothing
from bellpull.contract.event import Resync, StateRequested, Tick
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


def message(data: Resync | Heartbeat | StateRequested | Tick) -> bytes:
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
        pytest.param(lambda: heard(RESYNC, signer=STRANGER), Hearing.KEY_UNKNOWN, id="a key that is not pinned"),
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


@pytest.mark.parametrize(
    ("result", "now", "why"),
    [
        pytest.param(heard(RESYNC), NOW, "", id="just now"),
        pytest.param(heard(RESYNC), NOW + timedelta(minutes=2), "", id="two minutes ago"),
        pytest.param(heard(RESYNC), NOW + timedelta(days=7), "sealed 604800 s ago", id="a week ago"),
        pytest.param(heard(RESYNC), NOW - timedelta(minutes=3), "sealed -180 s ago", id="of the future"),
        pytest.param(heard(message(Tick(agent=Name("web-1"), sent=0))), NOW, "", id="its own tick"),
        pytest.param(heard(message(Tick(agent=Name("web-2"), sent=0))), NOW, "is for web-2", id="another's tick"),
        pytest.param(
            heard(message(StateRequested(agent=Name("web-2")))), NOW, "is for web-2", id="another's request"
        ),
        pytest.param(heard(RESYNC.replace(b"resync.v1", b"later.v1")), NOW, "", id="of a later version"),
        pytest.param(heard(RESYNC, signer=STRANGER), NOW, "no pinned key", id="not sealed by the gateway"),
    ],
)
def test_what_shows_that_the_way_is_open(result: Heard, now: datetime, why: str) -> None:
    """R31: who holds back what gateways say cannot hide it by playing again what they said before."""
    shows = shows_nothing(result, agent="web-1", now=now)
    assert bool(shows) == bool(why)
    assert why in shows
