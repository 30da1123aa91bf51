"""Tables 2 and 3 and Figure 5 of FLD-5B for a dataset."""
