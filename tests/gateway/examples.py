"""Messages and times for the gateway's tests."""

from datetime import UTC, datetime, timedelta

from bellpull.contract.event import Assurance, Canary, Delivery, EventHops, RefUpdated
from bellpull.contract.ids import event_id
from bellpull.contract.message import Message
from bellpull.contract.report import (
    Heartbeat,
    Outcome,
    Report,
    ReportHops,
    SyncState,
    Trigger,
    TriggerKind,
    Watches,
)
from bellpull.contract.repository import Ref, Repository
from bellpull.contract.text import CommitId, Host, MessageId, Name, RepositoryPath, SyncName
from bellpull.contract.word import Word

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
GITHUB = Name("github")


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def commit(number: int) -> CommitId:
    return CommitId(f"{number:040x}")


def repository(path: str = "acme/site") -> Repository:
    url = f"https://github.com/{path}"
    return Repository(host=Host("github.com"), path=RepositoryPath(path), clone_urls=(url,))


def delivery(number: int | str = 1) -> Delivery:
    return Delivery(provider=GITHUB, source=GITHUB, id=f"d{number}", assurance=Assurance.SIGNATURE)


def push(
    number: int = 1,
    *,
    path: str = "acme/site",
    ref: str = "refs/heads/main",
    after: int | None = None,
    at: datetime = T0,
) -> Message:
    """Return what delivery `number` says: `ref` is at commit `after` (else the delivery's number) now."""
    return Message(
        id=event_id(GITHUB, f"d{number}", ref),
        source="/hooks/github",
        time=at,
        data=RefUpdated(
            repository=repository(path),
            ref=Ref.parse(ref),
            before=commit(10_000),
            after=commit(number if after is None else after),
            created=False,
            deleted=False,
            forced=False,
            actor="octocat",
            delivery=delivery(number),
            hops=EventHops(received=at, accepted=at),
        ),
    )


def canary(number: int = 1, *, at: datetime = T0) -> Message:
    data = Canary(delivery=delivery(number), hops=EventHops(received=at, accepted=at))
    return Message(id=event_id(GITHUB, f"d{number}", "canary"), source="/hooks/github", time=at, data=data)


WEB, PRODUCTION, SITE = Name("web-1"), Name("production"), SyncName("default/site")
MAIN = Ref.parse("refs/heads/main")


def watches(path: str = "acme/site", ref: Ref = MAIN) -> Watches:
    return Watches(repository=repository(path), ref=ref)


def report(
    seq: int = 1,
    *,
    epoch: int = 1,
    agent: Name = WEB,
    environment: Name = PRODUCTION,
    path: str = "acme/site",
    word: Word = Word.APPLIED,
    took: int = 1,
    events: tuple[MessageId, ...] = (),
    at: datetime = T0,
) -> Report:
    """Return what Sync `default/site` says of commit `took`: a run of two seconds that ended at `at`."""
    return Report(
        agent=agent,
        environment=environment,
        epoch=epoch,
        seq=seq,
        sync=SITE,
        watches=watches(path),
        trigger=Trigger(kind=TriggerKind.EVENTS, events=events),
        word=word,
        hops=ReportHops(started=at - seconds(2), finished=at),
        commit=commit(took),
    )


def sync_state(*outcomes: Outcome, path: str = "acme/site", sync: SyncName = SITE) -> SyncState:
    return SyncState(
        sync=sync,
        watches=watches(path),
        word=Word.APPLIED,
        commit=commit(1),
        applied=commit(1),
        outcomes=outcomes,
    )


def heartbeat(
    seq: int = 1,
    *,
    epoch: int = 1,
    agent: Name = WEB,
    environment: Name = PRODUCTION,
    state: str = "s1",
    full: tuple[SyncState, ...] | None = None,
) -> Heartbeat:
    return Heartbeat(
        agent=agent, environment=environment, epoch=epoch, seq=seq, version="0.1.0", syncs=1, state=state, full=full
    )
