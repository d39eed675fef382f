"""The tests: one file per module; what they share is in `strategies.py`."""
