"""The parts of `arq.admin`: one module for each subject.

A state of jobs that is kept elsewhere than in the queue is one module with a `page` function, and one row in
`listing.PAGES`.
"""
