"""A file that is unlike all that was measured gets no label, and says why."""

from dataclasses import replace

import pytest

from veracity.calibrate import toml_tables
from veracity.decision.calibration import FILE, Calibration, Fusion
from veracity.decision.domain import Cues, Domain
from veracity.decision.scoring import judge, likelihood_ratio
from veracity.decision.toml_table import CalibrationError
from veracity_client.verdict import LayerResult, Rates, Thresholds

CLIPS: list[Cues] = [
    {"audio_codec": "flac", "bandwidth": 8000.0},
    {"audio_codec": "mp3", "bandwidth": 3400.0, "loudness": -20.0},
]
HEARD = {"audio": 1.0, "visual": 0.0, "lipsync": 0.0, "semantic": 0.0}
RATES = Rates(0.01, 0.02, 0.5, 99, 99)


def test_a_domain_is_what_its_clips_were_like() -> None:
    domain = Domain.of(CLIPS, "sound")
    assert domain.ranges == {"bandwidth": (3400.0, 8000.0)}  # loudness is not compared
    assert domain.words == {"audio_codec": {"lossless", "mp3"}}
    assert not domain.why_outside({"audio_codec": "pcm_s16le", "bandwidth": 4000.0}, "sound")
    assert not domain.why_outside({}, "sound")  # what a file has not got lies nowhere
    low = domain.why_outside({"bandwidth": 1200.0}, "sound")
    assert low == "bandwidth 1200 Hz is not within 3400 to 8000 Hz"
    assert domain.why_outside({"audio_codec": "truespeech"}, "sound") == (
        "audio codec truespeech is not among lossless, mp3"
    )
    assert not Domain().why_outside({"audio_codec": "truespeech"}, "sound")


def calibration(domain: Domain) -> Calibration:
    fusion = Fusion(HEARD, 1.0, 99, 99, {"balanced": Thresholds(0.8, 0.2)}, {"balanced": RATES}, domain)
    return replace(Calibration.read(), fusion=fusion)


def test_a_file_outside_gets_no_label_no_rate_and_no_ratio() -> None:
    known = calibration(Domain.of(CLIPS, "sound"))
    voice = {"1_audio": LayerResult("scored", "", 1.0, True, 0.95, 0.95, "")}
    inside, outside = (known.met("sound", {"bandwidth": hertz}) for hertz in (5000.0, 900.0))
    assert (judge(voice, ("audio",), inside).label, inside.rates, inside.outside) == ("fake", RATES, "")
    assert judge(voice, ("audio",), outside).label == "inconclusive"
    assert judge(voice, ("audio",), outside).fake_probability == pytest.approx(0.95)  # the score stays
    assert outside.rates is None
    assert likelihood_ratio(0.95, inside) is not None
    assert likelihood_ratio(0.95, outside) is None
    assert "bandwidth 900 Hz" in outside.outside


def test_a_film_outside_the_domain_of_voices_is_not_judged_by_its_voice_alone() -> None:
    film = replace(calibration(Domain()), voice_fusion=calibration(Domain.of(CLIPS, "sound")).fusion)
    assert film.met("film", {"audio_codec": "mp3"}).of_the_voice() is not None
    assert film.met("film", {"audio_codec": "truespeech"}).of_the_voice() is None
    assert film.met("film", {"audio_codec": "truespeech"}).outside == ""


TABLE = "profiles.starter.fusion.sound"


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        ({"bandwidth": (1.0,)}, r"bandwidth of \[profiles.starter.fusion.sound.domain\] must be the lowest and the"),
        ({"bandwidth": (9.0, 1.0)}, r"must be the lowest and the highest number"),
        ({"audio_codec": ("mp3", 1.0)}, r"audio_codec of .* must be a list of words"),
    ],
)
def test_a_domain_that_is_none_is_refused(domain: dict[str, tuple[float | str, ...]], words: str) -> None:
    before = FILE.read_text(encoding="utf-8")
    sound = Calibration.parsed(before).profiles["starter"]["sound"]
    table: dict[str, toml_tables.Value] = {"sees": HEARD, "strength": 1.0, "reals": sound.reals, "fakes": sound.fakes}
    point: dict[str, toml_tables.Value] = {"real_called_fake": 0.0, "fake_called_real": 0.0, "inconclusive": 1.0}
    table |= {"strict": point, "balanced": point, "screening": point, "statement": "none", "domain": domain}
    with pytest.raises(CalibrationError, match=words):
        Calibration.parsed(toml_tables.put(before, {TABLE: table}))
    whole = toml_tables.put(before, {TABLE: table | {"domain": {"bandwidth": (1.0, 2.0), "audio_codec": ("mp3",)}}})
    assert Calibration.parsed(whole).profiles["starter"]["sound"].domain == Domain(
        {"bandwidth": (1.0, 2.0)}, {"audio_codec": frozenset({"mp3"})}
    )
