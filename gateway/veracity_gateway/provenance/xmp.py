"""XMP: Adobe's and IPTC's metadata as XML. Only in the child process."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

from veracity_gateway.provenance.facts import Facts
from veracity_gateway.provenance.records import Edit
from veracity_gateway.provenance.words import MOST, clean, cleaned

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
EVENT = "{http://ns.adobe.com/xap/1.0/sType/ResourceEvent#}"
LONGEST = 4 << 20  # characters; Adobe's own history of a picture has been seen at 1 MiB


def read(packet: bytes | str, facts: Facts) -> None:
    """Add what an XMP packet says."""
    text = packet.decode("utf-8", "replace") if isinstance(packet, bytes) else packet
    text = text.lstrip("\ufeff").strip("\0 \r\n\t")
    if len(text) > LONGEST:
        facts.unread.append("XMP: too long")
        return
    if "<!DOCTYPE" in text or "<!ENTITY" in text:  # XMP has neither; entities are how XML is made to explode
        facts.unread.append("XMP: it declares entities")
        return
    try:
        root = ElementTree.fromstring(text)  # noqa: S314  what it warns of is refused above
    except ElementTree.ParseError as error:
        facts.unread.append(f"XMP: {clean(error)}")
        return
    for name, value in _properties(root):
        facts.add("XMP", name, value)
    facts.edits += [edit for edit in map(_edit, root.iter(f"{RDF}li")) if edit][:MOST]


def _properties(root: ElementTree.Element) -> Iterator[tuple[str, str]]:
    """Yield name and text of each property; those of a list have the name of the list."""
    waiting = [(root, "")]
    while waiting:
        element, name = waiting.pop()
        if not element.tag.startswith(RDF):
            name = _local(element.tag)
        for key, value in element.attrib.items():
            yield (name if key == f"{RDF}resource" else _local(key)), value
        if element.text and element.text.strip():
            yield name, element.text
        waiting += [(child, name) for child in reversed(element)]


def _edit(entry: ElementTree.Element) -> Edit | None:
    """Return a step of the history; its parts are attributes or elements."""
    holders = [entry, *entry.findall(f"{RDF}Description")]
    parts = {key: value for holder in holders for key, value in holder.attrib.items()}
    parts |= {child.tag: child.text or "" for holder in holders for child in holder}
    action = cleaned(parts.get(f"{EVENT}action"))
    if action is None:
        return None
    return Edit(action, cleaned(parts.get(f"{EVENT}when")), cleaned(parts.get(f"{EVENT}softwareAgent")))


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
