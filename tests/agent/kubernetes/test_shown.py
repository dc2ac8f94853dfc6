"""What a person is shown of objects (P11): differences, and no secret."""

from hypothesis import given
from hypothesis import strategies as st

from agent.core.kubernetes.object import Object
from agent.core.kubernetes.shown import compared


def secret(**data: str) -> Object:
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": str(data)}
    metadata = {"name": "db", "annotations": annotations, "uid": "1", "managedFields": [{}]}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": dict(data)}


def test_a_secret_shows_which_values_differ_and_none_of_them() -> None:
    before, after = compared(
        secret(same="eA==", changed="b2xk", gone="eQ=="), secret(same="eA==", changed="bmV3", new="eg==")
    )
    assert before is not None
    assert after is not None
    assert before["data"] == {"same": "***", "changed": "*** (before)", "gone": "***"}
    assert after["data"] == {"same": "***", "changed": "*** (after)", "new": "***"}


@given(st.dictionaries(st.sampled_from("abc"), st.text("0123456789", min_size=5)), st.booleans(), st.booleans())
def test_no_value_of_a_secret_is_shown(data: dict[str, str], was: bool, comes: bool) -> None:
    """Whether it is there, comes or goes; the copy of kubectl's included."""
    shown = str(compared(secret(**data) if was else None, secret(**data, more="98765") if comes else None))
    assert not any(value in shown for value in (*data.values(), "98765"))


def test_what_the_server_keeps_for_itself_is_no_difference() -> None:
    one: Object = {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": "a", "resourceVersion": "1"},
        "data": {},
    }
    other: Object = {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": "a", "uid": "x"},
        "data": {},
        "status": {},
    }
    before, after = compared(one, other)
    assert before == after == {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}, "data": {}}
    assert one["metadata"]["resourceVersion"] == "1"
