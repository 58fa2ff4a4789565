"""What a person asks for, from a config to findings: the Python API, which the command line calls as a notebook does.

An experiment is set up as a `study.Study`, which checks all that can be checked before anything is trained, and carried
out by `study.carry_out`, the one life cycle of every kind of run.
"""
