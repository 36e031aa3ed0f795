"""Reasons as codes: why a layer has no score, why a verdict is degraded, why it is inconclusive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from veracity_client.words import open_words

ReasonCode = Literal[
    "not_requested",
    "not_needed",
    "uninformative",
    "no_audio",
    "no_video",
    "no_speech",
    "no_face",
    "face_too_small",
    "picture_too_small",
    "mouth_still",
    "face_not_followed",
    "too_short",
    "weights_missing",
    "model_rejected",
    "other_kind",
    "model_down",
    "model_failed",
    "audio_unreadable",
    "frames_unreadable",
    "truncated",
    "nothing_scored",
    "evidence_too_weak",
    "evidence_conflicts",
    "part_fake",
    "between_thresholds",
    "not_supported",
    "uncalibrated",
    "untrained",
    "out_of_domain",
    "nobody_speaks",
    "speaker_unclear",
]
AnyReasonCode = ReasonCode
if not TYPE_CHECKING:
    AnyReasonCode = open_words(ReasonCode)

MEANINGS: Mapping[ReasonCode, str] = {
    "not_requested": "The options leave this layer out.",
    "not_needed": "The policy stopped before this layer: its score was not needed for the label.",
    "uninformative": "The layer's models were measured and do not separate real from fake, so they are not asked.",
    "no_audio": "The file has no audio track.",
    "no_video": "The file has no video track.",
    "no_speech": "No speech was found in the sound.",
    "no_face": "No face was found in the frames.",
    "face_too_small": "Every face is narrower than the model can judge.",
    "picture_too_small": "The picture has fewer pixels than the model can judge.",
    "mouth_still": "Faces were followed, and no mouth moves in the seconds that were looked at.",
    "face_not_followed": "Faces were found, and none stayed visible for as long as the model needs.",
    "too_short": "The file holds less speech, or fewer frames, than the model needs.",
    "weights_missing": "The model's weights are not installed.",
    "model_rejected": "The model is installed, and its provenance does not allow a verdict to rest on it.",
    "other_kind": "The model is made for another kind of file.",
    "model_down": "The model is installed and does not answer.",
    "model_failed": "The model answered with an error, or refused because it has too much work.",
    "audio_unreadable": "The sound cannot be decoded.",
    "frames_unreadable": "The frames cannot be decoded.",
    "truncated": "The file can be read in part only.",
    "nothing_scored": "No layer that carries weight has a score.",
    "evidence_too_weak": "The layers that scored are too small a share of the evidence for the label.",
    "evidence_conflicts": "Layers disagree: one says fake, another real, and together they say neither.",
    "part_fake": "A part of the file would be fake by itself, so that the whole is not called real.",
    "between_thresholds": "The probability lies between the thresholds for real and for fake.",
    "not_supported": "The measurements do not show that a clip like this can be called real, or fake, and be right.",
    "uncalibrated": "The models were not calibrated together, so no threshold applies to their scores.",
    "untrained": "The model's weights are made up, for measuring time; its score means nothing.",
    "out_of_domain": "The file is unlike the data that the models were trained and measured on.",
    "nobody_speaks": "Speech is heard, and of no face in the picture is it seen that it speaks.",
    "speaker_unclear": "Speech is heard, and more than one face looks as if it speaks.",
}


@dataclass(frozen=True)
class Reason:
    """A reason for programs (``code``) and the same for people (``text``)."""

    code: AnyReasonCode
    text: str
