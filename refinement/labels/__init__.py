"""What is said of images, as a round works on it: labels, gold, judgements, edits and their ledger."""
