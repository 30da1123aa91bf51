"""The gate: what gold measures of labels before and after a round, and whether they may change."""
