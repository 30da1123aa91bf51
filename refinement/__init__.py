"""The train-and-reannotate loop, room by room: labels; student and merge; gate; training; loop."""
