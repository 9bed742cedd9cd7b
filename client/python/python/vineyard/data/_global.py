"""Global objects: one object of partitions that lie on several instances."""

from __future__ import annotations

from typing import Any

from vineyard._C import ObjectID, ObjectMeta
from vineyard.data._draft import Tree


def make_global(
    client: Any, typename: str, blocks: list[Any], fields: Tree, extra_meta: Tree | None
) -> ObjectMeta:
    """Creates and persists a global object of `blocks`, which are persisted first.

    Persisting what is persisted already does nothing, so callers need not know whether it is.
    """
    meta = ObjectMeta()
    meta["typename"] = typename
    meta.set_global(True)
    meta["nbytes"] = 0
    meta["partitions_-size"] = len(blocks)
    for key, value in {**fields, **(extra_meta or {})}.items():
        meta[key] = value
    for at, block in enumerate(blocks):
        object_id = block if isinstance(block, ObjectID) else block.id
        client.persist(object_id)
        meta.add_member(f"partitions_-{at}", object_id)
    created: ObjectMeta = client.create_metadata(meta)
    client.persist(created.id)
    return created
