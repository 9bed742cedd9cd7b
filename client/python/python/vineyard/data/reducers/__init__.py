"""How values of numpy, pandas, pyarrow and polars are pickled, one file for each library.

Promise: what is pickled names functions that every supported version of the library has, so that
each reads what the others wrote, and the released client reads it without this package. What a
function here gives is compared with the value where a library's constructor may change it.

What may not go into these files: anything about trees, blobs or clients.
"""
