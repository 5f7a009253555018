"""`python -m supervisor`."""

from supervisor.early import stop_at_once_until_ready_to_stop

if __name__ == "__main__":
    stop_at_once_until_ready_to_stop()

    from supervisor.cli import cli

    cli(prog_name="arq-supervise")
