#!/usr/bin/env python3
"""Bytes that died with their node are one error, at once, that names the object and the node; the metadata stays.

usage: lost_bytes.py put SOCKET            prints ID INSTANCE of a persisted array
       lost_bytes.py get SOCKET ID INSTANCE  after that instance was killed: every way to read must fail as promised
"""
import sys
import time

import numpy as np
import vineyard

SAID_WITHIN_S = 1.0


def put(client):
    object_id = client.put(np.arange(4096.0), persist=True, name="lost-bytes")
    print(repr(object_id).strip("'"), client.instance_id)


def get(client, text, instance):
    object_id = vineyard.ObjectID(text)
    meta = client.get_meta(object_id)
    assert meta.typename.startswith("vineyard::Tensor"), meta
    blob = repr(meta["buffer_"].id).strip("'")
    assert client.get_name("lost-bytes") == object_id
    ways = {
        "get(id)": lambda: client.get(object_id),
        "get(name)": lambda: client.get(name="lost-bytes"),
        "get(id, fetch=True)": lambda: client.get(object_id, fetch=True),
        "get_blob": lambda: client.get_blob(vineyard.ObjectID(blob)),
    }
    failed = False
    for way, read in ways.items():
        started = time.monotonic()
        refused = False
        try:
            said = f"returned {read()!r}"
        except Exception as error:  # whatever class the client chooses: what it says is what counts
            refused, said = True, f"{type(error).__name__}: {error}"
        took = time.monotonic() - started
        names_object = text in said or blob in said
        names_node = f"i{instance}" in said or f"instance {instance}" in said
        good = refused and names_object and names_node and took < SAID_WITHIN_S
        failed |= not good
        print(f"{'ok  ' if good else 'FAIL'} {way} after {took:.3f} s: {said[:200]}")
    sys.exit(failed)


verb, socket, *rest = sys.argv[1:]
connection = vineyard.connect(socket)
put(connection) if verb == "put" else get(connection, *rest)
