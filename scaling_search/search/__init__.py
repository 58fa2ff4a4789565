"""Which networks to train (STEP 1, STEP 2, sweeps, NAS), as plans that `scaling_search.runners` carry out."""
