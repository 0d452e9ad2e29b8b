"""Messages between the nodes that serve the same documents: fast, and nothing depends on them."""
