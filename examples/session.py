"""The smallest session: two leaves, three operators, every gradient in sight."""

import chainrule as torch


def main():
    a = torch.tensor([2.0], requires_grad=True)
    b = torch.tensor([1.0], requires_grad=True)
    c = a + b
    d = b + 1
    e = c * d
    c.retain_grad()
    d.retain_grad()
    e.retain_grad()
    print(e)
    e.backward()
    print(a.grad)
    print(b.grad)
    print(a.grad, b.grad, c.grad, d.grad, e.grad)
    return [x.grad.item() for x in (a, b, c, d, e)]


if __name__ == "__main__":
    main()
