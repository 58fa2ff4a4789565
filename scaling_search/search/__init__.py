"""The search: which networks to train (STEP 1, STEP 2, NAS), and the driver that has them trained."""
