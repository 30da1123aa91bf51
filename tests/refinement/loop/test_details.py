"""What rounds measured is read as older code wrote it, and written in the same bytes."""

from __future__ import annotations

import json

import pytest

from fld_engine.engine.data.hashing import canonical_json
from fld_engine.engine.plan.rounds import RoundRecord
from fld_engine.refinement.loop.details import initial_details, round_details
from fld_engine.schemas.errors import RootError

GATE = (
    '{"after":0.9,"before":0.5,"gain_high":0.5,"gain_low":0.3,"metric":"f1@0.5","num_images":12,"state":"better",'
    '"unit":"regions","why":"f1@0.5 0.5000 -> 0.9000, gain between +0.3000 and +0.5000"}'
)
CURVES = (
    '{"family":"rivals","num_examples":2,"probabilities":[],"scores":[],"source":"labels","state":"uncalibrated"},'
    '{"family":"objects","num_examples":30,"probabilities":[0.1,1.0],"scores":[0.0,1.0],"source":"student",'
    '"state":"calibrated"}'
)
DRIFT = '{"before":2.0,"distance":0.0,"figure":"areas","limit":0.25,"now":2.0,"within":true}'
STUDENTS = (
    f'{{"calibrations":[{CURVES}],"drift":[{DRIFT}],'
    '"edits":{"added":1,"moved":0,"relabelled":3,"removed":0,"rewritten":0},'
    '"edits_measured":[{"num_closer":3,"num_edits":4,"unit":"regions"}],'
    f'"gates":[{GATE}],"measured":[{{"after":0.9,"before":0.5,"metric":"f1@0.5","unit":"regions"}}]}}'
)
SPECIALIST = (
    '{"calibrations":[],"drift":[],"edits":{"added":7,"moved":0,"relabelled":0,"removed":0,"rewritten":0},'
    f'"edits_measured":[],"gates":[{GATE}],"measured":[],'
    f'"sparse":{{"dropped":{{"repeats":2}},"gates":[{{"another":0.1,"brief":0.0,"decision":{GATE},'
    '"granularity":"detailed","small_set":null}],"learned":{"detailed":12},"written":{"detailed":7}}}'
)


def record(details: str) -> RoundRecord:
    return RoundRecord(number=3, fingerprint="", partitions=(), details=json.loads(details))


@pytest.mark.parametrize("details", [STUDENTS, SPECIALIST], ids=["students", "specialist"])
def test_details_of_a_round_keep_their_bytes(details: str) -> None:
    assert canonical_json(round_details(record(details)).as_json()) == details


def test_details_of_the_first_round_keep_their_bytes() -> None:
    assert canonical_json(initial_details(record('{"num_gold":36}')).model_dump()) == '{"num_gold":36}'


def test_details_of_another_version_are_named() -> None:
    with pytest.raises(RootError, match=r"round 3 cannot be read: .*edits.*refine a copy"):
        round_details(record('{"gates":[]}'))
