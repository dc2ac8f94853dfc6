"""The `bellpull` command: the top layer, the only one that knows both programs."""
