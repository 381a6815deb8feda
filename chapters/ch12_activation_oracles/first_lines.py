# %% [setup]
from mi_lib import load, oracles

pico = model = load("pico")
opened = oracles.open_oracle()
oracle, means = opened.model, opened.means  # the oracle's network, and what is subtracted
words = "Mira lives in Oakham .".split()
reading = oracles.read(pico, "Mira lives in Oakham .", depth=4)[0]
vectors = reading.vectors - means[4]  # word d_model, centred
question = "What is the home town ?"

# %% [12.1]
states = reading.vectors  # state d_model: of "Mira lives in Oakham .", before block 4
tokens, place = pico.to_tokens("cat cat , dog dog , cow")[0].tolist(), 7
logits = patched(model, tokens, place, states, layer=4)
model.to_str_tokens(logits.argmax(-1))  # what comes next, for each state

# %% [12.2]
tokens, place = identity_prompt(["cat", "dog"])
model.to_str_tokens(torch.tensor(tokens)), place

# %% [12.3]
states = torch.randn(50, 3)  # word d_model
targets = states @ torch.diag(torch.tensor([1.0, 2.0, -1.0])) + 5  # word d_model
M, c = translator(states, targets, weight=0.01)
M, c

# %% [12.4]
found = torch.tensor([[3.0, 4.0], [0.0, 2.0]])  # place d_model
vectors = torch.tensor([[10.0, 0.0], [0.0, 0.0]])  # place d_model
added(found, vectors)

# %% [12.5]
logits = oracle_logits(oracle, question, vectors, depth=4)
oracle.to_str_tokens(logits.topk(3).indices)  # its three likeliest answers

# %% [12.6]
words = "Mira met Tom in the yard .".split()
table = {"Mira": "cat", "Tom": "dog"}
name_questions(words, table, "pet")

# %% [12.7]
questions = [(question, 4)]
[answer_loss(oracle, questions, [vectors], answers) for answers in (["Oakham"], ["cat"])]

# %% [12.8]
vectors = [torch.full((2, 1), 1.0), torch.full((3, 1), 2.0), torch.full((1, 1), 3.0), torch.full((2, 1), 4.0)]
shuffled(vectors)

# %% [12.9]
fitted = ["cat", "dog", "cat", "owl"]
asked = ["dog", "cat", "cat", "cat"]
majority(fitted, asked), black_box(words, 3, question)

# %% [12.10]
chances = torch.tensor([0.1, 0.15, 0.6, 0.9, 0.95, 1.0])  # answer
right = torch.tensor([False, False, True, True, False, True])  # answer
reliability(chances, right, bins=4)  # a row for each bin

# %% [12.11]
own = torch.tensor([[2.0, 0.0, 0.0], [1.0, 0.0, 0.0]])  # row candidate
base = torch.zeros(2, 3)  # row candidate
values = lift(own, base)
values, rank(values, 0)

# %% [12.12]
known, among = ["cat", "dog", "cow"], ["owl", "goat", "mouse"]
embedding = model.W_E  # d_vocab d_model
practice = embedding[torch.tensor([NUMBER[word] for word in known])][:, None] + means[4]  # secret talk d_model
own = embedding[torch.tensor([NUMBER["owl"]])][:, None] + means[4]  # case talk d_model
name_secrets(oracle, means, own, practice, known, embedding, depth=4, among=among)
