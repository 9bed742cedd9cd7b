"""Reads that several processes share, each with the files that it can see and the node beside it.

`ranks`: the processes are there already, and find each other by a `run_id`. `board`: the notes that
they leave for each other in the cluster. `here`:
which hosts are this machine.
"""
