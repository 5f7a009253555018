"""Benchmarks of arq against its peers. See README.md."""
