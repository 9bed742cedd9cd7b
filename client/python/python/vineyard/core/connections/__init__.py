"""Where a client connects to, how a connection is opened, and where to go when a node is full."""
