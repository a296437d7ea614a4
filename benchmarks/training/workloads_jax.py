"""The same workloads in JAX: one jitted function per step with donated buffers, as its users write them.

``make(data)`` returns ``step()``, which keeps parameters and optimiser state and returns the loss.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

R = np.random.RandomState(1)


def dense(*sizes):
    return [
        (
            jnp.asarray(R.uniform(-1, 1, (a, b)).astype(np.float32) / math.sqrt(a)),
            jnp.asarray(R.uniform(-1, 1, b).astype(np.float32) / math.sqrt(a)),
        )
        for a, b in zip(sizes[:-1], sizes[1:], strict=True)
    ]


def cross_entropy(logits, target):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), target[:, None], 1).mean()


def sgd(lr, momentum=0.0):
    def init(p):
        return jax.tree.map(jnp.zeros_like, p) if momentum else ()

    def update(p, g, s):
        if momentum:
            s = jax.tree.map(lambda m, g: momentum * m + g, s, g)
            g = s
        return jax.tree.map(lambda p, g: p - lr * g, p, g), s

    return init, update


def adam(lr=1e-3, b1=0.9, b2=0.999, eps=1e-8, decay=0.0):
    def init(p):
        return jnp.zeros(()), jax.tree.map(jnp.zeros_like, p), jax.tree.map(jnp.zeros_like, p)

    def update(p, g, s):
        t, m, v = s
        t = t + 1
        m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, m, g)
        v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, v, g)
        c1, c2 = 1 - b1**t, 1 - b2**t
        p = jax.tree.map(lambda p, m, v: p * (1 - lr * decay) - lr * (m / c1) / (jnp.sqrt(v / c2) + eps), p, m, v)
        return p, (t, m, v)

    return init, update


def training(loss, params, optimizer, *batch):
    init, update = optimizer
    batch = [jnp.asarray(b) for b in batch]

    def step(p, s, *batch):
        value, g = jax.value_and_grad(loss)(p, *batch)
        p, s = update(p, g, s)
        return p, s, value

    step = jax.jit(step, donate_argnums=(0, 1))
    held = [params, init(params)]

    def run():
        held[0], held[1], value = step(held[0], held[1], *batch)
        return jax.block_until_ready(value)

    return run


def normal(*shape):
    return R.standard_normal(shape).astype(np.float32)


def mlp(sizes, act, batch, optimizer):
    def loss(p, x, y):
        for w, b in p[:-1]:
            x = act(x @ w + b)
        w, b = p[-1]
        return cross_entropy(x @ w + b, y)

    return training(loss, dense(*sizes), optimizer, normal(batch, sizes[0]), R.randint(0, sizes[-1], batch))


def session():
    f = jax.jit(jax.value_and_grad(lambda a, b: ((a + b) * (b + 1)).sum(), argnums=(0, 1)))
    a, b = jnp.array([2.0]), jnp.array([1.0])
    return lambda: jax.block_until_ready(f(a, b))


def deep_tanh():
    def loss(p, x, y):
        for w, b in p:
            x = jnp.tanh(x @ w + b)
        return ((x - y) ** 2).mean()

    return training(loss, dense(*[64] * 21), adam(), normal(32, 64), normal(32, 64))


def rnn(steps=50, wide=64, inputs=64, batch=16, classes=10):
    (wi, bi), (wh, _), (wo, bo) = dense(inputs, wide) + dense(wide, wide) + dense(wide, classes)

    def loss(p, x, y):
        wi, bi, wh, wo, bo = p

        def cell(h, x):
            return jnp.tanh(x @ wi + bi + h @ wh), None

        h, _ = jax.lax.scan(cell, jnp.zeros((x.shape[1], wide)), x)
        return cross_entropy(h @ wo + bo, y)

    return training(loss, (wi, bi, wh, wo, bo), sgd(0.01), normal(steps, batch, inputs), R.randint(0, classes, batch))


def million():
    f = jax.jit(jax.value_and_grad(lambda x: (jnp.tanh(x) * jax.nn.sigmoid(x) + jnp.exp(-x * x)).sum()))
    x = jnp.asarray(normal(1_000_000))
    return lambda: jax.block_until_ready(f(x))


def cnn():
    def pool(x):
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def loss(p, x, y):
        for w, b in p[:2]:
            x = jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW"))
            x = pool(jax.nn.relu(x + b[:, None, None]))
        w, b = p[2]
        return cross_entropy(x.reshape(x.shape[0], -1) @ w + b, y)

    params = [
        (jnp.asarray(normal(16, 1, 3, 3) / 3), jnp.zeros(16)),
        (jnp.asarray(normal(32, 16, 3, 3) / 12), jnp.zeros(32)),
        dense(1568, 10)[0],
    ]
    return training(loss, params, adam(), normal(32, 1, 28, 28), R.randint(0, 10, 32))


def transformer(width=128, heads=4, length=64, batch=8, vocabulary=96):
    def norm(x, w, b):
        m = x.mean(-1, keepdims=True)
        v = ((x - m) ** 2).mean(-1, keepdims=True)
        return (x - m) * jax.lax.rsqrt(v + 1e-5) * w + b

    future = np.triu(np.ones((length, length)), 1) > 0

    def block(x, p):
        (qkv, qb), (proj, pb), (up, ub), (down, db), n1, n2 = p
        q, k, v = (
            t.reshape(batch, length, heads, width // heads).swapaxes(1, 2)
            for t in jnp.split(norm(x, *n1) @ qkv + qb, 3, -1)
        )
        s = q @ k.swapaxes(-1, -2) / math.sqrt(width // heads)
        a = jax.nn.softmax(jnp.where(future, -jnp.inf, s), -1) @ v
        x = x + a.swapaxes(1, 2).reshape(batch, length, width) @ proj + pb
        return x + jax.nn.gelu(norm(x, *n2) @ up + ub, approximate=False) @ down + db

    def ln():
        return jnp.ones(width), jnp.zeros(width)

    params = (
        jnp.asarray(normal(vocabulary, width)),
        jnp.asarray(normal(length, width)),
        [
            (
                *dense(width, 3 * width),
                *dense(width, width),
                *dense(width, 4 * width),
                *dense(4 * width, width),
                ln(),
                ln(),
            )
            for _ in range(2)
        ],
        ln(),
        dense(width, vocabulary)[0],
    )

    def loss(p, tokens, y):
        token, position, blocks, n, (w, b) = p
        x = token[tokens] + position
        for q in blocks:
            x = block(x, q)
        return cross_entropy((norm(x, *n) @ w + b).reshape(-1, vocabulary), y)

    return training(
        loss, params, adam(), R.randint(0, vocabulary, (batch, length)), R.randint(0, vocabulary, batch * length)
    )


WORKLOADS = {
    "session": session,
    "mlp_small": lambda: mlp((64, 32, 10), jax.nn.relu, 32, sgd(0.01)),
    "mlp_mnist": lambda: mlp((784, 256, 128, 10), jax.nn.relu, 64, adam()),
    "mlp_large": lambda: mlp((1024, 1024, 1024, 1024, 10), jax.nn.relu, 256, adam()),
    "deep_tanh": deep_tanh,
    "rnn": rnn,
    "million": million,
    "cnn": cnn,
    "transformer": transformer,
    "odd": lambda: mlp((333, 101, 53, 7), jax.nn.silu, 53, adam(decay=0.01)),
    "single": lambda: mlp((24, 64, 64, 4), jnp.tanh, 1, sgd(0.01, 0.9)),
    "long": lambda: rnn(400, 32, 16, 8, 5),
}
