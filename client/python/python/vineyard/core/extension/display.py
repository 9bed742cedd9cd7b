"""Small HTML tables of a status, of metadata and of blobs, for notebooks.

Promise: bounded, whatever the size of the object; all text is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

ROWS_MAX = 50
DEPTH_MAX = 3
BYTES_SHOWN = 32
TEXT_SHOWN = 200
LEFT = "style='text-align:left'"


def size_text(size_bytes: int) -> str:
    """A number of bytes for people (str): ``48 B``, ``1.5 MiB``."""
    size, unit = float(size_bytes), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            break
        size /= 1024
    return f"{size_bytes} B" if unit == "B" else f"{size:.1f} {unit}"


def _table(caption: str, rows: Iterable[tuple[str, str]]) -> str:
    """Cells are HTML already."""
    body = "".join(
        f"<tr><th {LEFT}>{escape(key)}</th><td {LEFT}>{cell}</td></tr>" for key, cell in rows
    )
    return f"<table><caption>{escape(caption)}</caption>{body}</table>"


def status_html(status: Any) -> str:
    """An InstanceStatus as HTML (str), with a bar for its memory."""
    used, limit = status.memory_usage, status.memory_limit
    share = 100 * used / limit if limit else 0
    memory = (
        f"<progress value='{used}' max='{max(limit, 1)}'></progress> "
        f"{size_text(used)} of {size_text(limit)} ({share:.0f} %)"
    )
    names = ("deferred_requests", "ipc_connections", "rpc_connections")
    rows = [("memory", memory), ("deployment", escape(status.deployment))]
    rows += [(name.replace("_", " "), str(getattr(status, name))) for name in names]
    return _table(f"vineyard instance {status.instance_id}", rows)


def meta_html(meta: Any) -> str:
    """An ObjectMeta as HTML (str): its keys, and its members to be opened."""
    tree = meta._tree()
    return _table(
        f"{tree.get('typename', 'ObjectMeta')} {tree.get('id', '')}", _rows(tree, DEPTH_MAX)
    )


def _rows(tree: dict[str, Any], depth: int) -> list[tuple[str, str]]:
    keys = sorted(tree, key=lambda key: (isinstance(tree[key], dict), key))
    rows = [(key, _cell(tree[key], depth)) for key in keys[:ROWS_MAX]]
    if len(keys) > ROWS_MAX:
        rows.append(("…", f"{len(keys) - ROWS_MAX} more"))
    return rows


def _cell(value: Any, depth: int) -> str:
    if not isinstance(value, dict):
        text = str(value)
        return escape(text if len(text) <= TEXT_SHOWN else text[:TEXT_SHOWN] + "…")
    title = escape(f"{value.get('typename', 'member')} {value.get('id', '')}")
    if depth == 0:
        return title
    return f"<details><summary>{title}</summary>{_table('', _rows(value, depth - 1))}</details>"


def blob_html(blob: Any) -> str:
    """A Blob or RemoteBlob as HTML (str): its id, its size and its first bytes."""
    head = bytes(memoryview(blob).cast("B")[:BYTES_SHOWN]) if blob.size else b""
    more = " …" if blob.size > BYTES_SHOWN else ""
    rows = [
        ("size", f"{size_text(blob.size)} ({blob.size} bytes)"),
        ("bytes", f"<code>{head.hex(' ')}{more}</code>"),
    ]
    return _table(f"{type(blob).__name__} {blob.id!r}", rows)
