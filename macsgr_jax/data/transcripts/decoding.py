"""The text of a transcript in whatever encoding it was saved."""

import codecs
from pathlib import Path

from macsgr_jax.errors import InputError
from macsgr_jax.files import refuse_stand_in

# Longer marks first: that of UTF-32 begins with that of UTF-16.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
SAMPLE = 2000  # Bytes that are looked at to find UTF-16 without a mark.
BINARIES = {
    b"PK\x03\x04": "an archive or a workbook of Excel: save it as CSV",
    b"\xd0\xcf\x11\xe0": "a document of Office: save it as CSV or text",
    b"%PDF": "a PDF: save it as text",
    b"RIFF": "a recording: give its transcript, and the recording with --recording",
}


def decode_transcript(path: Path, content: bytes, notices: list[str]) -> str:
    """Decodes UTF-8, UTF-16 or UTF-32, with or without a byte order mark, and otherwise Windows-1252.

    Args:
        path: the file, for messages.
        content: its bytes.
        notices: gets a sentence if the encoding is only likely.

    Returns:
        The text without a byte order mark.

    Raises:
        InputError: it is no text, or a placeholder of one.
    """
    for signature, what in BINARIES.items():
        if content.startswith(signature):
            raise InputError(f"{path} is {what}")
    text = _decode(path, content, notices)
    refuse_stand_in(path, text)  # Of an encoding that only shows in the text.
    return text


def _decode(path: Path, content: bytes, notices: list[str]) -> str:
    for mark, encoding in MARKS:
        if content.startswith(mark):
            try:
                return content.removeprefix(mark).decode(encoding)
            except UnicodeDecodeError:
                if encoding != "utf-8":
                    # A file that was cut inside a letter; what is left of it is not text.
                    raise InputError(f"{path} is damaged {encoding.upper()} text: save it as UTF-8") from None
                content = content.removeprefix(mark)
                break
    sample = content[:SAMPLE]
    zeros = [sample[start::2].count(0) for start in (0, 1)]
    for encoding, there, absent in (("utf-16-le", zeros[1], zeros[0]), ("utf-16-be", zeros[0], zeros[1])):
        if there > len(sample) // 5 and not absent:
            try:
                return content.decode(encoding)
            except UnicodeDecodeError:
                break
    if b"\0" in content:
        raise InputError(f"{path} is not text: give a transcript")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        # Five bytes have no letter in Windows-1252.
        notices.append(f"{path} is not UTF-8 and was read as Windows-1252: if letters are wrong, save it as UTF-8.")
        return content.decode("cp1252", errors="replace")
