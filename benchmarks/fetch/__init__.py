"""Addresses per second of stage fetch beside img2dataset."""
