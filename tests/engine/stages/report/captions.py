"""Thirty captions, parsed by hand as spaCy's English pipelines label them, with the elements that follow by reasoning.

Words are `text/lemma/POS/relation/head`. `object_degrees` and `action_degrees` count the edges at each object and
action, in their order: one for each dependent, and one to the head unless the token is the root.
"""

from __future__ import annotations

from typing import NamedTuple


class Caption(NamedTuple):
    """A parse and what is in it. Elements are words as they stand; pairs and triples are lemmas."""

    words: str
    objects: str = ""
    attributes: str = ""
    actions: str = ""
    proper: str = ""
    object_degrees: tuple[int, ...] = ()
    action_degrees: tuple[int, ...] = ()
    pairs: tuple[str, ...] = ()
    triples: tuple[str, ...] = ()


CAPTIONS = (
    # A dog. — one object; its article and the full stop hang on it.
    Caption("A/a/DET/det/1 dog/dog/NOUN/ROOT/1 ././PUNCT/punct/1", "dog", object_degrees=(2,)),
    # A brown dog — amod makes an attribute and a pair.
    Caption("A/a/DET/det/2 brown/brown/ADJ/amod/2 dog/dog/NOUN/ROOT/2", "dog", "brown", object_degrees=(2,),
            pairs=("brown dog",)),
    # Two dogs run — a number is an attribute, no pair; dogs: two, run; run: dogs.
    Caption("Two/two/NUM/nummod/1 dogs/dog/NOUN/nsubj/2 run/run/VERB/ROOT/2", "dogs", "Two", "run",
            object_degrees=(2,), action_degrees=(1,)),
    # A dog chases a cat — subject, verb, object.
    Caption("A/a/DET/det/1 dog/dog/NOUN/nsubj/2 chases/chase/VERB/ROOT/2 a/a/DET/det/4 cat/cat/NOUN/dobj/2",
            "dog cat", "", "chases", object_degrees=(2, 2), action_degrees=(2,), triples=("dog chase cat",)),
    # A cat is chased by a dog — passive: the agent is the subject, nsubjpass the object; "is" is no action.
    Caption("A/a/DET/det/1 cat/cat/NOUN/nsubjpass/3 is/be/AUX/auxpass/3 chased/chase/VERB/ROOT/3 by/by/ADP/agent/3 "
            "a/a/DET/det/6 dog/dog/NOUN/pobj/4", "cat dog", "", "chased", object_degrees=(2, 2), action_degrees=(3,),
            triples=("dog chase cat",)),
    # A traffic light — a common noun in a compound is an attribute and no object, and makes no pair.
    Caption("A/a/DET/det/2 traffic/traffic/NOUN/compound/2 light/light/NOUN/ROOT/2", "light", "traffic",
            object_degrees=(2,)),
    # The Eiffel Tower — a proper noun in a compound is neither object nor attribute, but a proper noun.
    Caption("The/the/DET/det/2 Eiffel/Eiffel/PROPN/compound/2 Tower/Tower/PROPN/ROOT/2", "Tower", "", "",
            "Eiffel Tower", object_degrees=(2,)),
    # A parked car — a participle in front of a noun is an attribute and no action.
    Caption("A/a/DET/det/2 parked/park/VERB/amod/2 car/car/NOUN/ROOT/2", "car", "parked", object_degrees=(2,),
            pairs=("park car",)),
    # The car is red — a predicate adjective is an attribute, and no pair: it does not hang on the noun.
    Caption("The/the/DET/det/1 car/car/NOUN/nsubj/2 is/be/AUX/ROOT/2 red/red/ADJ/acomp/2", "car", "red",
            object_degrees=(2,)),
    # A man in a red hat — hat: a, red, in; man: A, in.
    Caption("A/a/DET/det/1 man/man/NOUN/ROOT/1 in/in/ADP/prep/1 a/a/DET/det/5 red/red/ADJ/amod/5 hat/hat/NOUN/pobj/2",
            "man hat", "red", object_degrees=(2, 3), pairs=("red hat",)),
    # A man wearing a hat — a participle after its noun (acl) is an action; it has no subject of its own, so no triple.
    Caption("A/a/DET/det/1 man/man/NOUN/ROOT/1 wearing/wear/VERB/acl/1 a/a/DET/det/4 hat/hat/NOUN/dobj/2", "man hat",
            "", "wearing", object_degrees=(2, 2), action_degrees=(2,)),
    # Cats and dogs sleep — the second of a pair hangs on the first; only the first is nsubj.
    Caption("Cats/cat/NOUN/nsubj/3 and/and/CCONJ/cc/0 dogs/dog/NOUN/conj/0 sleep/sleep/VERB/ROOT/3", "Cats dogs", "",
            "sleep", object_degrees=(3, 1), action_degrees=(1,)),
    # A big old tree — two adjectives, two pairs.
    Caption("A/a/DET/det/3 big/big/ADJ/amod/3 old/old/ADJ/amod/3 tree/tree/NOUN/ROOT/3", "tree", "big old",
            object_degrees=(3,), pairs=("big tree", "old tree")),
    # A very big tree — an adverb is nothing; it adds to big's degree alone.
    Caption("A/a/DET/det/3 very/very/ADV/advmod/2 big/big/ADJ/amod/3 tree/tree/NOUN/ROOT/3", "tree", "big",
            object_degrees=(2,), pairs=("big tree",)),
    # She reads — a pronoun is no object, and as a subject without an object makes no triple.
    Caption("She/she/PRON/nsubj/1 reads/read/VERB/ROOT/1", "", "", "reads", action_degrees=(1,)),
    # She reads books — a pronoun may be the subject of a triple.
    Caption("She/she/PRON/nsubj/1 reads/read/VERB/ROOT/1 books/book/NOUN/dobj/1", "books", "", "reads",
            object_degrees=(1,), action_degrees=(2,), triples=("she read book",)),
    # Paris at night — a proper noun that heads its phrase is an object too.
    Caption("Paris/Paris/PROPN/ROOT/0 at/at/ADP/prep/0 night/night/NOUN/pobj/1", "Paris night", "", "", "Paris",
            object_degrees=(1, 1)),
    # There are three cups — where the tagger calls "are" a VERB, it is an action: the tag decides, not the word.
    Caption("There/there/PRON/expl/1 are/be/VERB/ROOT/1 three/three/NUM/nummod/3 cups/cup/NOUN/attr/1", "cups", "three",
            "are", object_degrees=(2,), action_degrees=(2,)),
    # A boy who throws a ball — a relative pronoun is the subject; "throws" is an action (relcl).
    Caption("A/a/DET/det/1 boy/boy/NOUN/ROOT/1 who/who/PRON/nsubj/3 throws/throw/VERB/relcl/1 a/a/DET/det/5 "
            "ball/ball/NOUN/dobj/3", "boy ball", "", "throws", object_degrees=(2, 2), action_degrees=(3,),
            triples=("who throw ball",)),
    # The boy can swim — a modal is an AUX: no action.
    Caption("The/the/DET/det/1 boy/boy/NOUN/nsubj/3 can/can/AUX/aux/3 swim/swim/VERB/ROOT/3", "boy", "", "swim",
            object_degrees=(2,), action_degrees=(2,)),
    # A boy wants to eat cake — two actions; the object belongs to the second, which has no subject.
    Caption("A/a/DET/det/1 boy/boy/NOUN/nsubj/2 wants/want/VERB/ROOT/2 to/to/PART/aux/4 eat/eat/VERB/xcomp/2 "
            "cake/cake/NOUN/dobj/4", "boy cake", "", "wants eat", object_degrees=(2, 1), action_degrees=(2, 3)),
    # A dog's tail — the possessor is an object of its own (poss); 's is a particle.
    Caption("A/a/DET/det/1 dog/dog/NOUN/poss/3 's/'s/PART/case/1 tail/tail/NOUN/ROOT/3", "dog tail",
            object_degrees=(3, 1)),
    # Red and white flags — the second adjective hangs on the first: an attribute, but no pair.
    Caption("Red/red/ADJ/amod/3 and/and/CCONJ/cc/0 white/white/ADJ/conj/0 flags/flag/NOUN/ROOT/3", "flags", "Red white",
            object_degrees=(1,), pairs=("red flag",)),
    # A fire hydrant painted yellow — compound, acl participle after the noun, predicate adjective.
    Caption("A/a/DET/det/2 fire/fire/NOUN/compound/2 hydrant/hydrant/NOUN/ROOT/2 painted/paint/VERB/acl/2 "
            "yellow/yellow/ADJ/oprd/3", "hydrant", "fire yellow", "painted", object_degrees=(3,), action_degrees=(2,)),
    # A sleeping cat lies on a mat — amod participle no action, "lies" one, no direct object: no triple.
    Caption("A/a/DET/det/2 sleeping/sleep/VERB/amod/2 cat/cat/NOUN/nsubj/3 lies/lie/VERB/ROOT/3 on/on/ADP/prep/3 "
            "a/a/DET/det/6 mat/mat/NOUN/pobj/4", "cat mat", "sleeping", "lies", object_degrees=(3, 2),
            action_degrees=(2,), pairs=("sleep cat",)),
    # New York City streets — proper compounds modify a common noun: proper nouns, no attributes.
    Caption("New/New/PROPN/compound/2 York/York/PROPN/compound/2 City/City/PROPN/compound/3 "
            "streets/street/NOUN/ROOT/3", "streets", "", "", "New York City", object_degrees=(1,)),
    # Someone — a pronoun alone: nothing at all.
    Caption("Someone/someone/PRON/ROOT/0"),
    # Running fast! — an action as the root; punctuation is a node of the tree and adds to its degree.
    Caption("Running/run/VERB/ROOT/0 fast/fast/ADV/advmod/0 !/!/PUNCT/punct/0", "", "", "Running", action_degrees=(2,)),
    # A man has been walking dogs — two auxiliaries; one action with four dependents.
    Caption("A/a/DET/det/1 man/man/NOUN/nsubj/4 has/have/AUX/aux/4 been/be/AUX/aux/4 walking/walk/VERB/ROOT/4 "
            "dogs/dog/NOUN/dobj/4", "man dogs", "", "walking", object_degrees=(2, 1), action_degrees=(4,),
            triples=("man walk dog",)),
    # The first man gives John a book — an ordinal is an ADJ; the recipient (dative) makes no triple.
    Caption("The/the/DET/det/2 first/first/ADJ/amod/2 man/man/NOUN/nsubj/3 gives/give/VERB/ROOT/3 "
            "John/John/PROPN/dative/3 a/a/DET/det/6 book/book/NOUN/dobj/3", "man John book", "first", "gives", "John",
            object_degrees=(3, 1, 2), action_degrees=(3,), pairs=("first man",), triples=("man give book",)),
    # Street signs hang above the wet road — a compound before a plural subject; one pair.
    Caption("Street/street/NOUN/compound/1 signs/sign/NOUN/nsubj/2 hang/hang/VERB/ROOT/2 above/above/ADP/prep/2 "
            "the/the/DET/det/6 wet/wet/ADJ/amod/6 road/road/NOUN/pobj/3", "signs road", "Street wet", "hang",
            object_degrees=(2, 3), action_degrees=(2,), pairs=("wet road",)),
)  # fmt: skip
