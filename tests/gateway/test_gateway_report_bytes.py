"""The same verdict gives the same bytes, and what a report shows needs nothing but itself."""

import html.parser
import io
import re
import subprocess
import sys
from dataclasses import replace
from datetime import datetime

import pypdf
import pytest
from report_samples import FILM, NOON, TIMES, VOICE, circumstances, evidence, full_evidence, png

from veracity_client.explanation import Explanation, Signature, Speakers, SpeakingFace
from veracity_client.span import Span
from veracity_client.verdict import Verdict
from veracity_gateway.report.canonical import canonical, clean, parse
from veracity_gateway.report.document import Report, make_report
from veracity_gateway.report.errors import BadEvidence, UnreadableReport
from veracity_gateway.report.evidence import Evidence, Picture, Times, make_evidence
from veracity_gateway.report.html import to_html
from veracity_gateway.report.pdf import to_pdf
from veracity_gateway.report.signing import SigningKey

SHOW = """
import sys
from veracity_gateway.report.document import Report
from veracity_gateway.report.html import to_html
sys.stdout.buffer.write(to_html(Report.from_json(sys.stdin.buffer.read())).encode())
"""
HOSTILE = [
    "<script>alert(1)</script>.mp4",
    "</script><!--<script>",
    '" onload="alert(1)',
    "clip\u202egpj.exe",
    "a\x00b\n\x1b[31mc",
    "x" * 4096,
    "clip\udcff.mp4",
    "{{ 7 * 7 }}{% raw %}",
]


class Elements(html.parser.HTMLParser):
    """Counts elements, and collects what they refer to and every attribute."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return SigningKey.in_folder(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def full(key: SigningKey) -> Report:
    return make_report(full_evidence(), key)


def test_the_same_verdict_gives_the_same_json_and_page(key: SigningKey) -> None:
    again = Verdict.from_json(FILM.to_json())
    first, second = (make_report(evidence(verdict), key) for verdict in (FILM, again))
    assert first.to_json() == second.to_json()
    assert to_html(first) == to_html(second)


def test_the_same_page_comes_of_another_process(full: Report) -> None:
    done = subprocess.run([sys.executable, "-c", SHOW], input=full.to_json(), capture_output=True, check=True)
    assert done.stdout.decode() == to_html(full)


@pytest.mark.slow
def test_the_same_pdf_comes_twice(full: Report) -> None:
    first = to_pdf(full)
    assert first.startswith(b"%PDF-")
    assert to_pdf(full) == first


def test_the_document_is_canonical_and_reads_back(full: Report) -> None:
    document = full.to_json()
    assert Report.from_json(document) == full
    with pytest.raises(UnreadableReport):
        Report.from_json(b"{}")
    assert canonical(parse(document)) == document
    assert b'"schema":"veracity-report/1"' in document


def test_a_report_of_other_circumstances_is_another_one(key: SigningKey) -> None:
    assert evidence(FILM).report_code == evidence(VOICE).report_code
    assert make_report(evidence(FILM, "other.mp4"), key).signature != make_report(evidence(FILM), key).signature


def test_times_need_a_zone() -> None:
    naive = datetime(2026, 5, 4, 12, 0)
    with pytest.raises(BadEvidence, match="timezone"):
        make_evidence(FILM, replace(circumstances(), times=Times(NOON, NOON, naive)))


@pytest.mark.parametrize("bad", [float("nan"), 2**60, {1: 2}])
def test_what_json_cannot_say_is_refused(bad: object) -> None:
    with pytest.raises(BadEvidence):
        evidence(FILM, provenance={"value": bad})


def test_text_that_is_no_utf8_stays_legible() -> None:
    assert clean({"name\udcff": ["\ud800", 1, None]}) == {"name\\xff": ["\\ud800", 1, None]}


def test_json_with_a_name_twice_or_nan_is_none() -> None:
    for text in (b'{"a":1,"a":2}', b'{"a":NaN}', b"\xff", b"[" * 100_000):
        with pytest.raises(ValueError):
            parse(text)


def test_the_page_refers_to_nothing_outside(full: Report) -> None:
    page = to_html(full)
    found = Elements(page)
    assert found.tags.count("script") == 1
    assert {"link", "iframe", "object", "embed", "base", "form", "audio", "video"}.isdisjoint(found.tags)
    references = [
        value for name, value in found.attributes if name in {"src", "href", "srcset", "action", "xlink:href"}
    ]
    assert references
    assert all(value.startswith("data:image/png;base64,") for value in references)
    assert not [name for name, _ in found.attributes if name.startswith("on") or name == "style"]
    assert "url(" not in page
    assert "@import" not in page
    policy = next(value for _, value in found.attributes if "default-src" in value)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_makes_no_markup(name: str, key: SigningKey) -> None:
    page, plain = (to_html(make_report(evidence(FILM, each), key)) for each in (name, "clip.mp4"))
    found, usual = Elements(page), Elements(plain)
    assert found.tags == usual.tags
    assert [attribute for attribute, _ in found.attributes] == [attribute for attribute, _ in usual.attributes]
    shown = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x09\x0b-\x1f]", shown)


@pytest.mark.parametrize("field", ["caption", "reviewer", "reasoning", "provenance"])
def test_hostile_text_elsewhere_makes_none_either(field: str, key: SigningKey) -> None:
    def page(text: str) -> Elements:
        full = full_evidence()
        changes: dict[str, Evidence] = {
            "caption": replace(full, pictures=(Picture(text, text, png()),)),
            "reviewer": replace(full, reviews=(replace(full.reviews[0], reviewer=text, note=text, opinion=text),)),
            "reasoning": replace(full, verdict=replace(full.verdict, reasoning=text, video_id=text)),
            "provenance": replace(full, provenance={text: [text, {text: text}]}),
        }
        return Elements(to_html(make_report(changes[field], key)))

    assert page("<img src=x onerror=alert(1)>").tags == page("words").tags


def test_the_page_says_what_an_analyst_and_a_court_need(full: Report) -> None:
    text = re.sub(r"<[^>]+>|\s+", " ", re.sub(r"<(style|script).*?</\1>", "", to_html(full), flags=re.DOTALL))
    text = re.sub(r"\s+", " ", text)
    for said in (
        "Inconclusive",
        "That is an answer and not an error",
        "cannot be called fake at the operating point balanced",
        "about 11 times as likely if the clip is fake",
        "−2.36 and +2.20",
        "weak support that the clip is fake",
        FILM.input.sha256,
        FILM.layer_results["2_visual"].models[0].sha256,
        FILM.layer_results["2_visual"].models[0].measured,
        "What it cannot see",
        "32 samples, 1.28 of 3.93 s",
        "took no part in any score",
        "Content credentials (C2PA): Valid, of a signer who is on no list",
        "trainedAlgorithmicMedia",
        "An analyst cannot tell",
        "not proof",
        "f" * 64,
        full.signature.key_id,
    ):
        assert said in text, said


@pytest.mark.slow
@pytest.mark.parametrize(("word", "shown"), [("moderate", "moderate, 0.52"), (None, "0.52")])
def test_lips_that_do_not_fit_and_traces_of_a_generator_are_shown(
    word: Signature | None, shown: str, key: SigningKey
) -> None:
    layers = dict(FILM.layer_results)
    layers["3_lipsync"] = replace(layers["3_lipsync"], mismatch_score=0.37)
    layers["4_semantic"] = replace(layers["4_semantic"], generative_signature=0.52)
    verdict = replace(FILM, layer_results=layers, explanation=Explanation(generative_signature_words=word))
    report = make_report(evidence(verdict), key)
    page = to_html(report)
    assert page.count("<dt>Lips and sound do not fit</dt><dd>0.37</dd>") == 1
    assert page.count(f"<dt>Traces of a generator</dt><dd>{shown}</dd>") == 1
    pages = pypdf.PdfReader(io.BytesIO(to_pdf(report))).pages
    text = " ".join(" ".join(each.extract_text() for each in pages).split())
    assert "Lips and sound do not fit 0.37" in text
    assert f"Traces of a generator {shown} What" in text
    assert to_html(make_report(evidence(Verdict.from_json(verdict.to_json())), key)) == page


def test_a_face_that_is_seen_to_speak_is_told(key: SigningKey) -> None:
    face = FILM.faces[0].id
    spoken = Speakers((SpeakingFace(face, (Span(3.0, 7.25, 0.9),), ()), SpeakingFace(face + 1, (), ())))
    page = to_html(make_report(evidence(replace(FILM, explanation=Explanation(speakers=spoken))), key))
    said = "Seen to speak, and speech is heard, at 0:03.00 to 0:07.25; whose voice it is was not examined."
    assert page.count(said) == page.count("Seen to speak") == 1
    assert "Seen to speak" not in to_html(make_report(evidence(FILM), key))


@pytest.mark.parametrize("provenance", [{}, {"state": 3}, {"state": {"a": [1]}}, {"state": "new"}])
def test_provenance_of_any_form_is_shown(provenance: dict[str, object], key: SigningKey) -> None:
    assert "<h2>Provenance" in to_html(make_report(evidence(FILM, provenance=provenance), key))


def test_a_layer_that_did_not_look_says_why(key: SigningKey) -> None:
    page = to_html(make_report(evidence(VOICE), key))
    assert page.count("not examined: it had nothing that it could judge – the file has no video track") == 3


def test_words_of_a_newer_server_are_shown(key: SigningKey) -> None:
    layer = replace(FILM.layer_results["1_audio"], status="postponed")  # type: ignore[arg-type]
    other = replace(FILM, layer_results={"9_smell": layer}, likelihood_ratio=None, rates=None)
    newer = replace(other, label="edited")  # type: ignore[arg-type]
    page = to_html(make_report(evidence(newer), key))
    assert all(word in page for word in ("Called edited", "9_smell", "postponed"))


def test_every_timeline_has_its_table(full: Report) -> None:
    page = to_html(full)
    assert page.count("<svg") == page.count("the same as a table") + 1  # the likelihood ratio says its three numbers
    spans = sum(map(len, FILM.timeline.values())) + len(FILM.layer_results["2_visual"].frame_scores or ())
    assert page.count('<rect class="bar"') == spans


def test_a_film_without_timeline_faces_or_length_is_shown(key: SigningKey) -> None:
    bare = replace(FILM, timeline={}, faces=(), input=replace(FILM.input, seconds=None), thresholds=None)
    assert "<h2>When" not in to_html(make_report(evidence(bare), key))


def test_times_are_those_given(full: Report) -> None:
    assert full.evidence.times == TIMES
    assert "2026-05-04 12:00:07 UTC" in to_html(full)
