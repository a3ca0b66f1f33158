"""Keys and signatures that only strict verification refuses, and those that no verification takes.

Lenient verifiers differ on these (Chalkias, Garillot, Nikolaenko: "Taming the many EdDSAs", 2020), so a command could
hold for one instance and not for another, or appear in two forms. Where a vector needs a hash that is a multiple of
the cofactor, fields are tried until it is.
"""

import itertools

from begin import KINDS, PUBLIC_KEY, SEED, usual, vector
from ed25519 import (BASE, IDENTITY, L, P, add, challenge, decode, encode, equal, multiply, negative, private,
                     scalar_bytes, sign)
from inputs import MARKERS, signing_input

SECRET, _, _ = private(SEED)
NONCE = 7**89
# A generator of the eight points of small order: the other seven are its multiples.
EIGHTH = decode(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"))
SMALL = [multiply(number, EIGHTH) for number in range(8)]
ORDERS = [1, 8, 4, 8, 2, 8, 4, 8]
# The second forms of points of small order: y >= p, or a sign on x = 0.
SECOND_FORMS = {
    "the identity with y = p + 1": (P + 1).to_bytes(32, "little"),
    "the identity with y = p + 1 and a sign": (P + 1 | 1 << 255).to_bytes(32, "little"),
    "the identity with a sign": (1 | 1 << 255).to_bytes(32, "little"),
    "the point of order 2 with a sign": (P - 1 | 1 << 255).to_bytes(32, "little"),
    "a point of order 4 with y = p": P.to_bytes(32, "little"),
    "a point of order 4 with y = p and a sign": (P | 1 << 255).to_bytes(32, "little"),
}
# Not of small order; nobody knows a scalar of theirs, so no signature can be made to fit.
UNKNOWN_SECOND_FORMS = {f"y = p + {more}": (P + more).to_bytes(32, "little") for more in (3, 9, 18)}
OFF_CURVE = {
    "y = 2": (2).to_bytes(32, "little"),
    "y = 2 and a sign": (2 | 1 << 255).to_bytes(32, "little"),
    "y = p + 2": (P + 2).to_bytes(32, "little"),
}


def vectors():
    yield from scalars()
    yield from halves_of_the_signature()
    yield from of_other_lengths()
    yield from keys()
    yield from commitments()
    yield from torsion()


def genuine(kind):
    return sign(SEED, signing_input(kind, usual(kind), MARKERS[kind]))


def fitting(kind, r, public_key, is_fit):
    """Fields for which the challenge of `r` and the key is fit, and that challenge."""
    for number in itertools.count():
        fields = usual(kind, request_id=f"req-{number}")
        k = challenge(r, public_key, signing_input(kind, fields, MARKERS[kind]))
        if is_fit(k):
            return fields, k


def scalars():
    """S has one form below L: with L added it fits the equation as well."""
    for kind in KINDS:
        signature = genuine(kind)
        s = int.from_bytes(signature[32:], "little")

        def with_s(what, number, *faults):
            bytes_of_s = number.to_bytes(32, "little")
            return vector(f"S is {what}", kind, signature=signature[:32] + bytes_of_s, faults=faults)

        for times in (1, 2, 8, 14):
            yield with_s(f"its own with L added {times} times", s + times * L, "s_out_of_range")
        yield with_s("L", L, "s_out_of_range", "equation")
        yield with_s("the greatest number", 2**256 - 1, "s_out_of_range", "equation")
        yield with_s("its own with the top bit set", s | 1 << 255, "s_out_of_range", "equation")
        yield with_s("zero", 0, "equation")
        yield with_s("L - 1", L - 1, "equation")
        yield with_s("its own negated", L - s, "equation")
        yield with_s("one more", s + 1, "equation")
        for bit in (0, 100, 251):
            yield with_s(f"its own with bit {bit} flipped", s ^ 1 << bit, "equation")


def halves_of_the_signature():
    kind = "request"
    signature = genuine(kind)
    r, s = signature[:32], signature[32:]
    yield vector("a signature of zeros", kind, signature=bytes(64), faults=["r_small_order", "equation"])
    yield vector("R negated", kind, signature=encode(negative(decode(r))) + s, faults=["equation"])
    yield vector("R is the key", kind, signature=PUBLIC_KEY + s, faults=["equation"])
    yield vector("R of another signature", kind, signature=sign(SEED, b"")[:32] + s, faults=["equation"])
    for name, data in [("R", r), ("the key", PUBLIC_KEY)]:
        flipped = {bit: (int.from_bytes(data, "little") ^ 1 << bit).to_bytes(32, "little") for bit in range(256)}
        on_curve = [bit for bit in flipped if decode(flipped[bit])]
        off_curve = [bit for bit in flipped if bit not in on_curve]
        for bits, fault in [(on_curve, "equation"), (off_curve, "r_off_curve" if name == "R" else "key_off_curve")]:
            for bit in bits[:4] + bits[-2:]:
                changed = {"signature": flipped[bit] + s} if name == "R" else {"public_key": flipped[bit]}
                yield vector(f"{name} with bit {bit} flipped", kind, faults=[fault],
                             **{"signature": signature} | changed)


def of_other_lengths():
    for kind in KINDS:
        signature = genuine(kind)
        for length, other in [(0, b""), (32, signature[:32]), (63, signature[:-1]), (65, signature + b"\0"),
                              (128, signature + signature)]:
            yield vector(f"a signature of {length} bytes", kind, signature=other, faults=["signature_length"])
    for length, other in [(0, b""), (31, PUBLIC_KEY[:-1]), (33, PUBLIC_KEY + b"\0"), (64, SEED + PUBLIC_KEY)]:
        yield vector(f"a key of {length} bytes", "request", public_key=other, signature=genuine("request"),
                     faults=["key_length"])


def keys():
    """A key of small order signs for anybody: where k is a multiple of its order, R = S·B fits whoever made it."""
    kind = "request"
    r, s = encode(multiply(NONCE, BASE)), scalar_bytes(NONCE)
    for number, (point, order) in enumerate(zip(SMALL, ORDERS)):
        public_key = encode(point)
        fields, _ = fitting(kind, r, public_key, lambda k: k % order == 0)
        yield vector(f"a key of order {order}, {number} times the generator", kind, fields, public_key=public_key,
                     signature=r + s, faults=["key_small_order"])
    for number in (1, 2, 4):
        public_key, order = encode(SMALL[number]), ORDERS[number]
        fields, _ = fitting(kind, r, public_key, lambda k: k % order != 0)
        yield vector(f"a key of order {order}, where only the cofactored equation holds", kind, fields,
                     public_key=public_key, signature=r + s, faults=["key_small_order", "torsion"])
    for what, public_key in SECOND_FORMS.items():
        fields, _ = fitting(kind, r, public_key, lambda k: k % 4 == 0)
        yield vector(f"a key that is {what}", kind, fields, public_key=public_key, signature=r + s,
                     faults=["key_not_canonical", "key_small_order"])
    for what, public_key in UNKNOWN_SECOND_FORMS.items():
        yield vector(f"a key with {what}", kind, public_key=public_key, signature=r + s,
                     faults=["key_not_canonical", "equation"])
    for what, public_key in OFF_CURVE.items():
        yield vector(f"a key that is no point, {what}", kind, public_key=public_key, signature=r + s,
                     faults=["key_off_curve"])


def commitments():
    """R of small order, with a key whose own small part cancels it, so that the equation holds."""
    kind = "request"
    forms = {f"of order {order}, {number} times the generator": encode(SMALL[number])
             for number, order in enumerate(ORDERS)}
    for what, r in (forms | SECOND_FORMS).items():
        point = decode(r)
        public_key = encode(add(decode(PUBLIC_KEY), EIGHTH))
        fields, k = fitting(kind, r, public_key, lambda k: equal(add(point, multiply(k % 8, EIGHTH)), IDENTITY))
        faults = ["r_small_order"] + (["r_not_canonical"] if encode(point) != r else [])
        yield vector(f"R is {what}", kind, fields, public_key=public_key, signature=r + scalar_bytes(k * SECRET),
                     faults=faults)
    for what, r in UNKNOWN_SECOND_FORMS.items():
        yield vector(f"R with {what}", kind, signature=r + scalar_bytes(NONCE), faults=["r_not_canonical", "equation"])
    for what, r in OFF_CURVE.items():
        yield vector(f"R is no point, {what}", kind, signature=r + scalar_bytes(NONCE), faults=["r_off_curve"])


def torsion():
    """Parts of small order in a key or an R of full order: refused where they are left over in the equation.

    Where they cancel, the signature holds: the contract refuses points of small order, not such sums.
    """
    kind = "request"
    for in_key, in_r in [(0, 1), (0, 2), (0, 4), (1, 0), (2, 0), (4, 0), (1, 1), (2, 6), (4, 2)]:
        public_key = encode(add(decode(PUBLIC_KEY), SMALL[in_key]))
        r = encode(add(multiply(NONCE, BASE), SMALL[in_r]))
        for is_left in (True, False) if in_key else (True,):
            holds = (lambda k: (in_r + k * in_key) % 8 == 0)
            if not is_left and not any(map(holds, range(8))):
                continue
            fields, k = fitting(kind, r, public_key, lambda k: holds(k) != is_left)
            where = " and ".join([f"of order {ORDERS[part]} in {name}" for name, part in
                                  (("the key", in_key), ("R", in_r)) if part])
            yield vector(f"a part {where}, {'left over' if is_left else 'cancelled'}", kind, fields,
                         public_key=public_key, signature=r + scalar_bytes(NONCE + k * SECRET),
                         faults=["torsion"] if is_left else [])
