"""Fuzzing: whatever is read, nothing fails in a way of its own.

`make fuzz` takes about a minute, `make fuzz INPUTS=20000` hours, under another seed each time unless `SEED=7` names one.
Each input has five seconds of work; all of them together two gigabytes.
"""
