"""What nothing in a root goes by any more."""
