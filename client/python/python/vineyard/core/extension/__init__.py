"""What the classes of the extension `vineyard._C` get from Python."""
