"""Rules that users write in CEL."""

from typing import Any

import pytest
from pydantic import ValidationError

from agent.core.health import EXTENDED, Status, judge
from agent.core.health.expressions import ExpressionError, compiled, own_rule
from agent.spec.target import KubernetesTarget
from bellpull.runtime.clock import utc_now
from tests.agent.health.samples import condition, of

NOW = utc_now()
READY = "status.conditions.filter(c, c.type == 'Ready').all(c, c.status == 'True')"
RULES = EXTENDED.with_own(
    {
        "x.example/Thing": own_rule(
            is_current="status.phase == 'Ready'",
            is_in_progress="has(status.busy) && status.busy",
            is_failed="status.phase == 'Broken'",
        ),
        "y.example/": own_rule(is_current=READY),
        "Pod": own_rule(is_current="metadata.name.startsWith('o') && spec.size() == 0 && apiVersion == 'v1'"),
    }
)


def thing(**status: Any) -> dict[str, Any]:
    return of("Thing", "x.example/v7", {}, status)


@pytest.mark.parametrize(
    ("item", "status", "said"),
    [
        (thing(phase="Ready"), "Current", "status.phase == 'Ready'"),
        (thing(phase="Broken"), "Failed", "It is so that status.phase == 'Broken'"),
        (thing(phase="Ready", busy=True), "InProgress", "busy"),
        (thing(phase="Other"), "InProgress", "It is not so that status.phase == 'Ready'"),
        (thing(), "Unknown", 'Key not found in map : "phase"'),
        (of("Thing", "x.example/v1"), "Unknown", "phase"),
        (of("Thing", "x.example/v1", status=7), "Unknown", "status is no mapping"),
        (thing(phase=[1]), "InProgress", "It is not so"),
        (of("Other", "y.example/v1", {}, {"conditions": [condition("Ready", "True")]}), "Current", ""),
        (of("Other", "y.example/v1", {}, {"conditions": [condition("Ready", "False")]}), "InProgress", ""),
        (of("Pod", "v1", {}, {"phase": "Failed"}), "Current", ""),
        (of("Thing", "x.example/v1", {}, {"phase": "Ready"}, deletionTimestamp="now"), "Terminating", ""),
        (
            of("Thing", "x.example/v1", {}, {"phase": "Ready", "observedGeneration": 1}, generation=2),
            "InProgress",
            "not observed",
        ),
        (
            of("Thing", "x.example/v1", {}, {"phase": "Ready", "conditions": [condition("Stalled", "True")]}),
            "Current",
            "",
        ),
        (thing(phase="Ready", number=2**70), "Unknown", ""),
    ],
)
def test_they_judge(item: dict[str, Any], status: str, said: str) -> None:
    """In place of what else is known of the kind, but deletion and generation."""
    found = judge(item, NOW, rules=RULES)
    assert found.status == status, found
    assert said in found.message


def test_what_would_take_for_ever_is_cut_off() -> None:
    ten = str(list(range(10)))
    deep = "true"
    for name in "abcdefgh":
        deep = f"{ten}.all({name}, {deep})"
    found = judge(thing(phase="Ready"), NOW, rules=EXTENDED.with_own({"x.example/Thing": own_rule(is_current=deep)}))
    assert found.status is Status.UNKNOWN
    assert "budget" in found.message


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("status.phase ==", r"is no CEL expression: <input>:1:16: Syntax error"),
        ("nobody == 1", "undeclared reference to 'nobody'"),
        ("'text'", "is no condition: it is a STRING"),
        ("status.phase", None),
    ],
)
def test_what_is_no_condition_is_said(text: str, problem: str | None) -> None:
    if problem is None:
        assert compiled(text) is not None
        return
    with pytest.raises(ExpressionError, match=problem):
        compiled(text)


@pytest.mark.parametrize(
    ("exprs", "wait", "problem"),
    [
        ([{"apiVersion": "x.example/v1", "kind": "T", "current": "1 +"}], True, "is no CEL expression"),
        ([{"apiVersion": "x.example/v1", "kind": "T"}], True, "current"),
        ([{"apiVersion": "x.example/", "current": "true"}], True, "is no apiVersion"),
        (
            [{"apiVersion": f"x.example/v{n}", "kind": "T", "current": "true"} for n in (1, 2)],
            True,
            "healthExprs has x.example/T twice",
        ),
        ([{"apiVersion": "x.example/v1", "current": "true"}], False, "only asked with wait: true"),
    ],
)
def test_a_sync_with_wrong_ones_is_refused(exprs: list[Any], wait: bool, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        KubernetesTarget.model_validate({"wait": wait, "healthExprs": exprs})


def test_a_sync_names_kinds_and_groups() -> None:
    written = [
        {"apiVersion": "v1", "kind": "Pod", "current": "true"},
        {"apiVersion": "x.example/v1", "kind": "T", "current": "true"},
        {"apiVersion": "x.example/v1", "current": "true"},
        {"apiVersion": "v1", "current": "true"},
    ]
    target = KubernetesTarget.model_validate({"wait": True, "healthExprs": written})
    assert [each.key for each in target.health_exprs] == ["Pod", "x.example/T", "x.example/", "/"]
