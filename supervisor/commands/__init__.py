"""What the command answers without running a pool: --check, --ctl, --check-settings, --print-unit."""
