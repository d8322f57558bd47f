"""The limits of one client at a gateway. `docs/limits.md` says what happens beyond each, and is checked against this.

Limits of a single field are declared with the field, in `schemas/`.
"""

from __future__ import annotations

from gateway.outside import strict_json

BODY_MAX_BYTES = 1024 * 1024
KEYLESS_BODY_MAX_BYTES = 64 * 1024  # an estimate with a hundred items has 20 KB; providers' signed calls are exempt
JSON_DEPTH_MAX = strict_json.DEPTH_MAX
# Each value may become an object in memory and a fault in the response. The largest sensible body has 8,200: metadata
# of 16 KiB that is one list of digits. An estimate with a hundred items and all possible settings has 7,100.
JSON_VALUES_MAX = 10_000
QUERY_FIELDS_MAX = 50
FORM_FIELDS_MAX = 20
FORM_PARTS_MAX = 64  # of a form with files: sixteen images, a mask, and all parameters
FORM_OVERHEAD_BYTES = 2 * 1024 * 1024  # besides its files: a MiB of text, and the headers of its parts

# Of an error response: request data is repeated, if at all, only up to a readable length.
FAULTS_MAX = 20
FAULT_PATH_MAX_CHARACTERS = 200
FAULT_MAX_CHARACTERS = 2_000

HEADER_MAX_BYTES = 8190  # one header, or the request line: the default of nginx, Apache and aiohttp
HEADERS_MAX = 128

# Slow clients. A request head fits one or two packets on any connection; a client that sends none, or half of one, has
# no costs.
HEAD_SECONDS = 10.0
# More than the 60 seconds for which proxies keep idle connections, so that they never send a request on one that is
# being closed.
IDLE_SECONDS = 75.0
BODY_SECONDS = 60.0  # 1 MiB in a minute is 140 kbit/s
UPLOAD_BYTES_PER_SECOND = 64 * 1024  # half a Mbit/s; the largest upload may take a minute and then 13
# How long a response may be blocked because the client does not read: 64 KiB in half a minute is 17 kbit/s.
READ_SECONDS = 30.0
LINGER_SECONDS = 10.0  # for the rest of a rejected body, so that the client can read the error
PACKED_LINGER_SECONDS = 1.0  # a rejected compressed body is not read: decompressing it may take forever

UPLOAD_MAX_BYTES = 50 * 1024 * 1024
OUTPUT_MAX_BYTES = 256 * 1024 * 1024  # of workers without a store of their own; no provider delivers larger ones
INPUTS_MAX_BYTES = 100 * 1024 * 1024  # of uploads per request: a worker submits a job with all in memory
UPLOADS_MAX = 8  # concurrent, per account and gateway: each takes a file on its disk
UPLOADS_RETRY_SECONDS = 5
STORES_MAX = 4  # the same, while being written to the object store: some 20 MB each, for S3's parts
INSPECTIONS_MAX = 2  # concurrent per gateway, one per account: each takes a core, and up to 1.5 GB of memory
INSPECTION_SECONDS_A_MINUTE = 20.0  # per minute, account and gateway: the maximum for a single file

# Wrong keys per client (an IPv4 address, an IPv6 /64) and gateway, refilled evenly. A product's backend may use many
# accounts' keys, some of them revoked, from one address; an operator mistypes a few.
WRONG_KEYS_PER_MINUTE = 600
WRONG_OPERATOR_KEYS_PER_MINUTE = 40
WRONG_KEY_DELAY_SECONDS = 0.2  # before the response to each further one
WRONG_KEY_CLIENTS_MAX = 10_000  # 200 bytes each

METRICS_CONNECTIONS_MAX = 16  # if `/metrics` has a separate address: a few Prometheus servers

STREAMS_MAX = 50  # event streams per account or operator's key, at one gateway
TOKEN_STREAMS_MAX = 5  # per client token, beside its account's: one browser must not use up those of all others
STREAMS_RETRY_SECONDS = 5

# Connections. One client address may have a quarter of all, or this many; HTTP clients keep a pool per host.
PER_ADDRESS_MAX = 1000
PER_ADDRESS_MIN = 32  # a browser opens six, more for a page with streams
IDLE_KEPT_SECONDS = 5.0  # before an idle connection may be closed to make room: a busy client reuses it sooner
CONNECTIONS_RETRY_SECONDS = 5
RESERVE = 32  # beyond all limits, for health probes and for error responses
RESERVE_HEAD_SECONDS = 2.0
REFUSALS_SAID_SECONDS = 10.0  # between two log lines

# File descriptors reserved for other uses: the ledger's pool of 100, the queue's, files, and a margin.
DESCRIPTORS_KEPT = 256

TOKENS_PER_MINUTE = 600  # per API key: 36,000 in the hour that one lives, of half a kilobyte each
