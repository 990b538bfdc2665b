"""One XMP packet: what made the picture, for machines (ISO 16684-1).

Reading is for packets that anyone may have written: documents with a DTD are refused, so nothing is
ever expanded or fetched, and a packet has a size limit.
"""

from collections.abc import Mapping
from typing import NamedTuple
from xml.parsers import expat
from xml.sax.saxutils import escape

NAMESPACE = "urn:underpaint:ns:1.0/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_IPTC_EXT = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
LONGEST_PACKET_BYTES = 8 << 20  # a recipe of two full prompts takes under one
_DEEPEST = 64  # real packets nest some ten elements

# What JSON leaves bare and XML 1.0 (section 2.2) forbids; controls are escaped by JSON already.
_NOT_XML = str.maketrans({"\ufffe": "\\ufffe", "\uffff": "\\uffff"})

_PACKET = """\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="{rdf}">
  <rdf:Description rdf:about=""
    xmlns:underpaint="{underpaint}"
    xmlns:Iptc4xmpExt="{iptc}">
{properties}
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


class Properties(NamedTuple):
    """What a packet says that matters here; None where it says nothing.

    Attributes:
        recipe: Underpaint's own, JSON.
        digital_source_type: IPTC's, a full URI.
    """

    recipe: str | None
    digital_source_type: str | None


_NAMES = {
    f"{NAMESPACE} recipe": "recipe",
    f"{_IPTC_EXT} DigitalSourceType": "digital_source_type",
}


def write_packet(recipe: str, digital_source_type: str | None) -> bytes:
    """The packet that holds a recipe's JSON and, unless None, where the pixels come from."""
    values = {
        "Iptc4xmpExt:DigitalSourceType": digital_source_type,
        "underpaint:recipe": recipe.translate(_NOT_XML),
    }
    lines = [
        f"   <{name}>{escape(value)}</{name}>"
        for name, value in values.items()
        if value is not None
    ]
    text = _PACKET.format(
        rdf=_RDF, underpaint=NAMESPACE, iptc=_IPTC_EXT, properties="\n".join(lines)
    )
    return text.encode()


def read_packet(packet: bytes) -> Properties:
    """What anyone's packet says, as elements or as attributes of an ``rdf:Description``.

    Raises:
        ValueError: it is too large, too deep, no XML, or has a DTD.
    """
    if len(packet) > LONGEST_PACKET_BYTES:
        raise ValueError("an XMP packet of more than 8 MiB")
    reader = _Reader()
    try:
        reader.read(packet)
    except expat.ExpatError as error:
        raise ValueError("the XMP packet is no XML") from error
    return Properties(reader.found.get("recipe"), reader.found.get("digital_source_type"))


class _Reader:
    """Collects the wanted properties; of two with one name the first counts."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self._inside: list[str] = []
        self._text: list[str] = []

    def read(self, packet: bytes) -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        parser.StartDoctypeDeclHandler = self._refuse_dtd
        parser.Parse(packet.strip(b"\0 \r\n\t"), True)  # noqa: FBT003  expat's own signature

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._inside.append(name)
        if len(self._inside) > _DEEPEST:
            raise ValueError("an XMP packet nested too deep")
        self._text.clear()
        if name == f"{_RDF} Description":
            for attribute, value in attributes.items():
                self._keep(attribute, value)
        elif name in _NAMES and f"{_RDF} resource" in attributes:
            self._keep(name, attributes[f"{_RDF} resource"])

    def _end(self, name: str) -> None:
        self._inside.pop()
        if name in _NAMES:
            self._keep(name, "".join(self._text))
        self._text.clear()

    def _keep(self, name: str, value: str) -> None:
        if name in _NAMES:
            self.found.setdefault(_NAMES[name], value)

    def _refuse_dtd(self, *_: object) -> None:
        raise ValueError("an XMP packet with a DTD")
