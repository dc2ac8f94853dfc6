import pytest

from bellpull.contract.errors import ContractError
from bellpull.contract.event import Tick
from bellpull.contract.message import Data
from bellpull.contract.report import Heartbeat, Report
from bellpull.contract.text import Name, SyncName
from gateway.core.audience import may_hear
from gateway.core.scope import InScope, OutOfScope, scope
from tests.gateway.examples import PRODUCTION, WEB, heartbeat, report, sync_state

PATTERNS = ("github.com/acme/*",)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(report(), None, id="its own report"),
        pytest.param(heartbeat(), None, id="its own heartbeat"),
        pytest.param(report(path="ACME/Site"), None, id="case is no matter"),
        pytest.param(report(agent=Name("web-2")), "another agent", id="a report in another's name"),
        pytest.param(heartbeat(agent=Name("web-2")), "another agent", id="a heartbeat in another's name"),
        pytest.param(report(environment=Name("staging")), "environment", id="another environment"),
        pytest.param(heartbeat(environment=Name("staging")), "environment", id="there says the heartbeat too"),
        pytest.param(report(path="other/site"), "repository", id="a foreign repository"),
        pytest.param(Tick(agent=WEB, sent=1), "reports and heartbeats", id="an event"),
    ],
)
def test_an_agent_speaks_for_itself_only(data: Data, reason: str | None) -> None:
    """R26: agent, environment and repository are those of the enrolment record."""
    decision = scope(data, agent=WEB, environments=(PRODUCTION,), repositories=PATTERNS)
    if reason is None:
        assert isinstance(data, Report | Heartbeat)
        assert decision == InScope(data=data)
    else:
        assert isinstance(decision, OutOfScope)
        assert reason in decision.reason


def test_foreign_syncs_of_a_heartbeat_are_left_out_and_named() -> None:
    """The agent is there all the same; only what it may not speak of is not kept."""
    own, foreign = sync_state(), sync_state(path="other/site", sync=SyncName("default/foreign"))
    decision = scope(heartbeat(full=(foreign, own)), agent=WEB, environments=(PRODUCTION,), repositories=PATTERNS)
    assert decision == InScope(data=heartbeat(full=(own,)), left_out=(SyncName("default/foreign"),))


def test_a_name_that_is_there_twice_smuggles_nothing_in() -> None:
    """R26: the state counts, not the name; and no heartbeat has one Sync twice."""
    own, foreign = sync_state(), sync_state(path="other/site")
    assert own.sync == foreign.sync
    decision = scope(heartbeat(full=(foreign,)), agent=WEB, environments=(PRODUCTION,), repositories=PATTERNS)
    assert decision == InScope(data=heartbeat(full=()), left_out=(own.sync,))
    with pytest.raises(ContractError, match="twice"):
        heartbeat(full=(own, foreign))


@pytest.mark.parametrize(
    ("repository", "hears"),
    [
        pytest.param("github.com/acme/site", True, id="a repository of its record"),
        pytest.param("github.com/other/site", False, id="another"),
        pytest.param("", True, id="an event about no repository is for all"),
    ],
)
def test_who_may_hear_an_event(repository: str, *, hears: bool) -> None:
    """R15."""
    assert may_hear(PATTERNS, repository) is hears
