"""Objects in folders: `layout` is what lies there, `writing` and `reading` put it there and make
objects of it, and `released` reads the folders of vineyard 0.24.
"""
