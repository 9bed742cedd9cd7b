#!/usr/bin/env python3
"""One side of `cargo xtask pairs`: pairs.py NODE SOCKET ENDPOINT, or pairs.py CLUSTER SOCKET_A SOCKET_B.

Prints the names of its rows and how often each runs in one turn, as JSON. Then each line that it reads names a row; it
runs that row for one turn and prints what each run took, in microseconds, as JSON. Runs with any package of that name.
"""

import itertools
import json
import os
import sys
import time

# The released client prints lines of its own.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

import numpy as np
import pandas as pd
import vineyard

small = np.arange(128.0)
mid = np.zeros(1 << 17)
medium = np.ones(1 << 21)
big = np.ones(1 << 23)
frame = pd.DataFrame({f"c{at}": np.arange(128.0) for at in range(8)})
mapping = {"a": 1, "b": [1, 2, 3], "c": "text"}
numbers = itertools.count()


def fresh() -> str:
    return f"p{os.getpid()}-{next(numbers)}"


def node_rows(socket: str, endpoint: str) -> dict:
    client = vineyard.connect(socket)
    host, port = endpoint.rsplit(":", 1)
    rpc = vineyard.connect(host, int(port))
    array, one, plain, table = (client.put(value) for value in (small, 1, mapping, frame))
    large = client.put(big)
    kept = client.put(small, persist=True)
    client.put_name(kept, "kept")

    def put_and_delete(value: object) -> None:
        client.delete(client.put(value))

    return {
        "put ndarray 1 KiB": (20, lambda: client.put(small)),
        "get ndarray 1 KiB": (20, lambda: client.get(array)),
        "put int": (20, lambda: client.put(1)),
        "get int": (20, lambda: client.get(one)),
        "put dict": (10, lambda: client.put(mapping)),
        "get dict": (10, lambda: client.get(plain)),
        "put dataframe 8x128": (4, lambda: client.put(frame)),
        "get dataframe 8x128": (4, lambda: client.get(table)),
        "exists": (40, lambda: client.exists(array)),
        "get_meta": (20, lambda: client.get_meta(array)),
        "put + delete 1 KiB": (10, lambda: put_and_delete(small)),
        "put + delete 1 MiB": (4, lambda: put_and_delete(mid)),
        "put + delete 64 MiB": (1, lambda: put_and_delete(big)),
        "get 64 MiB + sum": (1, lambda: client.get(large).sum()),
        "put + persist": (4, lambda: client.put(small, persist=True)),
        "put + persist + name": (4, lambda: client.put(small, persist=True, name=fresh())),
        "put_name": (4, lambda: client.put_name(kept, "again")),
        "get_name": (20, lambda: client.get_name("kept")),
        "rpc get ndarray 1 KiB": (4, lambda: rpc.get(array)),
        "rpc get 64 MiB": (1, lambda: rpc.get(large)),
    }


def cluster_rows(first: str, second: str) -> dict:
    a, b = vineyard.connect(first), vineyard.connect(second)
    kept = a.put(small, persist=True)

    def visible() -> None:
        made = a.put(small)
        a.persist(made)
        assert b.exists(made)

    def named() -> None:
        name = fresh()
        a.put_name(kept, name)
        assert b.get_name(name) == kept

    def fetched(value: object) -> None:
        made = a.put(value, persist=True)
        b.get(made, fetch=True)
        a.delete(made)

    return {
        "put + persist": (4, lambda: a.put(small, persist=True)),
        "put + persist + name": (4, lambda: a.put(small, persist=True, name=fresh())),
        "persist on A, exists on B": (4, visible),
        "put_name on A, get_name on B": (4, named),
        "get 1 KiB of A on B": (4, lambda: b.get(kept)),
        "put, get(fetch) 1 KiB, delete": (4, lambda: fetched(small)),
        "put, get(fetch) 16 MiB, delete": (1, lambda: fetched(medium)),
    }


def main() -> None:
    where, first, second = sys.argv[1:]
    rows = node_rows(first, second) if where == "NODE" else cluster_rows(first, second)
    print(json.dumps({name: runs for name, (runs, _) in rows.items()}), file=answers, flush=True)
    for line in sys.stdin:
        runs, run = rows[line.rstrip("\n")]
        took = []
        for _ in range(runs):
            begin = time.perf_counter_ns()
            run()
            took.append((time.perf_counter_ns() - begin) / 1e3)
        print(json.dumps(took), file=answers, flush=True)


main()
