"""What facts and credentials amount to: the visible metadata, and the marks by which a file declares what it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from veracity_gateway.provenance.facts import Fact, Facts, from_json
from veracity_gateway.provenance.records import Action, Credentials, Declared, Kind, Metadata, State
from veracity_gateway.provenance.words import CAPTURED, GENERATIVE, MOST, SOURCE_TYPES, clean, source_type

# Names in lower case. QuickTime's are those of Apple's and Android's cameras.
MAKE = ("make", "com.apple.quicktime.make", "com.android.manufacturer")
MODEL = ("model", "com.apple.quicktime.model", "com.android.model")
SOFTWARE = (
    "software",
    "creatortool",
    "com.apple.quicktime.software",
    "encoder",
    "encoding_tool",
    "writing_application",
)
CREATED = ("datetimeoriginal", "datecreated", "createdate", "creation_time", "com.apple.quicktime.creationdate")
CHANGED = ("datetime", "modifydate", "date:modify", "modification_time")
PLACE = ("gps", "gpslatitude", "location", "location-eng", "com.apple.quicktime.location.iso6709")
EXIF_TIME = re.compile(r"(\d{4}):(\d\d):(\d\d)[ T]")

# GB 45438-2025, China's labels of synthetic content
AIGC = re.compile(r"AIGC\W+?(\{.*\})", re.S)
AIGC_LABELS = {"1": "made by AI", "2": "possibly made by AI", "3": "suspected to be made by AI"}
AI_SYSTEM = ("aisystemused", "aisystemversionused", "aipromptinformation", "aipromptwritername")  # IPTC 2025.1
CREDITS = (
    "credit",
    "by-line",
    "artist",
    "creator",
    "comment",
    "description",
    "imagedescription",
    "usercomment",
    "caption",
)
GENERATOR = re.compile(
    r"\b(made with google ai|edited with google ai|stable diffusion|comfyui|invokeai|novelai|midjourney|dall[·-]?e|"
    r"adobe firefly|chatgpt|openai|sora|runwayml|heygen|synthesia|google veo|kling ai|stability ai)\b",
    re.I,
)
# Texts that generators leave in PNGs, and in the comments of JPEGs
LEFT_BY = {
    "parameters": "Stable Diffusion (its web interface)",
    "workflow": "ComfyUI",
    "prompt": "ComfyUI",
    "invokeai_metadata": "InvokeAI",
    "sd-metadata": "InvokeAI",
    "dream": "InvokeAI",
}
PARAMETERS = re.compile(r"\bSteps: \d+, .*\bSampler: ", re.S)


def metadata(facts: Facts) -> Metadata:
    """Return what is usually asked of metadata."""
    return Metadata(
        format=facts.format,
        make=next((clean(fact.text) for fact in facts.of(*MAKE)), None),
        model=next((clean(fact.text) for fact in facts.of(*MODEL)), None),
        software=_texts(facts.of(*SOFTWARE)),
        created=_texts(facts.of(*CREATED)),
        changed=_texts(facts.of(*CHANGED)),
        location=any(facts.of(*PLACE)),
        edits=tuple(facts.edits)[:MOST],
        unread=tuple(facts.unread)[:MOST],
    )


def declared(facts: Facts, state: State, credentials: Credentials | None) -> tuple[Declared, ...]:
    """Return what the file declares itself to be, each mark once."""
    marks = [*_of_actions(credentials.actions if credentials else (), state)]
    for fact in facts.found:
        marks += _of_fact(fact)
    if facts.edits:
        steps = ", ".join(dict.fromkeys(edit.action for edit in facts.edits))
        marks.append(Declared("edit", f"its history has {len(facts.edits)} steps", "XMP history", clean(steps)))
    return tuple(dict.fromkeys(marks))[:MOST]


def _texts(facts: Iterable[Fact]) -> tuple[str, ...]:
    texts = (clean(EXIF_TIME.sub(r"\1-\2-\3T", fact.text, count=1)) for fact in facts)
    return tuple(dict.fromkeys(texts))[:MOST]


def _of_actions(actions: Iterable[Action], state: State) -> Iterator[Declared]:
    for action in actions:
        if action.digital_source_type:
            where = f"content credentials ({state}), {action.of}: {action.means}"
            yield from _of_source_type(action.digital_source_type, clean(where))


def _of_source_type(name: str, where: str) -> Iterator[Declared]:
    kind: Kind = "ai" if name in GENERATIVE else "camera" if name in CAPTURED else "edit"
    if name in SOURCE_TYPES:
        yield Declared(kind, f"the file says: {SOURCE_TYPES[name]}", where, name)


def _of_fact(fact: Fact) -> Iterator[Declared]:
    name, where = fact.name.lower(), clean(f"{fact.where}: {fact.name}")
    if name == "digitalsourcetype":
        yield from _of_source_type(source_type(fact.text) or "", where)
    elif name in AI_SYSTEM:
        yield Declared("ai", "the file names the AI that it was made with", where, clean(fact.text))
    elif name in MAKE or name in MODEL:
        yield Declared("camera", "the file names the camera that it was taken with", where, clean(fact.text))
    elif label := _aigc(name, fact.text):
        yield Declared("ai", f"the file carries China's label of AI content: {label}", where, clean(fact.text))
    elif left_by := _left_by(fact, name):
        yield Declared("ai", f"the file holds the settings of a generator: {left_by}", where, clean(fact.text))
    elif (name in CREDITS or name in SOFTWARE) and (named := GENERATOR.search(fact.text)):
        yield Declared("ai", f"the file names a generator: {clean(named[0])}", where, clean(fact.text))


def _aigc(name: str, text: str) -> str | None:
    found = text if name == "aigc" else match[1] if (match := AIGC.search(text)) else ""
    if not found:
        return None
    content = from_json(found)
    content = content.get("AIGC", content)
    label = content.get("Label") if isinstance(content, dict) else None
    return AIGC_LABELS.get(str(label), "a label that is not in the standard")


def _left_by(fact: Fact, name: str) -> str | None:
    if PARAMETERS.search(fact.text):
        return LEFT_BY["parameters"]
    if fact.where == "PNG text" and name in LEFT_BY and name != "parameters":
        return LEFT_BY[name] if from_json(fact.text) or name == "dream" else None
    return None
