"""A form whose last field is a file, read as it comes: never more of it is held than one read's worth (RFC 7578)."""

from collections import deque
from collections.abc import AsyncIterator

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from hedgerow.api.bodies import body_pieces
from hedgerow.api.protocol_errors import MalformedError, UnsupportedMediaTypeError
from hedgerow.domain.errors import InvalidError

FILE = "file"
_SMALL_BYTES = 64 * 1024  # of all fields and headers together, and of what follows the file
_MOST_FIELDS = 50


class PostedForm:
    """The form of one request: first its fields, then its file."""

    def __init__(self, request: Request, stall_seconds: float) -> None:
        """`stall_seconds` bounds how slowly the form may come.

        Raises UnsupportedMediaTypeError for what is no multipart form, MalformedError for one without a border.
        """
        media_type, options = parse_options_header(request.headers.get("content-type", ""))
        if media_type != b"multipart/form-data":
            raise UnsupportedMediaTypeError("Files are sent as multipart/form-data.")
        boundary = options.get(b"boundary", b"")
        if not 0 < len(boundary) <= 200:
            raise MalformedError("The form names no boundary.")
        self._parts = _Parts(boundary)
        self._stream = body_pieces(request, stall_seconds)
        self._at_file = False

    async def fields(self) -> dict[str, str]:
        """The fields before the file. Raises InvalidError (attr `file`) where no file follows, MalformedError."""
        parts, fields = self._parts, dict[str, str]()
        while not parts.in_file:
            fields |= parts.take_fields()
            if parts.ended or not await self._more():
                raise InvalidError("The form lacks the field file, which must be its last.", attr=FILE, detail_code="required")
        return fields | parts.take_fields()

    async def file(self) -> AsyncIterator[bytes]:
        """The pieces of the file, once the fields are read. What follows it is ignored. Raises MalformedError where it is cut short."""
        parts = self._parts
        while True:
            while parts.pieces:
                yield parts.pieces.popleft()
            if not await self._more():
                break
        if not parts.ended:
            raise MalformedError("The form ends before its last boundary.")

    async def _more(self) -> bool:
        """Read and take in one more piece of the body; False at its end."""
        data = await anext(self._stream, None)
        if data is not None:
            self._parts.feed(data)
        return data is not None


class _Parts:
    """What a parser has found so far."""

    def __init__(self, boundary: bytes) -> None:
        self.pieces: deque[bytes] = deque()
        self.in_file = False  # or behind it
        self.ended = False
        self._fields: list[tuple[str, bytes]] = []
        self._found = 0
        self._small = 0
        self._name: str | None = None
        self._value = bytearray()
        self._header = [bytearray(), bytearray()]
        self._disposition = b""
        self._takes_file = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_end,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_end": self._end_all,
            },
        )

    def feed(self, data: bytes) -> None:
        """Take in the next bytes of the form."""
        if self.ended:
            self._count(len(data))
            return
        try:
            self._parser.write(data)
        except (FormParserError, UnicodeDecodeError) as error:
            raise MalformedError("The form cannot be read.") from error

    def take_fields(self) -> dict[str, str]:
        """The fields that were found since this was asked last."""
        found, self._fields = self._fields, []
        try:
            return {name: value.decode() for name, value in found}
        except UnicodeDecodeError as error:
            raise MalformedError("A field of the form is not UTF-8.") from error

    def _count(self, size: int) -> None:
        self._small += size
        if self._small > _SMALL_BYTES or self._found > _MOST_FIELDS:
            raise MalformedError("The form has too many fields beside its file, or too large ones, or does not end.")

    def _begin(self) -> None:
        self._name, self._disposition, self._value = None, b"", bytearray()
        self._found += 1
        self._count(0)

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header[0] += data[start:end]
        self._count(end - start)

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1] += data[start:end]
        self._count(end - start)

    def _header_end(self) -> None:
        name, value = map(bytes, self._header)
        if name.lower() == b"content-disposition":
            self._disposition = value
        self._header = [bytearray(), bytearray()]

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode()
        self._takes_file = self._name == FILE and not self.in_file
        self.in_file = self.in_file or self._takes_file

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._takes_file:
            self.pieces.append(data[start:end])
            return
        self._count(end - start)
        if not self.in_file:
            self._value += data[start:end]

    def _end(self) -> None:
        if not self.in_file and self._name:
            self._fields.append((self._name, bytes(self._value)))
        self._takes_file = False

    def _end_all(self) -> None:
        self.ended = True
