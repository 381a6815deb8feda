# %% [setup]
from mi_lib.models.vision import load_vision
from mi_lib.worlds import scenes

model = load_vision("sight")
images = scenes.sample(60, seed=0).images
layer = "relu3"
units = [3, 7]
acts = model.run(images[:2], [layer])[layer]  # picture unit row column
maps = model.run(images, [layer])[layer][:, 3]  # image row column: of one unit
width = 32
root = 0.2 * torch.eye(3)

# %% [13.1]
image = images[0]
kernel = torch.tensor([[[-1.0, 0.0, 1.0]] * 3] * 3)  # 3 k k: dark on the left, light on the right
unit_map(image, kernel, bias=0.0)

# %% [13.2]
where = top_examples(maps, 5)
where, images[where[0, 0]]  # image, row and column; and the first of them

# %% [13.3]
channel(acts, units), neuron(acts, units)

# %% [13.4]
start = 0.1 * torch.randn(2, 3, 32, 32)  # picture 3 h w
climb(model, layer, units, start, steps=20, rate=20.0)[0]

# %% [13.5]
spectrum = torch.randn(1, 3, 32, 17, 2)  # picture 3 h half 2
from_waves(spectrum, width).sigmoid()[0]

# %% [13.6]
mean, root = colour_root(images)
z = decorrelated(images, mean, root)
mean, root, z.transpose(0, 1).flatten(1).cov()  # the colours of z should have nothing in common

# %% [13.7]
spectrum = 0.1 * torch.randn(2, 3, 32, 17, 2)  # picture 3 h half 2
moves = [(0, 0), (1, 3), (2, 1), (3, 2)] * 5
render(model, layer, units, spectrum, width, root, moves, most=4, rate=0.05)[0]

# %% [13.8]
smooth = torch.linspace(0, 1, 8).expand(3, 8, 8)
images = torch.stack([smooth, torch.rand(3, 8, 8)])  # picture 3 h w: one smooth, one rough
total_variation(images)

# %% [13.9]
acts = torch.stack([acts[0], acts[0], acts[1]])  # picture unit row column: two of them are the same
alike(acts), different(acts, [3, 3, 3], weight=1.0)

# %% [13.10]
a = torch.randn(50, 3)  # image unit
b = a[:, [2, 0, 1]] + 0.1 * torch.randn(50, 3)  # image other
partners(a, b)

# %% [13.11]
a = torch.tensor([1.0, 2.0, 3.0, 4.0])  # n
b = torch.tensor([1.0, 10.0, 100.0, 1000.0])  # n
rank_correlation(a, b), rank_correlation(a, -b)

# %% [13.12]
pictures, stimuli = images[:3], images[:20]  # unit 3 h w, stimulus 3 h w
foretell(pictures, stimuli)  # a row for each picture
