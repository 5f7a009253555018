"""Imported by Python itself at its start, as agents and tracers are: opens its log files before anything else runs."""

import os

FILES = [
    open(os.path.join(os.path.dirname(os.path.abspath(__file__)), f"agent.{number}.log"), "a")  # noqa: SIM115
    for number in range(30)
]


def log(text: str) -> int:
    """A line into each file; how many files there are."""
    for file in FILES:
        file.write(f"{text}\n")
        file.flush()
    return len(FILES)
