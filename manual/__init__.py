"""Makes the pages of reference in docs/, and checks the built site."""
