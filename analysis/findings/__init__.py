"""What a run found, each part as a frame or plain data: STEP 1, STEP 2, sweeps, searches, the frontier."""
