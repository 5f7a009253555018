"""The fast tests on other servers and other Pythons: `make test-servers`, `make test-pythons`."""
