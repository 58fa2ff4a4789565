"""A plan on Ray Tune."""
