"""What wrote the files in data/runs: each module is a command, `python -m tools.measure.NAME`."""
