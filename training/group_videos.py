"""`python -m training group`: several people side by side, one of them fake, to measure whether that one is named.

Every fake film of a part in which one face is seen stands beside one real film, and beside two. Each has a twin with
another real person in the fake one's place. All are cut to a square around the face, scaled to one size, and encoded
alike without sound, so that neither the size of a face nor a codec tells them apart.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from tqdm import tqdm

from evaluation.manifest import Clip, read_clips
from training.cache import UnusableClip, list_made, report
from training.composed_videos import encode
from training.visual.faces import Image
from veracity.calibrate.errors import ManifestError
from veracity.catalog.layers import FPS
from veracity.evidence.faces import is_visible
from veracity.evidence.requests import Infer
from veracity.evidence.sampling import detect
from veracity.media import Limits, Media, Source
from veracity_client.errors import VeracityError

FRAMES = (2 * FPS, 6 * FPS)  # of a film, at least and at most
LOOKS = 5  # frames in which faces are counted
WIDE = 3  # sides of the face that a person's square is wide, where the film has room for that
SIDES = (240, 480)  # pixels of a square, at least and at most; nothing is enlarged
COMPANIONS = (1, 2)  # real people beside the fake one, in a film each
CRF = 20  # of H.264
SILENCE = np.zeros(0, np.int16)


@dataclass(frozen=True)
class Person:
    """A film with one face: how many frames it has, and left, top and side of the square around the face, in pixels."""

    clip: Clip
    frames: int
    square: tuple[int, int, int]


def run(options: argparse.Namespace) -> None:
    """Write the films of ``options.split`` and their manifest.csv to ``options.out``; raises ManifestError."""
    from training.joint.command import load_face_detector

    infer = load_face_detector(options.threads)
    people: list[Person] = []
    bad: list[str] = []
    for clip in tqdm([clip for clip in read_clips(options.data) if clip.split == options.split], "faces", disable=None):
        try:
            people.append(asyncio.run(_look(clip, infer)))
        except (VeracityError, UnusableClip) as error:
            bad.append(f"{clip.id}: {error}")
    options.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, str]] = []
    for person in tqdm([person for person in people if person.clip.fake], "films", disable=None):
        for count in COMPANIONS:
            try:
                rows += list(_both(person, count, people, options))
            except (VeracityError, UnusableClip) as error:
                bad.append(f"{person.clip.id}, beside {count}: {error}")
    if not rows:
        raise ManifestError("; ".join(["no fake film has real ones of other people to stand beside it", *bad]))
    list_made(rows, options.out / "manifest.csv")
    sys.stdout.write("\n".join([f"{len(rows)} films in {options.out}", *report(bad), ""]))


async def _look(clip: Clip, infer: Infer) -> Person:
    """Raises UnusableClip unless every frame that is looked at shows one face, and that large enough."""
    with Media.open(Source(clip.path), Limits()) as media:
        total = min(FRAMES[1], int(await media.video_seconds() * FPS))
        if total < FRAMES[0]:
            raise UnusableClip(f"it is shorter than {FRAMES[0] / FPS:g} s")
        wanted = np.linspace(0, total - 1, LOOKS).astype(int).tolist()
        frames = [frame async for frame in media.frames(wanted)]
    found = [[face for face in of if is_visible(face, frames[0].image)] for of in await detect(infer, frames)]
    if any(len(faces) != 1 for faces in found):
        raise UnusableClip(f"it shows {', '.join(str(len(faces)) for faces in found)} faces, not one all the time")
    height, width = frames[0].image.shape[:2]
    middle = np.mean([face.centre for (face,) in found], axis=0)
    side = min(height, width, int(WIDE * max(face.side for (face,) in found)))
    if side < SIDES[0]:
        raise UnusableClip(f"it and its face are too small: {side} pixels, of {SIDES[0]} at least")
    left, top = (int(np.clip(at - side / 2, 0, room - side)) for at, room in zip(middle, (width, height)))
    return Person(clip, total, (left, top, side))


def _both(fake: Person, count: int, people: Sequence[Person], options: argparse.Namespace) -> Iterator[dict[str, str]]:
    """The fake person beside ``count`` real ones, and the same with another real one in its place."""
    seed = zlib.crc32(fake.clip.id.encode())
    rng = np.random.default_rng([seed, count])
    real = _strangers(fake, [people[k] for k in rng.permutation(len(people))])[: count + 1]
    if len(real) <= count:
        return
    place = int(rng.integers(count + 1))
    side = min(SIDES[1], *(person.square[2] for person in (fake, *real))) // 2 * 2
    squares = asyncio.run(_squares([fake, *real], side))
    for label, one in (("fake", squares[0]), ("real", squares[1])):
        named = label == "fake"
        path = options.out / f"{seed:08x}.{count + 1}.{label}.mp4"
        shown = [*squares[2 : 2 + place], one, *squares[2 + place :]]
        encode(np.concatenate(shown, axis=2), SILENCE, path, CRF)
        edges = [f"{k / len(shown):.3f}" for k in range(len(shown) + 1)]
        places = [f"{left}-{right}" for left, right in pairwise(edges)]
        yield {
            "path": path.name,
            "kind": "video",
            "label": label,
            "how": f"{fake.clip.how}, beside real people" if named else "",
            "source": fake.clip.source,
            "licence": "as its parts",
            "use": "test_only" if options.split == "test" else "train_only",
            "split": "development" if options.split == "validation" else options.split,
            "notes": f"source:{fake.clip.source}",
            "maker": fake.clip.maker if named else "",
            "places": " ".join(places),
            "fake_person": places[place] if named else "",
        }


def _strangers(fake: Person, people: Sequence[Person]) -> list[Person]:
    """Those real ones, in order, that have no source, person or other link with the fake one or with each other."""
    taken, found = {fake.clip.source, *fake.clip.links}, []
    for person in people:
        links = {person.clip.source, *person.clip.links}
        if not person.clip.fake and not links & taken:
            found.append(person)
            taken |= links
    return found


async def _squares(people: Sequence[Person], side: int) -> list[Image]:
    """Each one's square, RGB uint8 [n, side, side, 3], of as many frames as the shortest film has."""
    wanted = range(min(person.frames for person in people))
    found = []
    for person in people:
        left, top, size = person.square
        square = np.s_[top : top + size, left : left + size]
        with Media.open(Source(person.clip.path), Limits()) as media:
            cut = [
                cv2.resize(frame.image[square], (side, side), interpolation=cv2.INTER_AREA)
                async for frame in media.frames(wanted)
            ]
        found.append(np.stack(cut).astype(np.uint8))
    shortest = min(map(len, found))
    return [square[:shortest] for square in found]
