"""The parent's loop: wait, turn what happened into events, do what the machine orders."""
