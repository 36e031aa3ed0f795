"""How good an exported visual graph is: 32 frames a film, pooled as it is served, per split and source."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from scipy.special import expit, logit
from tqdm import tqdm

from training import metrics
from training.data import Clip, Split, read_clips
from training.visual.faces import STARTER, Seen, collect
from veracity.inputs import Infer

_SHIFTED = "offset"  # in the names of clips whose sound was shifted: their picture is not fake
_CERTAIN = 1e-6  # probabilities nearer to 0 and 1 count as this
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
# What a maker leaves in a picture: one part of the face drawn anew, or all of it. Patterns of `Clip.how`.
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "swaps and mouths": ("faceswap", "Wav2Lip", "MesoNet"),
    "generated heads": ("SadTalker", "AniPortrait"),
}


@dataclass(frozen=True)
class Scored:
    """A clip and the log odds of fake that its faces came to."""

    clip: Clip
    logit: float


def evaluate(
    graphs: Sequence[Path], data: Path, cache: Path, infer: Infer, report: Path, splits: Sequence[Split] = SPLITS
) -> dict[str, Any]:
    """Writes and answers what a graph says of each clip with a face, and what that is worth; raises ManifestError.

    The answer of several graphs is the mean of their log odds.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = [onnxruntime.InferenceSession(str(graph), options, ["CPUExecutionProvider"]) for graph in graphs]
    result: dict[str, Any] = {"graph_sha256": [hashlib.sha256(graph.read_bytes()).hexdigest() for graph in graphs]}
    for kind in ("video", "images"):
        clips = [clip for clip in read_clips(data, (kind,)) if clip.split in splits]
        clips = [clip for clip in clips if not (clip.fake and _SHIFTED in clip.path.name)]
        seen, bad = collect(clips, cache, infer)
        scored = [Scored(one.clip, score(sessions, one)) for one in tqdm(seen, kind) if len(one.crops)]
        result[kind] = {
            **{split: _part([one for one in scored if one.clip.split == split]) for split in splits},
            "without_face": sorted(one.clip.id for one in seen if not len(one.crops)),
            "unreadable": bad,
            "clips": {one.clip.id: round(one.logit, 2) for one in scored},
        }
    report.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


def score(sessions: Sequence[onnxruntime.InferenceSession], seen: Seen) -> float:
    """The clip's log odds: of the mean over frames of the worst face's P(fake), as `veracity.verdict` pools."""
    step = STARTER.request_items
    batches = [seen.crops[first : first + step] for first in range(0, len(seen.crops), step)]
    answers = [np.concatenate([_ask(session, batch) for batch in batches]) for session in sessions]
    return float(logit(np.clip(clip_score(seen.times, np.mean(answers, axis=0)), _CERTAIN, 1 - _CERTAIN)))


def clip_score(times: npt.NDArray[np.float64], logits: npt.NDArray[np.floating[Any]]) -> float:
    """As `veracity.verdict` pools: the mean over frames of the worst face's P(fake)."""
    probability = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return float(np.mean([probability[times == time].max() for time in np.unique(times)]))


def _ask(session: onnxruntime.InferenceSession, batch: Any) -> metrics.Scores:
    answer: metrics.Scores = session.run(["FAKE_LOGIT"], {"FACE": batch})[0][:, 0]
    return answer


def _part(scored: Sequence[Scored]) -> dict[str, Any]:
    """A split as a whole, by family of fakes, and by source."""
    reals = [one for one in scored if not one.clip.fake]
    rows: dict[str, Any] = {"all": quality(scored)}
    for family, patterns in FAMILIES.items():
        mine = [one for one in scored if one.clip.fake and any(pattern in one.clip.how for pattern in patterns)]
        rows[family] = quality([*reals, *mine])
    sources = sorted({(one.clip.label, one.clip.source) for one in scored})
    rows["sources"] = [_source(scored, reals, label, source) for label, source in sources]
    return rows


def _source(scored: Sequence[Scored], reals: Sequence[Scored], label: str, source: str) -> dict[str, Any]:
    """Of fakes: the AUC against all reals of the split; of all: the share over 0.5 and the mean P(fake)."""
    own = [one for one in scored if (one.clip.label, one.clip.source) == (label, source)]
    chances = expit([one.logit for one in own])
    row = {"label": label, "source": source, "clips": len(own), "called_fake": round(float(np.mean(chances > 0.5)), 3)}
    row["mean_p"] = round(float(np.mean(chances)), 3)
    return row if label == "real" else {**row, **quality([*reals, *own])}


def quality(scored: Sequence[Scored]) -> dict[str, Any]:
    """AUC and equal error rate with their intervals; only the counts where a label is missing."""
    labels, logits = np.array([one.clip.fake for one in scored], bool), np.array([one.logit for one in scored])
    counts = {"real": int((~labels).sum()), "fake": int(labels.sum())}
    if not all(counts.values()):
        return counts
    found = {name: metrics.interval(measure, labels, logits).to_dict()
             for name, measure in (("auc", metrics.auc), ("eer", metrics.eer))}  # fmt: skip
    return {**counts, **found}
