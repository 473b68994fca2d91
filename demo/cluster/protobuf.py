"""Just enough protobuf for the reviews: kubectl sends those in Kubernetes' binary form and in no other."""

MAGIC = b"k8s\0"

_VARINT, _BYTES = 0, 2

_ENVELOPE_OBJECT = 2
_REVIEW_SPEC = 2
_SPEC = {1: "resourceAttributes", 2: "nonResourceAttributes"}
_ATTRIBUTES = {
    "resourceAttributes": {
        1: "namespace", 2: "verb", 3: "group", 4: "version", 5: "resource", 6: "subresource", 7: "name",
    },
    "nonResourceAttributes": {1: "path", 2: "verb"},
}  # fmt: skip


def review_spec(body: bytes) -> dict[str, dict[str, str]]:
    """The attributes that a SelfSubjectAccessReview asks about. Raises ValueError for what isn't one."""
    if not body.startswith(MAGIC):
        raise ValueError("the body isn't Kubernetes protobuf")
    envelope = _fields(body[len(MAGIC) :])
    review = _fields(envelope.get(_ENVELOPE_OBJECT, b""))
    spec = _fields(review.get(_REVIEW_SPEC, b""))
    return {
        name: {_ATTRIBUTES[name][key]: value.decode() for key, value in _fields(spec[number]).items()
               if key in _ATTRIBUTES[name]}
        for number, name in _SPEC.items() if number in spec
    }  # fmt: skip


def _fields(message: bytes) -> dict[int, bytes]:
    """The length-delimited fields of a message by number; of a repeated one the last."""
    found: dict[int, bytes] = {}
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        if key & 7 == _VARINT:
            _, position = _varint(message, position)
        elif key & 7 == _BYTES:
            size, position = _varint(message, position)
            found[key >> 3] = message[position : position + size]
            position += size
        else:
            raise ValueError(f"wire type {key & 7} isn't expected in a review")
    return found


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(message):
            raise ValueError("the message ends too early")
        byte = message[position]
        value, position, shift = value | (byte & 0x7F) << shift, position + 1, shift + 7
        if byte < 0x80:
            return value, position
