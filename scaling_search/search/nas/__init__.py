"""Neural architecture search: find the baseline that STEP 1 scales (section 4 of the paper)."""
