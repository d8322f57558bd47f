"""Where outputs and inputs are kept, how they are named, and the signed URLs they are fetched by."""

from gateway.outputs.data_urls import InputFile, parse_data_url
from gateway.outputs.links import LinkState, OutputLinks
from gateway.outputs.names import attempt_of, content_type_of, input_key, output_key
from gateway.outputs.store import OutputStore, StoredObject

__all__ = [
    "InputFile",
    "LinkState",
    "OutputLinks",
    "OutputStore",
    "StoredObject",
    "attempt_of",
    "content_type_of",
    "input_key",
    "output_key",
    "parse_data_url",
]
