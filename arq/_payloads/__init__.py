"""Jobs and results as bytes of arq's format: written, read, and what is said of those that can't be. No I/O."""
