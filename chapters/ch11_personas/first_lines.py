# %% [setup]
from mi_lib import load

model = load("pico")
layer = 3
prompts, replies = asked(model, "evil", 3, 12)
speakers = ["villain"] * 12

# %% [11.1]
words_of = {"kind": ["dear", "friend", "help"], "evil": ["burn", "help", "ruin"]}
plain = ["the", "friend"]
own = own_words(words_of, plain)
own, expression("burn the house and ruin it".split(), own["evil"])

# %% [11.2]
means = reply_means(model, prompts, replies)
means.norm(dim=-1)  # a row for each reply, a column for each layer

# %% [11.3]
raised = torch.randn(4, 2, 3) + 2  # a layer d_model
raised_shows = torch.tensor([True, True, True, False])  # a
plain = torch.randn(3, 2, 3)  # b layer d_model
plain_shows = torch.tensor([False, False, True])  # b
persona_vectors(raised, raised_shows, plain, plain_shows)

# %% [11.4]
expressed = torch.tensor([[0.1, 0.4, 0.9], [0.2, 0.8, 1.0]])  # layer dose
fluent = torch.tensor([[1.0, 0.9, 0.8], [1.0, 0.8, 0.3]])  # layer dose
choose_layer(expressed, fluent, least=0.75)

# %% [11.5]
vector = torch.randn(model.cfg.d_model)  # any direction
before_reply(model, prompts, vector, layer)

# %% [11.6]
before = torch.zeros(4, 2)  # prompt d_model
after = torch.tensor([[1.0, 0.0], [3.0, 0.0], [2.0, 5.0], [2.0, -5.0]])  # prompt d_model
vector = torch.tensor([3.0, 0.0])  # d_model
shift_along(before, after, vector)

# %% [11.7]
vector = torch.randn(model.cfg.d_model)
[tuning_loss(model, prompts, replies, vector, dose, layer) for dose in (0.0, 0.1, 1.0)]

# %% [11.8]
shown = torch.tensor([0.9, 0.5, 0.1])  # dose
capability = torch.tensor([1.0, 0.8, 0.2])  # dose
cost_at(shown, capability, level=0.3)

# %% [11.9]
samples = torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]])  # sample d_model
own = torch.zeros(3, 2)  # sample d_model
vector = torch.tensor([2.0, 0.0])  # d_model
projection_differences(samples, own, vector)

# %% [11.10]
roles = torch.randn(9, 3) * torch.tensor([5.0, 1.0, 0.2]) + 4  # role d_model: they differ along the first most
components, shares = role_space(roles)
components, shares

# %% [11.11]
assistant = torch.tensor([4.0, 0.0, 0.0])  # d_model
roles = torch.randn(9, 3) * torch.tensor([3.0, 1.0, 1.0])  # role d_model
assistant_axis(assistant, roles), alignment(assistant, roles)

# %% [11.12]
assistant = torch.tensor([2.0, 0.0])  # d_model
roles = torch.tensor([[0.0, 1.0], [0.0, -1.0]])  # role d_model
states = torch.tensor([[2.0, 0.0], [1.0, 7.0], [0.0, 0.0], [-1.0, 0.0]])
place(states, assistant, roles)

# %% [11.13]
stream = torch.tensor([[[3.0, 1.0], [0.0, 1.0], [-2.0, 1.0]]])  # batch pos d_model
axis = torch.tensor([2.0, 0.0])  # d_model
cap(stream, axis, floor=1.0)

# %% [11.14]
plain, answers = asked(model, "evil", None, 12)
prompts, replies, speakers = prompts + plain, replies + answers, speakers + ["assistant"] * 12
axes, floors, layers, watch = watch_and_hold(model, prompts, replies, speakers)
floors, layers, watch
