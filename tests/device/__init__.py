"""What needs an accelerator: agreement with the CPU, speed beside timm, trainings a minute, a run. See run.sh."""
