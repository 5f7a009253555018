"""Fork, exec, signals and reaping: the only place where processes come and go."""
