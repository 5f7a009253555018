"""The way to Redis: settings, connections, the scripts with their arguments and answers, and what its errors mean."""
