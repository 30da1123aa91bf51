"""What a run would do: its config, the graph of annotators, and what is missing of every step."""
