"""The sections *Files* and *Streams* of docs/python.md: their code, and the tables of options."""

from __future__ import annotations

import re

from conftest import ROOT
from vineyard.io import _options as options

PAGE = (ROOT / "docs" / "python.md").read_text()
BOTH = PAGE.split("\n### Files\n", 1)[1].split("\n## ", 1)[0]
SECTION = BOTH.split("\n### ", 1)[0]
CODE = re.findall(r"^```python\n(.*?)^```$", BOTH, re.MULTILINE | re.DOTALL)


def test_the_code_runs_as_it_is_written(node, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VINEYARD_IPC_SOCKET", node.socket)
    monkeypatch.delenv("VINEYARD_RPC_ENDPOINT", raising=False)
    assert len(CODE) == 3
    for code in CODE:
        exec(compile(code, "docs/python.md", "exec"), {})


def test_every_option_is_in_a_table_and_every_one_there_exists():
    cells = [line.split("|")[1] for line in SECTION.splitlines() if line.startswith("| `")]
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    known = options.READ.keys() | options.WRITE.keys() | options.CALLS.keys()
    assert named == known | {"filetype", "sep", "chunk_hook"}
    for name in options.SERIALIZE.keys() | options.DESERIALIZE.keys():
        assert f"`{name}" in SECTION
