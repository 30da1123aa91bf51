"""Three sentences parsed by hand, as spaCy's English pipelines label them, with their counts in the comments."""

from __future__ import annotations

# "A brown dog is chasing two white cats ."  8 words, objects dog cats, attributes brown two white, action chasing.
# Degrees: dog 3 (A, brown, chasing), cats 3 (two, white, chasing), chasing 4 (dog, is, cats, the full stop).
CHASE = (
    *("A/DET/det/2", "brown/ADJ/amod/2", "dog/NOUN/nsubj/4", "is/AUX/aux/4", "chasing/VERB/ROOT/4"),
    *("two/NUM/nummod/7", "white/ADJ/amod/7", "cats/NOUN/dobj/4", "./PUNCT/punct/4"),
)
# "The Eiffel Tower at night"  5 words, objects Tower night, no attribute, no action, proper nouns Eiffel Tower.
# Degrees: Tower 3 (The, Eiffel, at), night 1.
TOWER = ("The/DET/det/2", "Eiffel/PROPN/compound/2", "Tower/PROPN/ROOT/2", "at/ADP/prep/2", "night/NOUN/pobj/3")
# "A parked car under a traffic light is red"  9 words, objects car light, attributes parked traffic red, no action:
# "parked" stands before its noun. Degrees: car 4 (A, parked, under, is), light 3 (a, traffic, under).
CAR = (
    *("A/DET/det/2", "parked/VERB/amod/2", "car/NOUN/nsubj/7", "under/ADP/prep/2", "a/DET/det/6"),
    *("traffic/NOUN/compound/6", "light/NOUN/pobj/3", "is/AUX/ROOT/7", "red/ADJ/acomp/7"),
)
