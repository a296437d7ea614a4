"""A transformer encoder decides whether a sequence of brackets is balanced. Shorter sequences are padded and masked."""

import chainrule as torch
import chainrule.nn as nn
import chainrule.optim as optim

PAD, OPEN, CLOSE = 0, 1, 2


class BracketClassifier(nn.Module):
    def __init__(self, length, width, heads, layers):
        super().__init__()
        self.embedding = nn.Embedding(3, width, padding_idx=PAD)
        self.position = nn.Parameter(0.1 * torch.randn(length, width))
        layer = nn.TransformerEncoderLayer(width, heads, dim_feedforward=2 * width, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.output = nn.Linear(width, 1)

    def forward(self, tokens):
        padding = tokens == PAD
        x = self.encoder(self.embedding(tokens) + self.position, src_key_padding_mask=padding)
        x = x.masked_fill(padding.unsqueeze(-1), 0.0).sum(1) / (~padding).sum(1, keepdim=True)
        return self.output(x).squeeze(-1)


def brackets(count, length):
    """Random walks that end at zero: half of them never go below zero (balanced), half do. Rows of even length."""
    tokens = torch.zeros(count, length, dtype=torch.long)
    balanced = torch.zeros(count)
    for row in range(count):
        size = 2 * torch.randint(2, length // 2 + 1, ()).item()
        want = row % 2
        while True:
            line = torch.tensor([OPEN, CLOSE] * (size // 2))[torch.randperm(size)]
            depth = torch.cumsum((line == OPEN).long() - (line == CLOSE).long(), dim=0)
            if (depth.min().item() >= 0) == bool(want):
                break
        tokens[row, :size] = line
        balanced[row] = want
    return tokens, balanced


def main(updates=200, batch=64, length=10, width=32, heads=4, layers=2, seed=0):
    torch.manual_seed(seed)
    tokens, labels = brackets(600, length)
    test_tokens, test_labels = brackets(200, length)
    model = BracketClassifier(length, width, heads, layers)
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    criterion = nn.BCEWithLogitsLoss()

    model.train()
    for update in range(1, updates + 1):
        rows = torch.randint(len(tokens), (batch,))
        loss = criterion(model(tokens[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if update % max(1, updates // 5) == 0:
            print(f"update {update:4}: loss {loss.item():.3f}")

    model.eval()
    with torch.no_grad():
        accuracy = ((model(test_tokens) > 0).float() == test_labels).float().mean().item()
    print(f"accuracy on new sequences {accuracy:.1%}")
    return loss.item(), accuracy


if __name__ == "__main__":
    main()
