"""Replies that are not whole: what boto3 takes for an answer, and is none.

A reply whose head is cut looks to it like a short one without a body, and a body that is cut, or
that makes no sense, like an error of the server. The first two are lost connections.
"""

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from botocore import handlers
from botocore.exceptions import IncompleteReadError
from botocore.parsers import ResponseParserError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_EVENT = "before-parse.s3.*"


def check_whole(client: "S3Client") -> None:
    """Let a client raise on replies that are not whole, or that make no sense."""
    theirs = getattr(handlers, "_handle_200_error", None)  # makes a 500 of what it cannot read
    if theirs is not None:
        client.meta.events.unregister(_EVENT, theirs)
    client.meta.events.register(_EVENT, _check)


def _check(response_dict: dict[str, Any], **_: Any) -> None:
    status, body = response_dict["status_code"], response_dict["body"]
    headers = {name.lower(): value for name, value in response_dict["headers"].items()}
    length = headers.get("content-length")
    if length is None and "transfer-encoding" not in headers and status not in {204, 304}:
        raise IncompleteReadError(actual_bytes=0, expected_bytes=1)  # how many is lost too
    if not isinstance(body, bytes):
        return  # a stream, which counts by itself
    about_head = response_dict["context"]["operation_name"].startswith("Head")
    if length is not None and not about_head and len(body) < int(length):
        raise IncompleteReadError(actual_bytes=len(body), expected_bytes=int(length))
    if status == 200 and body:
        try:
            root = ET.fromstring(body)  # boto3 reads it with the same parser
        except ET.ParseError as exc:
            raise ResponseParserError(f"the reply is no XML: {exc}") from exc
        if root.tag == "Error":
            response_dict["status_code"] = 500  # an error that came too late for its status
