"""Ed25519 (RFC 8032, section 5.1) in plain integers, and every rule of strict verification by its name.

Slow, and not in constant time: for tests, with keys that protect nothing.
"""

import hashlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_MINUS_1 = pow(2, (P - 1) // 4, P)

# Points are (X, Y, Z, T) with x = X/Z, y = Y/Z and x·y = T/Z.
IDENTITY = (0, 1, 1, 0)


def add(p, q):
    """RFC 8032, section 5.1.4. The law is complete: it doubles, too, and takes points of small order."""
    a, b = (p[1] - p[0]) * (q[1] - q[0]), (p[1] + p[0]) * (q[1] + q[0])
    c, d = 2 * p[3] * q[3] * D, 2 * p[2] * q[2]
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def negative(p):
    return -p[0] % P, p[1], p[2], -p[3] % P


def multiply(number, point):
    product = IDENTITY
    while number:
        if number & 1:
            product = add(product, point)
        point = add(point, point)
        number >>= 1
    return product


def equal(p, q):
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


def encode(point):
    inverse = pow(point[2], -1, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decode(data):
    """The point that lenient verifiers take 32 bytes for, or None where there is none.

    RFC 8032, section 5.1.3, refuses y >= p and a sign on x = 0. Here they are read as what they stand for, so that a
    point in a second form can be told from no point at all; `encode(decode(data)) != data` is such a form.
    """
    number = int.from_bytes(data, "little")
    y, sign = number % 2**255 % P, number >> 255
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * SQRT_MINUS_1 % P
    if x * x % P != square:
        return None
    if x & 1 != sign:
        x = -x % P
    return x, y, 1, x * y % P


# y = 4/5 and the even x.
BASE = decode((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def private(seed):
    """The secret scalar, the prefix of the nonce, and the public key of a seed."""
    digest = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little") & (2**254 - 8) | 2**254
    return scalar, digest[32:], encode(multiply(scalar, BASE))


def challenge(r, public_key, message):
    """The scalar that ties R, the key and the message together."""
    return int.from_bytes(hashlib.sha512(r + public_key + message).digest(), "little") % L


def sign(seed, message):
    scalar, prefix, public_key = private(seed)
    nonce = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % L
    r = encode(multiply(nonce, BASE))
    return r + scalar_bytes(nonce + challenge(r, public_key, message) * scalar)


def scalar_bytes(number):
    return (number % L).to_bytes(32, "little")


def faults(public_key, message, signature):
    """Every rule of strict verification that is broken, by name: none where the signature holds."""
    broken = []
    key_point = r_point = None
    if len(public_key) != 32:
        broken.append("key_length")
    else:
        key_point = point_faults("key", public_key, broken)
    if len(signature) != 64:
        return broken + ["signature_length"]
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    r_point = point_faults("r", r, broken)
    if s >= L:
        broken.append("s_out_of_range")
    if key_point and r_point:
        # R + k·A − S·B: nothing, where the equation holds; of small order, where only the cofactored one does.
        right = add(r_point, multiply(challenge(r, public_key, message), key_point))
        difference = add(right, negative(multiply(s, BASE)))
        if not equal(multiply(8, difference), IDENTITY):
            broken.append("equation")
        elif not equal(difference, IDENTITY):
            broken.append("torsion")
    return broken


def point_faults(name, data, broken):
    """The point, with what is wrong with it added to `broken`."""
    point = decode(data)
    if point is None:
        broken.append(f"{name}_off_curve")
        return None
    if encode(point) != data:
        broken.append(f"{name}_not_canonical")
    if equal(multiply(8, point), IDENTITY):
        broken.append(f"{name}_small_order")
    return point
