"""Jobs and results as bytes: of arq's format, JSON, msgpack, signed; and what is said of those that can't be read."""
