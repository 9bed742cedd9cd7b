"""A small tree for the tests of the extension."""

BLOB = "vineyard::Blob"


def tree_of(size: int = 1) -> dict:
    """An object of one blob, which is buffer 0."""
    return {"typename": "test::Bytes", "n": size, "buffer_": {"typename": BLOB, "_buffer": 0}}
