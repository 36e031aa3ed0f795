"""The contract: what is written is read, what is not known is ignored in answers and refused in questions."""

import base64
import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import canned
import pytest
from canned import VERDICT
from hypothesis import given
from hypothesis import strategies as st

from veracity_client import errors
from veracity_client.errors import BY_NAME, BadOption, VeracityError, from_wire
from veracity_client.reasons import MEANINGS, ReasonCode
from veracity_client.schema import reasons_page, verdict_schema
from veracity_client.verdict import Options, StageEvent, Verdict, event_from_json, event_to_json

SCHEMA_FILE = Path(__file__).parent.parent.parent / "docs" / "api" / "verdict.schema.json"
TRITON_CODES = {"INTERNAL", "INVALID_ARG", "NOT_FOUND", "UNAVAILABLE", "UNSUPPORTED", "ALREADY_EXISTS", "CANCELLED"}
EVENT = StageEvent("1_audio", "done", 1.5, 1.0, VERDICT.layer_results["1_audio"])

# A layer as the first servers answered it.
LAYER = {"status": "scored", "reason": "", "weight": 0.3, "is_fake": True, "confidence": 0.9, "fake_probability": 0.9}
LAYER |= {"reasoning": "the voice sounds made", "models": []}


def with_stranger(value: Any) -> Any:
    """Add an unknown key to every object."""
    if isinstance(value, dict):
        return {**{k: with_stranger(v) for k, v in value.items()}, "from_the_future": [1]}
    return [with_stranger(v) for v in value] if isinstance(value, list) else value


FIRST = """
import json, sys, threading
from veracity_client.verdict import Options, Verdict, event_from_json
texts = json.load(sys.stdin)
sys.setswitchinterval(1e-6)
together = threading.Barrier(len(texts))

def read(name, text):
    together.wait()
    {"verdict": Verdict.from_json, "event": event_from_json, "options": Options.from_json}[name](text)

threads = [threading.Thread(target=read, args=one) for one in texts]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [("verdict", VERDICT.to_json()), ("event", event_to_json(EVENT)), ("options", Options().to_json())],
)
def test_the_first_answers_may_come_to_several_threads_at_once(name: str, text: str) -> None:
    """msgspec crashes where two threads are the first to read a class; of eight processes some nearly always did."""
    for _ in range(8):
        done = subprocess.run(
            [sys.executable, "-c", FIRST], input=json.dumps([(name, text)] * 8), text=True, check=False
        )
        assert done.returncode == 0


def test_a_full_verdict_comes_back_equal() -> None:
    assert Verdict.from_json(VERDICT.to_json()) == VERDICT
    assert event_from_json(event_to_json(VERDICT)) == VERDICT
    assert event_from_json(event_to_json(EVENT)) == EVENT


@given(st.text(), st.one_of(st.none(), st.floats(0, 1)), st.dictionaries(st.text(), st.floats(0, 1e6)))
def test_any_text_and_number_comes_back_equal(text: str, score: float | None, timings: dict[str, float]) -> None:
    verdict = dataclasses.replace(VERDICT, reasoning=text, fake_probability=score, timings=timings)
    assert Verdict.from_json(verdict.to_json()) == verdict


def test_without_an_explanation_the_document_lacks_its_name() -> None:
    plain = dataclasses.replace(VERDICT, explanation=None)
    written = VERDICT.to_dict()
    del written["explanation"]
    assert plain.to_dict() == written
    assert json.loads(plain.to_json()) == json.loads(json.dumps(written))
    assert event_to_json(plain) == f'{{"verdict":{plain.to_json()}}}'
    assert Verdict.from_json(plain.to_json()) == event_from_json(event_to_json(plain)) == plain


def test_pictures_are_base64_text() -> None:
    crop = json.loads(VERDICT.to_json())["explanation"]["moments"][0]["crop"]
    assert base64.b64decode(crop) == canned.PNG
    read = Verdict.from_json(VERDICT.to_json()).explanation
    assert read is not None
    assert read.moments[0].crop == canned.PNG


def test_what_a_newer_server_added_is_ignored() -> None:
    plain = json.loads(VERDICT.to_json())
    layers = {key: with_stranger(layer) for key, layer in plain["layer_results"].items()}
    newer = {**plain, "layer_results": layers, "input": with_stranger(plain["input"]) | {"codecs": {}}, "new": {}}
    assert Verdict.from_json(json.dumps(newer)).layer_results == VERDICT.layer_results


def test_words_of_a_newer_server_are_passed_through() -> None:
    plain = VERDICT.to_dict() | {"label": "edited", "policy": "thrifty", "schema": "veracity/1.1"}
    plain["layer_results"] = {
        "1_audio": plain["layer_results"]["1_audio"] | {"status": "postponed", "code": "moon"},
        "9_smell": LAYER,
    }
    verdict = Verdict.from_json(json.dumps(plain))
    assert (verdict.label, verdict.policy, verdict.schema) == ("edited", "thrifty", "veracity/1.1")
    assert [result.status for result in verdict.layer_results.values()] == ["postponed", "scored"]
    assert Verdict.from_json(verdict.to_json()) == verdict
    event = event_from_json('{"stage": {"stage": "9_smell", "status": "paused", "seconds": 1}}')
    assert event == StageEvent("9_smell", "paused", 1.0)  # type: ignore[arg-type]
    assert event_from_json('{"heartbeat": {"seconds": 1}}') is None


def test_what_an_older_server_does_not_say_yet_has_its_default() -> None:
    plain = VERDICT.to_dict()
    old = {
        name: plain["input"][name] for name in ("sha256", "bytes", "seconds", "resolution", "codecs", "audio_tracks")
    }
    verdict = Verdict.from_json(json.dumps(plain | {"input": old, "layer_results": {"1_audio": LAYER}}))
    assert (verdict.input.video_track, verdict.layer_results["1_audio"].coverage) == (None, None)


def test_an_option_that_is_not_given_is_not_sent_since_an_older_server_would_refuse_its_name() -> None:
    assert set(json.loads(Options().to_json())) == {"policy", "layers", "deadline_seconds"}
    assert json.loads(Options(operating_point="strict").to_json())["operating_point"] == "strict"
    assert json.loads(Options(explain=True).to_json())["explain"] is True


@pytest.mark.parametrize(
    "field", [field.name for field in dataclasses.fields(Verdict) if field.default is dataclasses.MISSING]
)
def test_a_verdict_that_lacks_a_field_is_named(field: str) -> None:
    plain = VERDICT.to_dict()
    del plain[field]
    with pytest.raises(ValueError, match=f"`{field}`"):
        Verdict.from_json(json.dumps(plain))


@pytest.mark.parametrize("options", [Options(), Options("decided", ("visual", "audio"), 2, 0.5)])
def test_options_come_back_equal(options: Options) -> None:
    assert Options.from_json(options.to_json()) == options


WRONG: dict[str, list[object]] = {
    "policy": [1, None, True, "", "FAIL_FAST", [], {}],
    "layers": ["audio", 1, None, [], [1], [None], [["audio"]], ["mouth"], {"audio": 1}],
    "audio_track": ["0", 1.0, True, -1, [0]],
    "video_track": ["0", 1.0, True, -1, [0]],
    "deadline_seconds": ["5", None, True, 0, -1, 3601, [1], 10**400],
    "explain": [1, 0, None, "true", []],
    "deadline": [5],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_option_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(BadOption, match=name):
        Options.from_json(json.dumps({name: value}))


def test_a_wrong_word_is_answered_with_the_right_ones() -> None:
    with pytest.raises(BadOption, match="fail_fast, decided"):
        Options.from_json('{"policy": "never"}')
    with pytest.raises(BadOption, match="audio, visual, lipsync"):
        Options.from_json('{"layers": ["mouth"]}')
    with pytest.raises(BadOption, match=r"no option deadline; there are .*deadline_seconds"):
        Options.from_json('{"deadline": 5}')


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "3", '"audio"', "{", b"\xff", "[" * 100_000, '{"deadline_seconds": NaN}']
)
def test_text_that_is_no_options_is_refused(text: str | bytes) -> None:
    with pytest.raises(BadOption):
        Options.from_json(text)


@pytest.mark.parametrize("cls", BY_NAME.values())
def test_an_error_has_its_statuses_and_its_place_in_the_drawing(cls: type[VeracityError]) -> None:
    assert cls.triton in TRITON_CODES
    assert 400 <= cls.http < 600
    drawing = [line.lstrip("│├└─ ").split() for line in (errors.__doc__ or "").splitlines()]
    assert [cls.__name__] in [words[:1] for words in drawing]


@pytest.mark.parametrize("cls", BY_NAME.values())
@pytest.mark.parametrize(
    "wrapped",
    [
        "{}",
        "[request id: 17] {}",
        "[StatusCode.INTERNAL] {}",
        "in ensemble 'x', {}",
        "Failed to process the request(s) for model instance 'd_0_0', message: {}\n\nAt:\n  model.py(3): execute",
        "InferenceServerException: [500] {}",
    ],
)
def test_an_error_crosses_the_wire_whatever_triton_puts_around_it(cls: type[VeracityError], wrapped: str) -> None:
    found = from_wire(wrapped.format(cls("a 'quoted' name: nothing in it").to_wire()), request_id="17")
    assert type(found) is cls
    assert (found.message, found.request_id) == ("a 'quoted' name: nothing in it", "17")


def test_an_error_is_one_line_and_the_first_one_counts() -> None:
    wire = errors.BadVideo("one\ntwo InternalError: three").to_wire()
    found = from_wire(wire)
    assert type(found) is errors.BadVideo
    assert found.message == "one two InternalError: three"


@pytest.mark.parametrize("text", ["", "BadVideo", "NotBadVideo: x", "a.BadVideo: x", "BadVideoX: x", "KeyError: 'x'"])
def test_other_text_is_no_error_of_ours(text: str) -> None:
    assert from_wire(text) is None


def test_every_reason_code_has_a_meaning_and_the_page_lists_it() -> None:
    assert list(MEANINGS) == list(get_args(ReasonCode))
    assert all(meaning.endswith(".") and len(meaning) < 110 for meaning in MEANINGS.values())
    assert (SCHEMA_FILE.parent / "reasons.md").read_text(encoding="utf-8") == reasons_page(), "make schema"


def test_the_published_schema_is_fresh_and_takes_a_verdict() -> None:
    published = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    assert published == json.loads(json.dumps(verdict_schema())), "make schema"
    assert set(published["$defs"]["Verdict"]["properties"]) == set(VERDICT.to_dict())
    assert set(published["$defs"]["Verdict"]["properties"]["label"]["enum"]) == {"fake", "real", "inconclusive"}


def test_a_verdict_that_was_read_is_written_as_it_came() -> None:
    for written in (VERDICT, dataclasses.replace(VERDICT, explanation=None)):
        again = Verdict.from_json(written.to_json())
        assert again.to_json() == written.to_json()
        assert json.dumps(again.to_dict()) == json.dumps(written.to_dict())
