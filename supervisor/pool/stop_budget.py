"""How long a stop takes: one sum, for the pool that stops and for the service manager that waits for it. No I/O."""

# between the end of job_completion_wait and QUIT: workers cancel what still runs, and give it back
MARGIN_S = 10.0
# what a service manager should wait beyond the budget before it kills everybody
MANAGER_MARGIN_S = 10.0


def grace_s(completion_wait_s: float, graceful_timeout_s: float | None) -> float:
    """Seconds from TERM to QUIT; `graceful_timeout_s` is what `--graceful-timeout` says."""
    return completion_wait_s + MARGIN_S if graceful_timeout_s is None else graceful_timeout_s


def stop_budget_s(longest_grace_s: float, kill_timeout_s: float) -> float:
    """Seconds from TERM until nobody is left: from QUIT to ABRT, and from ABRT to KILL, it is the same pause."""
    return longest_grace_s + 2 * kill_timeout_s
