"""What runs in the children: worker, steward, watcher, embedded Redis server."""
