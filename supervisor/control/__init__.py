"""The control socket: where it is, whose it is, its server in the parent and its client."""
