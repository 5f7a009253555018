"""What this host and this process are: CPUs, memory, descriptors, title. Knows no pool."""
