"""An inventory as bytes: what is written is read again, and nothing else is taken for one."""

import json
import zlib
from collections.abc import Sequence
from hashlib import blake2b
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.kubernetes.inventory import (
    Contents,
    InventoryDamagedError,
    InventoryNewerError,
    Member,
    Record,
    pack,
    unpack,
)
from agent.core.kubernetes.object import GroupKind, ObjectId

TEXT = st.text(max_size=20)
RECORDS = st.builds(
    Record,
    uid=TEXT,
    desired=TEXT,
    own=TEXT,
    revision=TEXT,
    generation=st.none() | st.integers(0, 2**63),
    rest=TEXT,
)
IDS = st.builds(ObjectId, st.builds(GroupKind, TEXT, TEXT), TEXT, TEXT)
MEMBERS = st.lists(
    st.builds(Member, id=IDS, version=TEXT, record=st.none() | RECORDS),
    unique_by=lambda member: member.id,
    max_size=8,
)


@given(MEMBERS)
def test_what_is_packed_is_read_again(members: Sequence[Member]) -> None:
    for whole in (True, False):
        found = unpack(pack(members, whole=whole))
        assert found == Contents(members={member.id: member for member in members}, whole=whole)


@given(MEMBERS, st.randoms(use_true_random=False))
def test_the_order_does_not_matter(members: list[Member], chance: object) -> None:
    """The same members are the same bytes: an inventory that did not change is not written."""
    packed = pack(members)
    chance.shuffle(members)  # type: ignore[attr-defined]
    assert pack(members) == packed


@given(st.binary(max_size=200) | st.binary(max_size=200).map(zlib.compress))
def test_anything_else_is_damage(packed: bytes) -> None:
    with pytest.raises(InventoryDamagedError):
        unpack(packed)


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(["", "ConfigMap", "shop", "a"], id="no version"),
        pytest.param(["", "ConfigMap", "shop", "a", "v1", "uid"], id="half a record"),
        pytest.param(["", "ConfigMap", "shop", None, "v1"], id="no name"),
        pytest.param(["", "ConfigMap", "shop", "a", "v1", "u", "d", "o", "7", "r", True], id="no generation"),
        pytest.param({"kind": "ConfigMap"}, id="no row"),
    ],
)
def test_a_row_that_no_program_writes_is_damage(row: object) -> None:
    with pytest.raises(InventoryDamagedError):
        unpack(zlib.compress(f'{{"format": 1}}\n{json.dumps(row)}'.encode()))


def test_a_cut_one_is_damage() -> None:
    """Half an inventory would let the other half's objects stay for ever."""
    which = ObjectId(GroupKind("", "ConfigMap"), "shop", "a")
    packed = pack([Member(id=which, version="v1")])
    for end in range(len(packed)):
        with pytest.raises(InventoryDamagedError):
            unpack(packed[:end])


def test_a_newer_format_is_said() -> None:
    with pytest.raises(InventoryNewerError, match="format 2, and this program reads 1"):
        unpack(zlib.compress(b'{"format": 2}'))


def test_a_large_one_is_small() -> None:
    """8,000 members fit into one object of an API server, which takes a megabyte."""
    kind = GroupKind("apps", "Deployment")
    members = [
        Member(id=ObjectId(kind, "shop", f"web-{n}"), version="v1", record=some_record(n)) for n in range(8000)
    ]
    assert len(pack(members)) < 900_000


def some_record(number: int) -> Record:
    """Return one like those of a cluster: hashes and uids do not pack."""
    chance = blake2b(str(number).encode(), digest_size=48).hexdigest()
    uid = str(UUID(hex=chance[:32]))
    return Record(uid=uid, desired=chance[32:64], own=chance[64:], revision=str(10**8 + number), generation=1)
