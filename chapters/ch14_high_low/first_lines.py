# %% [setup]
from mi_lib.models.vision import load_vision
from mi_lib.worlds import scenes

model = load_vision("sight")
layer = "relu3"
sharp = first = tuning.sharp(8, 33, seed=0)  # image size size
blurred = second = tuning.blurred(8, 33, seed=1)
contrast = torch.tensor([0.125, -0.125]).repeat(4)  # image
drawn = scenes.sample(40, seed=0)
images = drawn.images

# %% [14.1]
pattern = two_sides(first, second, angle=0.0)
paint(pattern, contrast, colour=WHITE)[0]  # the first pattern on the right, the second on the left

# %% [14.2]
curves = by_angle(model, layer, first, second, contrast, count=8)
curves  # a row for each unit, a column for each angle

# %% [14.3]
rivals(model, layer, sharp, blurred, contrast, count=8, colours=[WHITE])  # a row for each unit

# %% [14.4]
chosen = measured = torch.tensor([[1.0, 4.0, 1.0, 0.5], [1.0, 4.0, 1.0, 3.0]])  # unit angle
rival = torch.tensor([[1.0, 1.0, 2.0], [1.0, 1.0, 2.0]])  # unit 3
is_detector(chosen, measured, rival)

# %% [14.5]
patterns = sharp
polarity(model, layer, patterns, contrast=0.125)  # for each unit

# %% [14.6]
angles = torch.tensor([0.1, 3.2, 1.5])  # unit
covered(angles, count=4), has_mirror(angles, within=0.3)

# %% [14.7]
maps = model.run(images, [layer])[layer]  # image unit row column
awake(maps)  # for each unit

# %% [14.8]
table = torch.rand(6, 2) @ torch.rand(2, 5)  # row channel
rows, channels = torch.rand(6, 2), torch.rand(2, 5)
for _ in range(50):
    rows, channels = update(table, rows, channels)
table - rows @ channels  # what is left after fifty rounds

# %% [14.9]
high = torch.zeros(1, 3, 3)  # unit size size
low = torch.zeros(1, 3, 3)
high[0, 0, 1] = 1.0  # above the middle
low[0, 2, 1] = 1.0  # below it
pointing(high, low), math.pi / 2

# %% [14.10]
gabor(frequency=0.2, orientation=0.0, phase=0.0, size=15)

# %% [14.11]
units = torch.arange(10)  # member: the first ten units
instead = torch.zeros(64)  # unit
before = model.logits(images).argmax(-1)
answers_without(model, layer, units, instead, images), before  # which class it says without them, and with them

# %% [14.12]
classes = drawn.labels("figure")
kinds = torch.zeros_like(classes)
family, angle, suffers = find_family(model, layer, images, classes, kinds)
family.nonzero()[:, 0], angle[family], suffers
