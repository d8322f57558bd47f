"""Storage of outputs, inputs and uploads: the object store, object keys, and signed URLs."""

from gateway.outputs.data_urls import InputFile, parse_data_url
from gateway.outputs.links import LinkState, OutputLinks
from gateway.outputs.names import (
    attempt_of,
    content_type_of,
    generation_of,
    hour,
    input_key,
    output_key,
    upload_expires_at,
    upload_measures,
    upload_size,
)
from gateway.outputs.store import OutputStore, StoredObject
from gateway.outputs.texts import Texts, texts_of
from gateway.outputs.uploads import UPLOAD_SCHEME, UploadAddresses
from gateway.outputs.watch import StoreWatch

__all__ = [
    "UPLOAD_SCHEME",
    "InputFile",
    "LinkState",
    "OutputLinks",
    "OutputStore",
    "StoreWatch",
    "StoredObject",
    "Texts",
    "UploadAddresses",
    "attempt_of",
    "content_type_of",
    "generation_of",
    "hour",
    "input_key",
    "output_key",
    "parse_data_url",
    "texts_of",
    "upload_expires_at",
    "upload_measures",
    "upload_size",
]
