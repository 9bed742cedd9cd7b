"""The tables that a notebook shows."""

from __future__ import annotations

import vineyard
from vineyard.core.extension.display import size_text


def test_a_status_is_a_table(client):
    html = client.status._repr_html_()
    assert "<table" in html
    assert "256.0 MiB" in html
    assert str(client.status.instance_id) in html


def test_metadata_is_a_table_with_members_to_open(client):
    meta = client.get_meta(client.put(("<script>", [1, 2])))
    html = meta._repr_html_()
    assert "vineyard::Sequence" in html
    assert "<details>" in html
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_large_metadata_is_cut():
    meta = vineyard.ObjectMeta()
    for number in range(100):
        meta[f"key{number:03}"] = "x" * 1000
    html = meta._repr_html_()
    assert "more" in html
    assert len(html) < 30_000


def test_a_blob_shows_its_size_and_head(ipc_client, rpc_client):
    blob_id = ipc_client.put(bytes(range(100)))
    for blob in (ipc_client.get_blob(blob_id), rpc_client.get_remote_blob(blob_id)):
        html = blob._repr_html_()
        assert "100 bytes" in html
        assert "00 01 02" in html


def test_sizes_are_for_people():
    assert [size_text(n) for n in (0, 1023, 1536, 1 << 30)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "1.0 GiB",
    ]
