"""Hostile and broken input through a real server: one error of ours each, and the next request is served."""

import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import media_samples
import numpy as np
import pytest
import tritonclient.grpc

from veracity.server import Server
from veracity_client import Detector, Options, errors
from veracity_client.verdict import Verdict

pytestmark = pytest.mark.triton
EXHAUSTIVE = Options(policy="exhaustive")


@pytest.fixture(autouse=True)
def _the_next_request_is_served(detector: Detector, media_folder: Path) -> Iterator[None]:
    yield
    good = media_samples.audio_only(media_folder, seconds=1)
    assert isinstance(detector.analyze(good, EXHAUSTIVE), Verdict)


def cut_short(folder: Path) -> bytes:
    whole = media_samples.silent_video(folder).read_bytes()
    return whole[: len(whole) // 2]


def three_hours(folder: Path) -> bytes:
    target = folder / "long.mp4"
    source = ("-f", "lavfi", "-i", "color=black:s=64x36:r=1:d=10800")
    return media_samples.write(target, *source, *media_samples.H264).read_bytes()


BAD: dict[str, tuple[Callable[[Path], bytes], type[errors.VeracityError], str]] = {
    "empty": (lambda _: b"", errors.BadVideo, "empty"),
    "text": (lambda _: b"Dear Sir,\nplease find attached no video.\n" * 50, errors.BadVideo, "no video or audio"),
    "cut short": (cut_short, errors.BadVideo, "cut short|damaged"),
    "gif bomb": (lambda _: media_samples.gif(65535, 65535, 3), errors.TooManyPixels, "VERACITY_MAX_PIXELS"),
    "16k x 16k": (lambda _: media_samples.png(16384, 16384), errors.TooManyPixels, "VERACITY_MAX_PIXELS"),
    "three hours": (three_hours, errors.TooLong, "VERACITY_MAX_SECONDS"),
    "300 MB": (lambda _: bytes(300_000_000), errors.TooLarge, "VERACITY_MAX_BYTES"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_refused_in_words(kind: str, detector: Detector, tmp_path: Path) -> None:
    make, error, words = BAD[kind]
    with pytest.raises(error, match=words) as caught:
        detector.analyze(make(tmp_path), EXHAUSTIVE)
    assert "/proc" not in caught.value.message
    assert "Traceback" not in caught.value.message


def test_300_mb_over_http_too(server: Server) -> None:
    with Detector(f"http://{server.http_url}") as http, pytest.raises(errors.TooLarge):
        http.analyze(bytes(300_000_000), EXHAUSTIVE)


def test_one_pixel_and_one_sample_are_analysed_without_a_finding(detector: Detector, tmp_path: Path) -> None:
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "1x1", "-r", 25, "-i", "/dev/zero", "-frames:v", 10)
    pixel = media_samples.write(tmp_path / "pixel.mkv", *raw, "-c:v", "ffv1")
    verdict = detector.analyze(pixel, EXHAUSTIVE)
    assert verdict.layer_results["2_visual"].reason == "no face was found"
    sample = tmp_path / "sample.wav"
    with wave.open(str(sample), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(b"\x01\x00")
    heard = detector.analyze(sample, EXHAUSTIVE)
    assert heard.label == "inconclusive"
    assert "speech" in heard.layer_results["1_audio"].reason


@pytest.mark.parametrize(
    "text",
    [
        '{"policy": "guess"}', '{"policy": 1}', '{"layers": "audio"}', '{"layers": []}', '{"layers": ["nose"]}',
        '{"audio_track": "first"}', '{"audio_track": true}', '{"audio_track": -1}', '{"deadline_seconds": "soon"}',
        '{"deadline_seconds": 0}', '{"deadline_seconds": NaN}', '{"volume": 11}', "[]", "not json", "\xff",
    ],
)  # fmt: skip
def test_a_bad_option_is_named(server: Server, text: str) -> None:
    """Sent by hand, since our client cannot be made to send them."""
    inputs = []
    for name, value in (("VIDEO", b"x"), ("OPTIONS", text.encode("latin-1"))):
        tensor = tritonclient.grpc.InferInput(name, [1, 1], "BYTES")
        tensor.set_data_from_numpy(np.array([[value]], np.object_))
        inputs.append(tensor)
    client = tritonclient.grpc.InferenceServerClient(server.grpc_url)
    with client, pytest.raises(Exception, match="BadOption: ") as caught:
        client.infer("deepfake_detector", inputs)
    assert isinstance(errors.from_wire(str(caught.value)), errors.BadOption)


@pytest.mark.parametrize(
    "name",
    ["../secret.mp4", "/etc/passwd", "a/../../secret.mp4", "link.mp4", "\0", "", "absent.mp4", ".", "n" * 256,
     "folder/" * 700, "n" * 5000, "/".join(["n" * 200] * 30), "circle.mp4", "\udcff", "talking.mp4/", "talking.mp4/x"],
)  # fmt: skip
def test_a_path_outside_the_media_root_is_refused(
    name: str, detector: Detector, media_folder: Path, talking: Path
) -> None:
    assert talking.parent == media_folder  # so that its name with a slash behind it names something
    (media_folder.parent / "secret.mp4").write_bytes(b"x")
    link = media_folder / "link.mp4"
    if not link.is_symlink():
        link.symlink_to(media_folder.parent / "secret.mp4")
        (media_folder / "circle.mp4").symlink_to("circle.mp4")
    with pytest.raises(errors.PathNotAllowed) as caught:
        detector.analyze_path(name)
    assert str(media_folder) not in caught.value.message


@pytest.mark.parametrize("name", ["quo\"te's.wav", "new\nline.wav", "-i.wav", "%03d.wav", "ünï😀.wav", "[red]x.wav"])
def test_odd_file_names_are_only_names(name: str, detector: Detector, media_folder: Path) -> None:
    odd = media_folder / name
    odd.write_bytes(media_samples.audio_only(media_folder).read_bytes())
    assert detector.analyze(odd, EXHAUSTIVE).input.codecs["audio"].startswith("pcm")
    assert detector.analyze_path(name, EXHAUSTIVE).input.codecs["audio"].startswith("pcm")
