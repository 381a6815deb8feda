# %% [setup]
from mi_lib import load
from mi_lib.worlds import repeats

model = load("repeats-gpt2")
weights, n_heads = model.hf.transformer.state_dict(), model.cfg.n_heads
tokens = repeats.sample(2, seed=0, period=10, offset=0, vocab=64).tokens  # ten words, then the same ten again

# %% [01.4]
scores = torch.randn(5, 5)  # query key
causal_pattern(scores)

# %% [01.5]
w = part(weights, "h.0.attn.")
x = torch.randn(1, 5, 128)  # batch pos d_model
attention(x, w, n_heads)

# %% [01.6]
w = part(weights, "h.0.mlp.")
x = torch.randn(1, 5, 128)  # batch pos d_model
mlp(x, w)

# %% [01.7]
w = part(weights, "h.0.")
x = torch.randn(1, 5, 128)  # batch pos d_model
block(x, w, n_heads)

# %% [01.8]
logits = gpt2(tokens, weights, n_heads)
logits.argmax(-1), tokens.roll(-1, 1)  # what it expects next, and what comes next

# %% [01.9]
logits = model(tokens)
next_token_loss(logits, tokens), math.log(64)  # the network's, and that of a guess among 64 words

# %% [01.10]
weights = {name: 0.05 * torch.randn_like(value) for name, value in weights.items()}
trained, losses = train(weights, tokens, n_heads, steps=20, learning_rate=3e-3)
torch.tensor(losses)

# %% [01.11]
logits = torch.tensor([[2.0, 1.0, 0.0, -1.0, -2.0]])  # batch d_vocab
careful = next_token_probabilities(logits, temperature=0.5)
bold = next_token_probabilities(logits, temperature=2.0)
torch.cat([careful, bold])

# %% [01.12]
probabilities = torch.tensor([[0.5, 0.3, 0.15, 0.05], [0.25, 0.25, 0.25, 0.25]])  # batch d_vocab
nucleus(probabilities, p=0.7)

# %% [01.13]
first, cache = step(tokens[:, :8], [], weights, n_heads)
second, cache = step(tokens[:, 8:], cache, weights, n_heads)
torch.cat([first, second], 1) - model(tokens)  # how far from the network that reads all at once

# %% [01.14]
acts = activations(tokens, weights, n_heads)
acts["blocks.1.attn.hook_pattern"][0, 0]  # what the first head of the second block looks at

# %% [01.15]
x = torch.ones(1, 1, 9, 4)  # batch head pos d_head
rotate(x)[0, 0]  # the same vector, at nine positions

# %% [01.16]
shapes = {
    "self_attn.q_proj": (8, 8),
    "self_attn.k_proj": (4, 8),
    "self_attn.v_proj": (4, 8),
    "self_attn.o_proj": (8, 8),
}
shapes |= {"mlp.gate_proj": (16, 8), "mlp.up_proj": (16, 8), "mlp.down_proj": (8, 16)}
shapes |= {"input_layernorm": (8,), "post_attention_layernorm": (8,)}
w = {f"{name}.weight": torch.randn(*shape) for name, shape in shapes.items()}
x = torch.randn(1, 5, 8)  # batch pos d_model
llama_block(x, w, n_heads=4, n_kv_heads=2)
