"""What the lip starter is shown: lips with the face round them, and the sound of the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from veracity.catalog import MODELS, Tensor
from veracity.catalog.layers import LIP_SIZE as SIDE
from veracity.catalog.layers import MOUTH_SIZE
from veracity.evidence.crops import MEAN_FACE, mouth_crops
from veracity.evidence.detector import score
from veracity.evidence.kinds import LipRuns
from veracity.evidence.lips import lip_crops, moves
from veracity.evidence.requests import Sample, State, sound_around

SOUND = Tensor("SOUND", "INT16", (28_800,))  # 25 frames, and 10 more on either side


def test_lips_are_the_mouths_crop_and_what_is_round_it() -> None:
    rng = np.random.default_rng(0)
    frames = list(np.asarray(rng.integers(0, 256, (25, 256, 256)), np.uint8))
    landmarks = np.stack([MEAN_FACE + np.array([k % 3, 0]) for k in range(25)])
    edge = (SIDE - MOUTH_SIZE) // 2
    middle = slice(edge, edge + MOUTH_SIZE)
    lips = lip_crops(frames, landmarks)
    assert lips.shape == (25, SIDE, SIDE)
    assert np.array_equal(lips[:, middle, middle], mouth_crops(frames, landmarks))
    colour = [np.repeat(frame[..., None], 3, axis=2) for frame in frames]
    assert np.array_equal(lip_crops(colour, landmarks), lips)
    assert lip_crops([], np.zeros((0, 5, 2))).shape == (0, SIDE, SIDE)
    with pytest.raises(ValueError, match="25 frames"):
        lip_crops(frames, landmarks[:3])


def test_a_photograph_has_no_moving_mouth_whatever_the_codec_does_to_it() -> None:
    rng = np.random.default_rng(0)
    one = np.asarray(rng.integers(0, 256, (SIDE, SIDE)), np.uint8)
    photograph = np.repeat(one[None], 25, axis=0)
    noisy = np.asarray(np.clip(photograph + rng.normal(0, 0.4, photograph.shape).round(), 0, 255), np.uint8)
    talking = np.stack([np.roll(one, k % 5, axis=0) for k in range(25)])
    half_rate = np.repeat(talking[::2], 2, axis=0)[:25]  # every picture held for two
    assert not moves(photograph)
    assert not moves(noisy)
    assert moves(talking)
    assert moves(half_rate)


def test_the_sound_beside_a_second_begins_ten_frames_before_it() -> None:
    sound = np.arange(3 * 16_000, dtype=np.int16)
    item = Sample(1.0, 2.0, np.zeros(0, np.uint8))
    heard = sound_around(item, sound, SOUND)
    assert heard.shape == SOUND.shape
    assert heard[10 * 640] == sound[16_000]
    first = sound_around(replace(item, start=0.0, end=1.0), sound, SOUND)
    assert not first[: 10 * 640].any()
    assert np.array_equal(first[10 * 640 :], sound[: 35 * 640])
    assert not sound_around(replace(item, start=9.0, end=10.0), sound, SOUND).any()
    assert not sound_around(item, sound[:0], SOUND).any()


class Ear:
    """Answers the loudest sample that came with each item."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    async def __call__(self, model: str, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        self.sizes.append(len(inputs["SOUND"]))
        assert len(inputs["LIPS"]) == len(inputs["SOUND"])
        return {"FAKE_LOGIT": inputs["SOUND"].max(axis=1, keepdims=True).astype(np.float32)}

    def state(self, model: str) -> State:
        return "ready"


def test_a_model_that_hears_is_asked_with_the_sound_of_each_item() -> None:
    lips = Tensor("LIPS", "UINT8", (25, SIDE, SIDE))
    model = replace(MODELS["lipsync_starter"], inputs=(lips, SOUND))
    assert model.request_items == 2
    sound = np.repeat(np.arange(8, dtype=np.int16), 16_000)
    items = [Sample(float(k), k + 1.0, np.zeros(lips.shape, np.uint8)) for k in (1, 4, 6)]
    ear = Ear()
    answer = asyncio.run(score(ear, LipRuns(model), items, sound))
    assert answer.logits.tolist() == [2.0, 5.0, 7.0]  # 0.4 s into the next second
    assert ear.sizes == [2, 1]
    assert asyncio.run(score(ear, LipRuns(model), items)).logits.tolist() == [0.0] * 3
