"""The verbs of the wrapper client, one file per kind; `vineyard.core.client` has all of them."""
