"""Speed against PyTorch and timm, as ratios: `python -m tests.benchmarks`. Nothing here asserts a time."""
