"""The same faults against arq-supervise and other process managers: `python -m benchmarks.faults --help`.

Read `catalogue.py` first (which faults there are), then `scene.py` (one running pool), then a module of faults
(`stopping.py` for example), then `verdicts.py` (what an observation means), then `page.py` (the table).
"""
