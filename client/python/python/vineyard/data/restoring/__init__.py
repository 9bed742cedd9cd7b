"""Pickles read without running what they name: a machine of our own for their opcodes, and one
function for each name that it knows.

Promise: a name that is not listed in `names` is refused, before anything is imported for it.
Nothing on the machine's stack is called: a listed name is looked up in the table, and the table's
function, which is one of the files here, is called. It checks its arguments, and reads no bytes as
addresses.

What may not go into these files: anything that imports a name out of a pickle, that sets attributes
named by one, or that calls an unpickler.
"""
