"""An object store as OSS is one, as far as `ossfs` asks: objects of one bucket in memory."""

from __future__ import annotations

import http.server
import re
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

MODIFIED = "Sun, 29 Nov 2026 10:00:00 GMT"
_TIMES = "<CreationDate>2026-11-29T10:00:00.000Z</CreationDate>"
_STAMP = "<LastModified>2026-11-29T10:00:00.000Z</LastModified><ETag>x</ETag><Type>Normal</Type>"


class Oss(http.server.BaseHTTPRequestHandler):
    """Answers requests. A class of its own for each server has `bucket` and `objects`."""

    bucket: str
    objects: dict[str, bytes]
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        parts = urlsplit(self.path)
        query = parse_qs(parts.query, keep_blank_values=True)
        self.asked = {name: values[0] for name, values in query.items()}
        self.place, _, self.key = unquote(parts.path).strip("/").partition("/")
        return True

    def _answer(self, data: bytes = b"", status: int = 200, **headers: Any) -> None:
        self.send_response(status)
        found: dict[str, Any] = {"x-oss-request-id": "1", "ETag": "x", "Last-Modified": MODIFIED}
        found |= {"Content-Length": len(data)}
        found |= {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in found.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _xml(self, root: str, inside: str, status: int = 200) -> None:
        self._answer(f"<{root}>{inside}</{root}>".encode(), status)

    def _missing(self) -> None:
        what = "NoSuchKey" if self.place == self.bucket else "NoSuchBucket"
        self._xml("Error", f"<Code>{what}</Code><Message>{what}</Message>", 404)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_HEAD(self) -> None:
        if self.place != self.bucket or self.key not in self.objects:
            self._missing()
        else:
            self._answer(Content_Length=len(self.objects[self.key]))

    def do_GET(self) -> None:
        if self.place != self.bucket or (self.key and self.key not in self.objects):
            self._missing()
        elif self.key:
            data, status = self.objects[self.key], 200
            if asked := re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
                data, status = data[int(asked[1]) : int(asked[2] or len(data)) + 1], 206
            self._answer(data, status)
        elif "bucketInfo" in self.asked:
            owner = "<Owner><DisplayName>x</DisplayName><ID>x</ID></Owner>"
            where = "<ExtranetEndpoint/><IntranetEndpoint/><Location/><StorageClass/>"
            grant = "<AccessControlList><Grant>private</Grant></AccessControlList>"
            inside = f"<Name>{self.bucket}</Name>{_TIMES}{where}{owner}{grant}"
            self._xml("BucketInfo", f"<Bucket>{inside}</Bucket>")
        else:
            self._list(self.asked.get("prefix", ""), self.asked.get("delimiter", ""))

    def _list(self, prefix: str, delimiter: str) -> None:
        found, folders = "", set()
        for key, data in sorted(self.objects.items()):
            inside, mark, _ = key[len(prefix) :].partition(delimiter or "\0")
            if key.startswith(prefix) and mark:
                folders.add(prefix + inside + mark)
            elif key.startswith(prefix):
                size = f"<Size>{len(data)}</Size><StorageClass>Standard</StorageClass>"
                found += f"<Contents><Key>{escape(key)}</Key>{_STAMP}{size}</Contents>"
        for folder in sorted(folders):
            found += f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>"
        self._xml("ListBucketResult", f"<IsTruncated>false</IsTruncated>{found}")

    def do_PUT(self) -> None:
        data = self._body()
        if source := self.headers.get("x-oss-copy-source"):
            data = self.objects[unquote(source).strip("/").partition("/")[2]]
        self.objects[self.key] = data
        self._xml("CopyObjectResult", f"<ETag>x</ETag>{_STAMP}")

    def do_POST(self) -> None:
        data = self._body()
        if "delete" in self.asked:
            for key in re.findall("<Key>(.*?)</Key>", data.decode()):
                self.objects.pop(unquote(key), None)
            self._xml("DeleteResult", "")
            return
        held = self.objects.get(self.key, b"")
        if int(self.asked["position"]) != len(held):
            self._xml("Error", "<Code>PositionNotEqualToLength</Code>", 409)
            return
        self.objects[self.key] = held + data
        self._answer(x_oss_next_append_position=len(held + data))

    def do_DELETE(self) -> None:
        self.objects.pop(self.key, None)
        self._answer(status=204)
