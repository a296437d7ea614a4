"""f = (x + y) * z: the chain rule on the smallest graph that has an inner node.

q = x + y, f = q * z, so df/dq = z, df/dz = q, and df/dx = df/dq * dq/dx = z * 1.
"""

import chainrule as torch


def main():
    x = torch.tensor(2.0, requires_grad=True)
    y = torch.tensor(3.0, requires_grad=True)
    z = torch.tensor(-4.0, requires_grad=True)

    q = x + y
    f = q * z
    q.retain_grad()  # an inner node forgets its gradient unless asked to keep it
    f.backward()

    print(f"q = {q.item():g}, f = {f.item():g}")
    gradients = {name: node.grad.item() for name, node in [("x", x), ("y", y), ("z", z), ("q", q)]}
    for name, gradient in gradients.items():
        print(f"df/d{name} = {gradient:g}")
    return {"q": q.item(), "f": f.item(), **{f"df/d{name}": value for name, value in gradients.items()}}


if __name__ == "__main__":
    main()
