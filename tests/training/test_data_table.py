"""The table of the media and its split: whole sources, systems and people in one part, and the manifests in full."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from evaluation.manifest import read_clips
from training.data import recipes, table
from training.data.collect import collect, rows
from training.data.fetch import write_manifests
from training.data.split import ALLOWED, components, parts
from training.data.summary import summary
from training.data.table import PARTS
from training.folds import FOLDS, fold, group, unrelated_to
from veracity.calibrate.errors import ManifestError

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
KINDS = ("audio", "images", "video")
ITEMS = table.read()


def test_no_source_system_voice_person_or_pair_is_in_two_parts() -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for item in ITEMS:
        for shared in item.groups:
            found[shared].add(item.set.part)
    assert {shared: where for shared, where in found.items() if len(where) > 1} == {}
    assert {item.sha256: item.set.part for item in ITEMS} == {item.sha256: item.set.part for item in reversed(ITEMS)}


@pytest.mark.parametrize("part", PARTS)
def test_every_part_has_real_and_fake_media_of_every_kind(part: str) -> None:
    found = {(item.set.kind, item.set.label) for item in ITEMS if item.set.part == part}
    assert found == {(kind, label) for kind in KINDS for label in ("real", "fake")}


def test_the_parts_are_those_of_the_rule_and_allowed() -> None:
    assert parts(ITEMS) == [item.set.part for item in ITEMS]
    assert parts(ITEMS[::-1]) == [item.set.part for item in ITEMS[::-1]]
    assert all(item.set.part in ALLOWED[item.set.use] for item in ITEMS)
    assert {item.set.part for item in ITEMS if item.set.use == "test_only"} == {"test"}


def test_items_that_share_anything_are_one_component() -> None:
    first, *others = [item for item in ITEMS if item.set.part == "test"]
    other = next(item for item in others if not {*item.groups} & {*first.groups} and item.set.use != "test_only")
    assert len(components([first, other])) == 2
    joined = [replace(item, links=("person:one",)) for item in (first, other)]
    assert [len(each) for each in components(joined)] == [2]


def test_what_may_only_be_measured_takes_all_that_hangs_on_it_into_the_test() -> None:
    measured = next(item for item in ITEMS if item.set.use == "test_only")
    trained = [item for item in ITEMS if item.set.part == "train"]
    assert parts([measured, *(replace(item, links=measured.groups) for item in trained)]) == ["test"] * (
        1 + len(trained)
    )


def test_a_use_that_fits_no_part_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.data.split.ALLOWED", {**ALLOWED, "train_only": ("train",)})
    with pytest.raises(ManifestError, match="test_only and train_only: no part may hold them all"):
        parts(ITEMS)  # a fake whose original may only be measured


def test_the_table_is_written_as_it_is_read_and_small(tmp_path: Path) -> None:
    assert {path.name: text for path, text in table.written(ITEMS).items()} == {
        name: (table.HERE / name).read_bytes() for name in ("sources.toml", "items.csv")
    }
    assert sum(map(len, table.written(ITEMS).values())) < 1_000_000
    table.save(ITEMS[:3], tmp_path)
    assert table.read(tmp_path) == ITEMS[:3]
    (tmp_path / "items.csv").write_text("path\nnothing\n")
    with pytest.raises(ManifestError, match="cannot be read"):
        table.read(tmp_path)


def test_every_item_has_a_digest_a_place_and_a_recipe() -> None:
    assert len({item.place for item in ITEMS}) == len(ITEMS)
    for item in ITEMS:
        assert len(item.sha256) == 64
        assert recipes.is_local(item.recipe) or item.recipe.split()[0] in recipes.RECIPES
        assert item.at or recipes.is_local(item.recipe)
        assert bool(item.set.system and item.set.era) == (item.set.label == "fake")


def test_the_present_rule_holds_on_the_first_batch(tmp_path: Path) -> None:
    clips = read_clips(assembled(tmp_path) / "first", KINDS)
    assert len(clips) == len([item for item in ITEMS if item.set.batch == "first"])
    assert {clip.split for clip in clips} == {"train", "validation", "test"}


def test_every_fold_holds_both_labels_of_sound(tmp_path: Path) -> None:
    clips = [clip for clip in read_clips(assembled(tmp_path), ("audio",)) if clip.split != "test"]
    assert {name for each in FOLDS for name in each} <= {group(clip) for clip in clips}
    for number in range(len(FOLDS)):
        assert {clip.label for clip in clips if fold(clip) == number} == {"real", "fake"}
        assert {clip.label for clip in unrelated_to(number, clips)} == {"real", "fake"}


@pytest.mark.parametrize("held_out", range(len(FOLDS)))
def test_a_fold_shares_no_system_no_origin_and_no_real_voice_with_what_is_trained_on(
    held_out: int, tmp_path: Path
) -> None:
    clips = [clip for clip in read_clips(assembled(tmp_path), ("audio", "video")) if clip.split != "test"]
    trained_on = {link for clip in unrelated_to(held_out, clips) for link in clip.links}
    for clip in clips:
        if fold(clip) == held_out:
            apart = ("system:", "source:") if clip.fake else ("source:", "corpus:", "voice:", "person:")
            assert not trained_on & {link for link in clip.links if link.startswith(apart)}


def assembled(folder: Path) -> Path:
    """Empty files with the manifests of the table."""
    for item in ITEMS:
        path = folder / item.place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    write_manifests(ITEMS, {}, folder)
    return folder


def test_both_batches_together_are_split_by_the_table(tmp_path: Path) -> None:
    assembled(tmp_path)
    named = {"train": "train", "development": "validation", "test": "test"}
    assert {clip.id: clip.split for clip in read_clips(tmp_path, KINDS)} == {
        item.place: named[item.set.part] for item in ITEMS
    }
    with (tmp_path / "manifest.csv").open() as file:
        assert {row["split"] for row in csv.DictReader(file)} == set(PARTS)


def test_the_summary_counts_every_item_once() -> None:
    lines = summary(ITEMS).splitlines()
    cells = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert sum(int(row[3]) for row in cells if row[1]) == len(ITEMS)
    assert sum(int(row[3]) for row in cells if not row[1]) == len(ITEMS)


def test_the_table_is_that_of_the_manifests() -> None:
    folders = [SHARED / "data", SHARED / "data2"]
    if not all((folder / "manifest.csv").is_file() for folder in folders):
        pytest.skip("the development media are not here")
    assert table.written(collect(folders, ITEMS, None)) == table.written(ITEMS)
    stated = {(row.batch, row.values["path"]): (row.values["sha256"], row.values["use"]) for row in rows(folders)}
    assert {(item.set.batch, item.path): (item.sha256, item.set.use) for item in ITEMS} == stated


def test_the_page_shows_the_split_as_it_is() -> None:
    page = (table.HERE.parents[1] / "docs" / "training.md").read_text(encoding="utf-8")
    assert summary(ITEMS) in page
    local = sum(recipes.is_local(item.recipe) for item in ITEMS)
    made = sum(item.recipe != "as-is" for item in ITEMS) - local
    for figure in (f"{len(ITEMS):,} files", f"{made:,} items", f"{local} items say `local:`"):
        assert figure in page
