"""The application that every peer runs in each fault: the same few jobs, written the way that peer wants them.

These files are copied into a directory of their own for each fault, beside a `version.py` that the fault writes.
"""
