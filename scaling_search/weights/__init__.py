"""Weights in and out: safetensors and NumPy archives, in the names of other implementations. Nothing is unpickled."""
