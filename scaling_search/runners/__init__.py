"""What has a plan trained: in this process, on Ray Tune or from a recorded table. Knows nothing of networks."""
