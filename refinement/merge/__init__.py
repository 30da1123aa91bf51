"""The merge: calibrated scores, and the rules by which labels and a student's are reconciled."""
