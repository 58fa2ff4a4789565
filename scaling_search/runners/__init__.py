"""Runners of plans: in this process, on Ray Tune or from a recorded table. They know nothing of networks."""
