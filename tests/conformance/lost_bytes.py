#!/usr/bin/env python3
"""Bytes that died with their node are one error, at once, that names the object and the node; the metadata stays.

usage: lost_bytes.py put SOCKET                  prints ID BLOB INSTANCE of a persisted and named array
       lost_bytes.py get SOCKET ID BLOB INSTANCE after that instance was killed: every way to read must fail as promised
"""
import sys
import time

import numpy as np
import vineyard

NAME = "lost-bytes"
SAID_WITHIN_S = 1.0


def show(object_id):
    return repr(object_id).strip("'")


def put(client):
    object_id = client.put(np.arange(4096.0), persist=True, name=NAME)
    blob = client.get_meta(object_id)["buffer_"].id
    print(show(object_id), show(blob), client.instance_id)


def get(client, shown, blob, instance):
    object_id = vineyard.ObjectID(shown)
    assert client.get_name(NAME) == object_id
    listed = client.list_metadatas("vineyard::Tensor*", limit=10, nobuffer=True)
    assert [show(meta.id) for meta in listed] == [shown], listed
    # The released client maps the bytes whenever it gets a metadata: that is a read too.
    ways = {
        "get_meta(id)": lambda: client.get_meta(object_id),
        "get(id)": lambda: client.get(object_id),
        "get(name)": lambda: client.get(name=NAME),
        "get(id, fetch=True)": lambda: client.get(object_id, fetch=True),
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
        names_object = shown in said and blob in said
        names_node = f"instance i{instance}" in said
        good = refused and names_object and names_node and took < SAID_WITHIN_S
        failed |= not good
        print(f"{'ok  ' if good else 'FAIL'} {way} after {took:.3f} s: {said[:250]}")
    sys.exit(failed)


verb, socket, *rest = sys.argv[1:]
connection = vineyard.connect(socket)
put(connection) if verb == "put" else get(connection, *rest)
