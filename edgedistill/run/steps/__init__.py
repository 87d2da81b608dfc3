"""The steps of a run, one file each; loaded only when a step is to be done."""
