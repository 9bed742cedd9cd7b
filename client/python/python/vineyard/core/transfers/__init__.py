"""Bytes that go over the network: put and fetched blob by blob, with a progress bar."""
