"""Flax networks: the blocks they share, and EfficientNet at any (depth, width, resolution)."""
