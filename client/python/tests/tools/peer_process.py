"""Puts and gets with the released client, in a process of its own: both packages import as
`vineyard`.

Started by test_cross_reading.py with the interpreter of an environment that has the released
package. Reads one JSON command a line, answers with one JSON line:

    {"do": "put", "case": NAME}              {"id": ID} or {"error": TEXT}
    {"do": "own", "case": NAME}              {"value": TEXT} or {"error": TEXT}: its own round trip
    {"do": "get", "id": ID}                  {"value": TEXT} or {"error": TEXT}
    {"do": "global", "of": "dataframe"}      {"id": ID}: of two partitions; also "tensor"
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
warnings.filterwarnings("ignore")

import vineyard  # noqa: E402
from data_cases import CASES  # noqa: E402
from data_plain import plain  # noqa: E402
from vineyard.data.dataframe import make_global_dataframe  # noqa: E402
from vineyard.data.tensor import make_global_tensor  # noqa: E402


def answer(client: Any, command: dict[str, Any]) -> dict[str, Any]:
    if command["do"] == "get":
        return {"value": text(client.get(vineyard.ObjectID(command["id"])))}
    if command["do"] == "global":
        return {"id": repr(make_global(client, command["of"]))}
    object_id = client.put(CASES[command["case"]][1]())
    if command["do"] == "put":
        return {"id": repr(object_id)}
    return {"value": text(client.get(object_id))}


def make_global(client: Any, kind: str) -> Any:
    make = dict(dataframe=make_global_dataframe, tensor=make_global_tensor)[kind]
    name = dict(dataframe="pandas.DataFrame eight", tensor="numpy.ndarray float64")[kind]
    blocks = [client.put(CASES[name][1]()) for _ in range(2)]
    for block in blocks:
        client.persist(block)
    return make(client, blocks).id


def text(value: Any) -> str:
    if isinstance(value, vineyard.Object):
        raise TypeError(f"no resolver: got the object itself: {value!r}")
    # Some values the released client makes are broken until they are looked at.
    str(value)
    return plain(value)


def main() -> None:
    client = vineyard.connect(sys.argv[1])
    for line in sys.stdin:
        try:
            reply = answer(client, json.loads(line))
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
