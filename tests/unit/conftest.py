"""Settings of the property tests."""

from hypothesis import settings

# A busy machine is slow: how long one example takes says nothing.
settings.register_profile("arq", deadline=None, max_examples=60)
settings.load_profile("arq")
