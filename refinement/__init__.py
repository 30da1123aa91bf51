"""The train-and-reannotate loop: home of the student, the merge and the gate."""
