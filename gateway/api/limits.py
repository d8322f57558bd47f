"""The limits of one client at a gateway. `docs/limits.md` says what happens beyond each, and is checked against this.

Limits of a single field are declared with the field, in `schemas/`.
"""

from __future__ import annotations

from gateway.outside import strict_json

BODY_MAX_BYTES = 1024 * 1024
KEYLESS_BODY_MAX_BYTES = 64 * 1024  # an estimate of a hundred items has 20 KB; signed calls of providers are no such
JSON_DEPTH_MAX = strict_json.DEPTH_MAX
# Each value may be an object in memory and a fault in the answer. The largest body that makes sense has 8,200: metadata
# of 16 KiB that is one list of digits. A hundred items of an estimate with all the settings there may be have 7,100.
JSON_VALUES_MAX = 10_000
QUERY_FIELDS_MAX = 50
FORM_FIELDS_MAX = 20
FORM_PARTS_MAX = 64  # of a form with files: sixteen images, a mask, and every parameter there is
FORM_OVERHEAD_BYTES = 2 * 1024 * 1024  # beside its files: a MiB of text, and the heads of its parts

# Of an answer that is an error: what was sent is repeated in it, if at all, as far as a person reads.
FAULTS_MAX = 20
FAULT_PATH_MAX_CHARACTERS = 200
FAULT_MAX_CHARACTERS = 2_000

HEADER_MAX_BYTES = 8190  # one header, or the request's first line: what nginx and Apache take, and aiohttp's own
HEADERS_MAX = 128

# Slow clients. A head comes in one or two packets, whatever the line; a connection that has sent none, or half of one,
# costs its client nothing.
HEAD_SECONDS = 10.0
# Above the 60 seconds that proxies keep an idle connection for, so that they never send a request into one that is
# being closed.
IDLE_SECONDS = 75.0
BODY_SECONDS = 60.0  # 1 MiB in a minute is 140 kbit/s
UPLOAD_BYTES_PER_SECOND = 64 * 1024  # half a Mbit/s; the largest upload may take a minute and then 13
# How long an answer may be stuck because the client reads nothing of it: 64 KiB in half a minute is 17 kbit/s.
READ_SECONDS = 30.0
LINGER_SECONDS = 10.0  # for the rest of a body that nobody wants, so that the client can read why
PACKED_LINGER_SECONDS = 1.0  # nothing is read of a packed body that nobody wants: to unpack it is work without end

UPLOAD_MAX_BYTES = 50 * 1024 * 1024
INPUTS_MAX_BYTES = 100 * 1024 * 1024  # of uploads in one order: a worker has them all in memory when it asks a provider
UPLOADS_MAX = 8  # of one account, coming in at once at one gateway: each takes a file on its disk
UPLOADS_RETRY_SECONDS = 5
STORES_MAX = 4  # the same, while they go into the object store: some 20 MB each, in the parts that S3 wants
INSPECTIONS_MAX = 2  # at once at one gateway, one of an account: each takes a core, and up to 1.5 GB of memory
INSPECTION_SECONDS_A_MINUTE = (
    20.0  # of one account at one gateway, for all its files: as long as one file may take at most
)

# Wrong keys of one client (an IPv4 address, an IPv6 /64) at one gateway, given back evenly. A product's backend may
# have many accounts' keys, some of them revoked, behind one address; an operator mistypes a few.
WRONG_KEYS_PER_MINUTE = 600
WRONG_OPERATOR_KEYS_PER_MINUTE = 40
WRONG_KEY_DELAY_SECONDS = 0.2  # before each further one is answered
WRONG_KEY_CLIENTS_MAX = 10_000  # of 200 bytes

METRICS_CONNECTIONS_MAX = 16  # where `/metrics` has an address of its own: a few Prometheus servers

STREAMS_MAX = 50  # event streams of one account, or of one operator's key, at one gateway
STREAMS_RETRY_SECONDS = 5

# Connections. One client address has a quarter of all, or so many; each HTTP client keeps a pool for its host.
PER_ADDRESS_MAX = 1000
PER_ADDRESS_MIN = 32  # a browser opens six, a page with streams some more
IDLE_KEPT_SECONDS = 5.0  # before an idle connection may have to make room: a busy client uses it sooner
CONNECTIONS_RETRY_SECONDS = 5
RESERVE = 32  # beyond all limits, for health probes and for refusals in words
RESERVE_HEAD_SECONDS = 2.0
REFUSALS_SAID_SECONDS = 10.0  # between two lines of the log

# File descriptors that are not given to clients: the ledger's pool of 100, the queue's, files, and room to spare.
DESCRIPTORS_KEPT = 256
