"""One neuron: o = tanh(x1*w1 + x2*w2 + b), where weights and bias are nodes like any other."""

import chainrule as torch


def main():
    def node(value):
        return torch.tensor(value, dtype=torch.float64, requires_grad=True)

    x1, x2 = node(2.0), node(0.0)
    w1, w2 = node(-3.0), node(1.0)
    b = node(6.8813735870195432)  # chosen so that 1 - o**2 is exactly one half

    n = x1 * w1 + x2 * w2 + b
    o = torch.tanh(n)
    n.retain_grad()
    o.backward()

    print(f"o = {o.item():.4f}")
    leaves = {"n": n, "x1": x1, "w1": w1, "x2": x2, "w2": w2, "b": b}
    gradients = {name: leaf.grad.item() for name, leaf in leaves.items()}
    for name, gradient in gradients.items():
        print(f"do/d{name:2} = {gradient: .4f}")
    return o.item(), gradients


if __name__ == "__main__":
    main()
