"""Images that show what gold or a user's block lists show: looked up by more than a hash, and left out."""
