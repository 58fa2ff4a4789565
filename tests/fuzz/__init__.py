"""Fuzzing of everything that reads what others may have written: `python -m tests.fuzz TARGET --inputs N --seed S`.

A target is a reader as a pure function of bytes, with valid seeds and a way to alter them that knows their structure.
It ends well or in the error that the reader documents; all else is a finding, and the input is saved.
"""
