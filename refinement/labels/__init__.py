"""What a round works on: labelled images, gold, judgements of students, edits and their ledger."""
