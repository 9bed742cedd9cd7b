"""Reads that several processes share, each with the files that it can see and the node beside it.

`ranks`: the processes are there already, and find each other by a `run_id`. `board`: the notes that
they leave for each other in the cluster. `hosts`: the processes are started, by ssh or kubectl, and
each is a `remote`. `messages`: what these are told and what they answer. `here`: which hosts need
no process.
"""
