"""``python -m training evaluate`` on media made on the spot: the chosen models, and what is refused."""

import argparse
import json
import shutil
from pathlib import Path

import pytest

from training import evaluate
from veracity.calibrate.errors import ManifestError


def evaluation(clips: Path, out: Path, *more: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    return parser.parse_args(["--manifest", str(clips), "--out", str(out), *more])


def test_evaluate_asks_the_chosen_models_alone(clips: Path, full_repository: Path, tmp_path: Path) -> None:
    candidates = tmp_path / "candidates"
    for name in ("semantic_starter", "visual_starter"):  # without a face detector: the installed one finds faces
        shutil.copytree(full_repository / name, candidates / name)
    chosen = ("--repository", str(candidates), "--models", "semantic_starter,visual_starter", "--kinds", "video")
    evaluate.run(evaluation(clips, tmp_path / "out", *chosen))
    document = json.loads((tmp_path / "out" / "evaluate.json").read_text())
    assert list(document["subjects"]) == ["verdict", "2_visual", "4_semantic"]
    assert document["subjects"]["2_visual"]["scored"]["fake"] == 1
    assert document["subjects"]["4_semantic"]["scored"] == {"real": 1, "fake": 1}
    assert (tmp_path / "out" / "evaluate.html").is_file()


@pytest.mark.parametrize(
    ("names", "words"),
    [("nobody", "no model nobody; there are audio_starter"), ("visual_sbi_b4", "holds no graph of visual_sbi_b4")],
)
def test_evaluate_refuses_a_model_that_is_not_there(clips: Path, tmp_path: Path, names: str, words: str) -> None:
    with pytest.raises(ManifestError, match=words):
        evaluate.run(evaluation(clips, tmp_path / "out", "--repository", str(tmp_path), "--models", names))
    assert not (tmp_path / "out").exists()


def test_a_fold_of_one_label_is_refused(media: Path, full_repository: Path, tmp_path: Path) -> None:
    head, real, fake = "video_id,label,split,path,source", "a,0,train,tone.wav,TTS", "b,1,train,voice.wav,autovc"
    (media / "folds.csv").write_text("\n".join((head, real, fake)) + "\n")
    chosen = ("--repository", str(full_repository), "--models", "audio_starter", "--fold")
    for fold, words in (("4", "fold 4, video,audio,images: all 1 clips are real"), ("0", "fold 0.*there is no clip")):
        with pytest.raises(ManifestError, match=words):
            evaluate.run(evaluation(media / "folds.csv", tmp_path / "out", *chosen, fold))
    assert not (tmp_path / "out").exists()


def chosen_by(media: Path, full_repository: Path, tmp_path: Path, *options: str) -> list[str]:
    """The clips that are asked about, of three sources, where the model learned from one of them."""
    rows = (
        "a,0,train,tone.wav,taught",
        "b,0,train,voice.wav,own",
        "c,1,val,voice.wav,other",
        "d,1,test,tone.wav,other",
    )
    (media / "chosen.csv").write_text("\n".join(("video_id,label,split,path,source", *rows)) + "\n")
    repository = tmp_path / "repository"
    shutil.copytree(full_repository / "audio_starter", repository / "audio_starter")
    (repository / "audio_starter" / "provenance.json").write_text(json.dumps({"trained_on": ["taught"]}))
    asked = ("--repository", str(repository), "--models", "audio_starter", "--kinds", "audio", *options)
    evaluate.run(evaluation(media / "chosen.csv", tmp_path / "out", *asked))
    return [json.loads(line)["id"] for line in (tmp_path / "out" / "scores.jsonl").read_text().splitlines()]


def test_clips_of_sources_that_taught_are_left_out(media: Path, full_repository: Path, tmp_path: Path) -> None:
    assert chosen_by(media, full_repository, tmp_path, "--split", "not-test", "--unlearned") == ["b", "c"]


def test_clips_of_one_source_may_be_of_one_label(media: Path, full_repository: Path, tmp_path: Path) -> None:
    assert chosen_by(media, full_repository, tmp_path, "--split", "not-test", "--source", "taught") == ["a"]


def test_a_model_that_does_not_say_what_taught_it_is_refused(
    media: Path, full_repository: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "candidates"
    shutil.copytree(full_repository / "audio_starter", repository / "audio_starter")
    (repository / "audio_starter" / "provenance.json").write_text("{}")
    (media / "any.csv").write_text("video_id,label,split,path\na,0,train,tone.wav\nb,1,train,voice.wav\n")
    asked = ("--repository", str(repository), "--models", "audio_starter", "--kinds", "audio", "--unlearned")
    with pytest.raises(ManifestError, match=r"audio_starter does not say what it was trained on"):
        evaluate.run(evaluation(media / "any.csv", tmp_path / "out", *asked, "--split", "train"))


def test_names_that_the_manifest_does_not_have_are_refused(media: Path, full_repository: Path, tmp_path: Path) -> None:
    repository = tmp_path / "candidates"
    shutil.copytree(full_repository / "audio_starter", repository / "audio_starter")
    (repository / "audio_starter" / "provenance.json").write_text('{"trained_on": ["LipNet"]}')
    (media / "any.csv").write_text(
        "video_id,label,split,path,source\n"
        "a,0,train,tone.wav,github:rizkiarm/LipNet\n"
        "b,1,train,voice.wav,github:rizkiarm/LipNet\n"
    )
    asked = ("--repository", str(repository), "--models", "audio_starter", "--kinds", "audio", "--unlearned")
    with pytest.raises(ManifestError, match="learned from LipNet, which the manifest names by their origin"):
        evaluate.run(evaluation(media / "any.csv", tmp_path / "out", *asked, "--split", "train"))


def test_a_limit_and_names_hold_for_every_choice_of_clips(media: Path, full_repository: Path, tmp_path: Path) -> None:
    assert chosen_by(media, full_repository, tmp_path, "--split", "all", "--source", "o", "--limit", "1") == ["b", "c"]
    listed = media / "chosen.csv"
    listed.write_text(listed.read_text().replace("d,1,", "c,1,"))
    asked = ("--repository", str(full_repository), "--models", "audio_starter", "--kinds", "audio", "--source", "other")
    with pytest.raises(ManifestError, match="names 'c' more than once"):
        evaluate.run(evaluation(listed, tmp_path / "again", *asked, "--split", "all"))
