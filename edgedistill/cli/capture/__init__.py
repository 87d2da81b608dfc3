"""`edgedistill capture`: one file per verb."""
