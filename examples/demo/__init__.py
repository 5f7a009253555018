"""The demonstration that `make demo` runs: real work in four processes, one of which gets killed."""
