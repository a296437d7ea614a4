"""A character-level recurrent network learns a nursery rhyme and then recites one of its own."""

import chainrule as torch
import chainrule.nn as nn
import chainrule.nn.functional as F
import chainrule.optim as optim

TEXT = """\
This is the house that Jack built.
This is the malt that lay in the house that Jack built.
This is the rat that ate the malt that lay in the house that Jack built.
This is the cat that killed the rat that ate the malt that lay in the house that Jack built.
This is the dog that worried the cat that killed the rat that ate the malt that lay in the house that Jack built.
"""
VOCABULARY = sorted(set(TEXT))
INDEX = {character: i for i, character in enumerate(VOCABULARY)}


class CharRNN(nn.Module):
    def __init__(self, vocabulary, hidden):
        super().__init__()
        self.hidden = hidden
        self.embedding = nn.Embedding(vocabulary, hidden)
        self.rnn = nn.RNN(hidden, hidden, batch_first=True)
        self.output = nn.Linear(hidden, vocabulary)

    def forward(self, characters, state=None):
        out, state = self.rnn(self.embedding(characters), state)
        return self.output(out), state


@torch.no_grad()
def sample(model, start, length, temperature=0.5):
    model.eval()
    text, state = start, None
    characters = torch.tensor([[INDEX[c] for c in start]])
    for _ in range(length):
        logits, state = model(characters, state)
        probabilities = F.softmax(logits[0, -1] / temperature, dim=-1)
        characters = torch.multinomial(probabilities, 1).unsqueeze(0)
        text += VOCABULARY[characters.item()]
    return text


def main(updates=200, hidden=64, batch=16, steps=32, sample_length=200, seed=0):
    torch.manual_seed(seed)
    data = torch.tensor([INDEX[c] for c in TEXT])
    model = CharRNN(len(VOCABULARY), hidden)
    optimizer = optim.Adam(model.parameters(), lr=5e-3)
    losses = []
    for update in range(1, updates + 1):
        starts = torch.randint(len(data) - steps - 1, (batch,))
        x = torch.stack([data[i : i + steps] for i in starts])
        y = torch.stack([data[i + 1 : i + steps + 1] for i in starts])
        logits, _ = model(x)
        loss = F.cross_entropy(logits.reshape(-1, len(VOCABULARY)), y.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if update % max(1, updates // 4) == 0:
            print(f"update {update:4}: loss {loss.item():.3f}")
    text = sample(model, "This is the ", sample_length)
    print(text)
    return losses[0], losses[-1], text


if __name__ == "__main__":
    main()
