"""Wrong answers that learners and published code give to chapter 13, each with what the learner must be told, and
right answers written another way. Read by `mi dev check`, never run here."""

from mi_lib.course.mistakes import mistake, right

# --- 13.1 ------------------------------------------------------------------------------------------------------------


@mistake("13.1", says="The kernel is flipped")
class section:
    """A true convolution, as signal processing has it."""

    def unit_map(image, kernel, bias):
        k = kernel.shape[-1]
        kernel = kernel.flip(1, 2)
        rows, columns = (image.shape[1] - k + 1, image.shape[2] - k + 1)
        found = torch.full((rows, columns), float(bias), dtype=image.dtype)
        for y in range(k):
            for x in range(k):
                found = found + (image[:, y : y + rows, x : x + columns] * kernel[:, y, x, None, None]).sum(0)
        return found.clamp(min=0)


@mistake("13.1", says="Rows and columns of the kernel are exchanged")
class section:
    """The wrong way round."""

    def unit_map(image, kernel, bias):
        k = kernel.shape[-1]
        rows, columns = (image.shape[1] - k + 1, image.shape[2] - k + 1)
        found = torch.full((rows, columns), float(bias), dtype=image.dtype)
        for y in range(k):
            for x in range(k):
                found = found + (image[:, y : y + rows, x : x + columns] * kernel[:, x, y, None, None]).sum(0)
        return found.clamp(min=0)


@mistake("13.1", says="What is below 0 must become 0")
class section:
    """No ReLU."""

    def unit_map(image, kernel, bias):
        k = kernel.shape[-1]
        rows, columns = (image.shape[1] - k + 1, image.shape[2] - k + 1)
        found = torch.full((rows, columns), float(bias), dtype=image.dtype)
        for y in range(k):
            for x in range(k):
                found = found + (image[:, y : y + rows, x : x + columns] * kernel[:, y, x, None, None]).sum(0)
        return found


@mistake("13.1", says="The bias is missing")
class section:
    """Starts from nothing."""

    def unit_map(image, kernel, bias):
        k = kernel.shape[-1]
        rows, columns = (image.shape[1] - k + 1, image.shape[2] - k + 1)
        found = torch.full((rows, columns), 0.0, dtype=image.dtype)
        for y in range(k):
            for x in range(k):
                found = found + (image[:, y : y + rows, x : x + columns] * kernel[:, y, x, None, None]).sum(0)
        return found.clamp(min=0)


@mistake("13.1", says="The bias is added after")
class section:
    """Cut off too early."""

    def unit_map(image, kernel, bias):
        k = kernel.shape[-1]
        rows, columns = (image.shape[1] - k + 1, image.shape[2] - k + 1)
        found = torch.full((rows, columns), 0.0, dtype=image.dtype)
        for y in range(k):
            for x in range(k):
                found = found + (image[:, y : y + rows, x : x + columns] * kernel[:, y, x, None, None]).sum(0)
        return found.clamp(min=0) + bias


@mistake("13.1", says="These are means of the products")
class section:
    """Averages."""

    def unit_map(image, kernel, bias):
        k = kernel.shape[-1]
        rows, columns = (image.shape[1] - k + 1, image.shape[2] - k + 1)
        found = torch.zeros(rows, columns)
        for y in range(k):
            for x in range(k):
                found = found + (image[:, y : y + rows, x : x + columns] * kernel[:, y, x, None, None]).sum(0)
        return (found / (3 * k * k) + bias).clamp(min=0)


@mistake("13.1", says="Only one of the colours counts")
class section:
    """Red alone."""

    def unit_map(image, kernel, bias):
        k = kernel.shape[-1]
        rows, columns = (image.shape[1] - k + 1, image.shape[2] - k + 1)
        found = torch.full((rows, columns), float(bias), dtype=image.dtype)
        for y in range(k):
            for x in range(k):
                found = found + image[0, y : y + rows, x : x + columns] * kernel[0, y, x]
        return found.clamp(min=0)


@mistake("13.1", says="You take absolute values")
class section:
    """As if both signs excited."""

    def unit_map(image, kernel, bias):
        k = kernel.shape[-1]
        rows, columns = (image.shape[1] - k + 1, image.shape[2] - k + 1)
        found = torch.full((rows, columns), float(bias), dtype=image.dtype)
        for y in range(k):
            for x in range(k):
                found = found + (image[:, y : y + rows, x : x + columns] * kernel[:, y, x, None, None]).sum(0)
        return found.abs()


@mistake("13.1", says="The bias is added to every product")
class section:
    """Once for each pixel and colour."""

    def unit_map(image, kernel, bias):
        k = kernel.shape[-1]
        rows, columns = (image.shape[1] - k + 1, image.shape[2] - k + 1)
        found = torch.full((rows, columns), 3 * k * k * float(bias), dtype=image.dtype)
        for y in range(k):
            for x in range(k):
                found = found + (image[:, y : y + rows, x : x + columns] * kernel[:, y, x, None, None]).sum(0)
        return found.clamp(min=0)


@mistake("13.1", says="The bias is added once for each colour")
class section:
    """Three maps, each with its bias, added up."""

    def unit_map(image, kernel, bias):
        k = kernel.shape[-1]
        rows, columns = (image.shape[1] - k + 1, image.shape[2] - k + 1)
        found = torch.full((rows, columns), 3 * float(bias), dtype=image.dtype)
        for y in range(k):
            for x in range(k):
                found = found + (image[:, y : y + rows, x : x + columns] * kernel[:, y, x, None, None]).sum(0)
        return found.clamp(min=0)


@mistake("13.1", says="You cut off what is below 0 in each colour")
class section:
    """A ReLU too early."""

    def unit_map(image, kernel, bias):
        found = bias
        for c in range(3):
            found = found + torch.nn.functional.conv2d(image[None, c : c + 1], kernel[None, c : c + 1])[0, 0].relu()
        return found.relu()


@right("13.1", how="with torch's own convolution")
class section:
    def unit_map(image, kernel, bias):
        return torch.nn.functional.conv2d(image[None], kernel[None], torch.tensor([float(bias)])).relu()[0, 0]


@right("13.1", how="place by place, in numpy")
class section:
    import numpy as np

    def unit_map(image, kernel, bias):
        a, w = image.numpy().astype(np.float64), kernel.numpy()
        k = w.shape[1]
        found = np.empty((a.shape[1] - k + 1, a.shape[2] - k + 1))
        for r in range(found.shape[0]):
            for c in range(found.shape[1]):
                found[r, c] = max(0.0, (a[:, r : r + k, c : c + k] * w).sum() + bias)
        return found


@right("13.1", how="with unfold and einsum")
class section:
    def unit_map(image, kernel, bias):
        k = kernel.shape[1]
        patches = image.unfold(1, k, 1).unfold(2, k, 1)
        return torch.relu(torch.einsum("crsyx,cyx->rs", patches, kernel) + bias)


# --- 13.2 ------------------------------------------------------------------------------------------------------------


@mistake("13.2", says="These are the images that excite it least")
class section:
    """Ascending."""

    def top_examples(maps, n):
        best, place = maps.flatten(1).max(dim=1)
        images = best.argsort()[:n]
        width = maps.shape[2]
        return torch.stack([images, place[images] // width, place[images] % width], dim=1)

    def random_examples(maps, n, seed):
        images = torch.randperm(len(maps), generator=torch.Generator().manual_seed(seed))[:n]
        place = maps[images].flatten(1).argmax(dim=1)
        width = maps.shape[2]
        return torch.stack([images, place // width, place % width], dim=1)

    def receptive_field(kernels, strides):
        size, step = (1, 1)
        for kernel, stride in zip(kernels, strides, strict=True):
            size += (kernel - 1) * step
            step *= stride
        return (size, step)


@mistake("13.2", says="You rank images by the mean of their maps")
class section:
    """The mean of the map."""

    def top_examples(maps, n):
        best, place = maps.flatten(1).max(dim=1)
        images = maps.mean(dim=(1, 2)).argsort(descending=True)[:n]
        width = maps.shape[2]
        return torch.stack([images, place[images] // width, place[images] % width], dim=1)

    def random_examples(maps, n, seed):
        images = torch.randperm(len(maps), generator=torch.Generator().manual_seed(seed))[:n]
        place = maps[images].flatten(1).argmax(dim=1)
        width = maps.shape[2]
        return torch.stack([images, place // width, place % width], dim=1)

    def receptive_field(kernels, strides):
        size, step = (1, 1)
        for kernel, stride in zip(kernels, strides, strict=True):
            size += (kernel - 1) * step
            step *= stride
        return (size, step)


@mistake("13.2", says="Row and column are exchanged")
class section:
    """Column first."""

    def top_examples(maps, n):
        best, place = maps.flatten(1).max(dim=1)
        images = best.argsort(descending=True)[:n]
        width = maps.shape[2]
        return torch.stack([images, place[images] % width, place[images] // width], dim=1)

    def random_examples(maps, n, seed):
        images = torch.randperm(len(maps), generator=torch.Generator().manual_seed(seed))[:n]
        place = maps[images].flatten(1).argmax(dim=1)
        width = maps.shape[2]
        return torch.stack([images, place // width, place % width], dim=1)

    def receptive_field(kernels, strides):
        size, step = (1, 1)
        for kernel, stride in zip(kernels, strides, strict=True):
            size += (kernel - 1) * step
            step *= stride
        return (size, step)


@mistake("13.2", says="divide by the number of COLUMNS")
class section:
    """The height for the width."""

    def top_examples(maps, n):
        best, place = maps.flatten(1).max(dim=1)
        images = best.argsort(descending=True)[:n]
        width = maps.shape[1]
        return torch.stack([images, place[images] // width, place[images] % width], dim=1)

    def random_examples(maps, n, seed):
        images = torch.randperm(len(maps), generator=torch.Generator().manual_seed(seed))[:n]
        place = maps[images].flatten(1).argmax(dim=1)
        width = maps.shape[2]
        return torch.stack([images, place // width, place % width], dim=1)

    def receptive_field(kernels, strides):
        size, step = (1, 1)
        for kernel, stride in zip(kernels, strides, strict=True):
            size += (kernel - 1) * step
            step *= stride
        return (size, step)


@mistake("13.2", says="An image counts once")
class section:
    """Places are ranked, not images."""

    def top_examples(maps, n):
        flat = maps.flatten().argsort(descending=True)[:n]
        size, width = maps.shape[1] * maps.shape[2], maps.shape[2]
        return torch.stack([flat // size, flat % size // width, flat % width], dim=1)

    def random_examples(maps, n, seed):
        images = torch.randperm(len(maps), generator=torch.Generator().manual_seed(seed))[:n]
        place = maps[images].flatten(1).argmax(dim=1)
        width = maps.shape[2]
        return torch.stack([images, place // width, place % width], dim=1)

    def receptive_field(kernels, strides):
        size, step = (1, 1)
        for kernel, stride in zip(kernels, strides, strict=True):
            size += (kernel - 1) * step
            step *= stride
        return (size, step)


@mistake("13.2", says="the weakest comes first")
class section:
    """Reversed."""

    def top_examples(maps, n):
        best, place = maps.flatten(1).max(dim=1)
        images = best.argsort()[-n:]
        width = maps.shape[2]
        return torch.stack([images, place[images] // width, place[images] % width], dim=1)

    def random_examples(maps, n, seed):
        images = torch.randperm(len(maps), generator=torch.Generator().manual_seed(seed))[:n]
        place = maps[images].flatten(1).argmax(dim=1)
        width = maps.shape[2]
        return torch.stack([images, place // width, place % width], dim=1)

    def receptive_field(kernels, strides):
        size, step = (1, 1)
        for kernel, stride in zip(kernels, strides, strict=True):
            size += (kernel - 1) * step
            step *= stride
        return (size, step)


@mistake("13.2", says="An image was drawn twice")
class section:
    """With replacement."""

    def top_examples(maps, n):
        best, place = maps.flatten(1).max(dim=1)
        images = best.argsort(descending=True)[:n]
        width = maps.shape[2]
        return torch.stack([images, place[images] // width, place[images] % width], dim=1)

    def random_examples(maps, n, seed):
        images = torch.randint(len(maps), (n,), generator=torch.Generator().manual_seed(seed))
        place = maps[images].flatten(1).argmax(dim=1)
        width = maps.shape[2]
        return torch.stack([images, place // width, place % width], dim=1)

    def receptive_field(kernels, strides):
        size, step = (1, 1)
        for kernel, stride in zip(kernels, strides, strict=True):
            size += (kernel - 1) * step
            step *= stride
        return (size, step)


@mistake("13.2", says="The same seed gives other images")
class section:
    """No seed."""

    def top_examples(maps, n):
        best, place = maps.flatten(1).max(dim=1)
        images = best.argsort(descending=True)[:n]
        width = maps.shape[2]
        return torch.stack([images, place[images] // width, place[images] % width], dim=1)

    def random_examples(maps, n, seed):
        images = torch.randperm(len(maps))[:n]
        place = maps[images].flatten(1).argmax(dim=1)
        width = maps.shape[2]
        return torch.stack([images, place // width, place % width], dim=1)

    def receptive_field(kernels, strides):
        size, step = (1, 1)
        for kernel, stride in zip(kernels, strides, strict=True):
            size += (kernel - 1) * step
            step *= stride
        return (size, step)


@mistake("13.2", says="Other seeds give the same images")
class section:
    """The seed is fixed."""

    def top_examples(maps, n):
        best, place = maps.flatten(1).max(dim=1)
        images = best.argsort(descending=True)[:n]
        width = maps.shape[2]
        return torch.stack([images, place[images] // width, place[images] % width], dim=1)

    def random_examples(maps, n, seed):
        images = torch.randperm(len(maps), generator=torch.Generator().manual_seed(0))[:n]
        place = maps[images].flatten(1).argmax(dim=1)
        width = maps.shape[2]
        return torch.stack([images, place // width, place % width], dim=1)

    def receptive_field(kernels, strides):
        size, step = (1, 1)
        for kernel, stride in zip(kernels, strides, strict=True):
            size += (kernel - 1) * step
            step *= stride
        return (size, step)


@mistake("13.2", says="Your draw depends on what the unit says")
class section:
    """Shuffles the best half."""

    def top_examples(maps, n):
        best, place = maps.flatten(1).max(dim=1)
        images = best.argsort(descending=True)[:n]
        width = maps.shape[2]
        return torch.stack([images, place[images] // width, place[images] % width], dim=1)

    def random_examples(maps, n, seed):
        active = maps.flatten(1).amax(1).argsort(descending=True)
        images = active[torch.randperm(len(maps), generator=torch.Generator().manual_seed(seed))[:n]]
        place = maps[images].flatten(1).argmax(dim=1)
        width = maps.shape[2]
        return torch.stack([images, place // width, place % width], dim=1)

    def receptive_field(kernels, strides):
        size, step = (1, 1)
        for kernel, stride in zip(kernels, strides, strict=True):
            size += (kernel - 1) * step
            step *= stride
        return (size, step)


@mistake("13.2", says="Some images are drawn much more often")
class section:
    """The first half alone."""

    def top_examples(maps, n):
        best, place = maps.flatten(1).max(dim=1)
        images = best.argsort(descending=True)[:n]
        width = maps.shape[2]
        return torch.stack([images, place[images] // width, place[images] % width], dim=1)

    def random_examples(maps, n, seed):
        images = torch.randperm(len(maps) - 3, generator=torch.Generator().manual_seed(seed))[:n]
        place = maps[images].flatten(1).argmax(dim=1)
        width = maps.shape[2]
        return torch.stack([images, place // width, place % width], dim=1)

    def receptive_field(kernels, strides):
        size, step = (1, 1)
        for kernel, stride in zip(kernels, strides, strict=True):
            size += (kernel - 1) * step
            step *= stride
        return (size, step)


@mistake("13.2", says="You add up whole kernels")
class section:
    """Kernels side by side."""

    def top_examples(maps, n):
        best, place = maps.flatten(1).max(dim=1)
        images = best.argsort(descending=True)[:n]
        width = maps.shape[2]
        return torch.stack([images, place[images] // width, place[images] % width], dim=1)

    def random_examples(maps, n, seed):
        images = torch.randperm(len(maps), generator=torch.Generator().manual_seed(seed))[:n]
        place = maps[images].flatten(1).argmax(dim=1)
        width = maps.shape[2]
        return torch.stack([images, place // width, place % width], dim=1)

    def receptive_field(kernels, strides):
        size, step = (0, 1)
        for kernel, stride in zip(kernels, strides, strict=True):
            size += kernel
            step *= stride
        return (size, step)


@mistake("13.2", says="Strides are forgotten")
class section:
    """As if every stride were 1."""

    def top_examples(maps, n):
        best, place = maps.flatten(1).max(dim=1)
        images = best.argsort(descending=True)[:n]
        width = maps.shape[2]
        return torch.stack([images, place[images] // width, place[images] % width], dim=1)

    def random_examples(maps, n, seed):
        images = torch.randperm(len(maps), generator=torch.Generator().manual_seed(seed))[:n]
        place = maps[images].flatten(1).argmax(dim=1)
        width = maps.shape[2]
        return torch.stack([images, place // width, place % width], dim=1)

    def receptive_field(kernels, strides):
        size, step = (1, 1)
        for kernel, stride in zip(kernels, strides, strict=True):
            size += kernel - 1
            step *= stride
        return (size, step)


@mistake("13.2", says="A layer's own stride does not widen")
class section:
    """Multiplies too early."""

    def top_examples(maps, n):
        best, place = maps.flatten(1).max(dim=1)
        images = best.argsort(descending=True)[:n]
        width = maps.shape[2]
        return torch.stack([images, place[images] // width, place[images] % width], dim=1)

    def random_examples(maps, n, seed):
        images = torch.randperm(len(maps), generator=torch.Generator().manual_seed(seed))[:n]
        place = maps[images].flatten(1).argmax(dim=1)
        width = maps.shape[2]
        return torch.stack([images, place // width, place % width], dim=1)

    def receptive_field(kernels, strides):
        size, step = (1, 1)
        for kernel, stride in zip(kernels, strides, strict=True):
            step *= stride
            size += (kernel - 1) * step
        return (size, step)


@mistake("13.2", says="The step is the product of all strides")
class section:
    """Adds strides."""

    def top_examples(maps, n):
        best, place = maps.flatten(1).max(dim=1)
        images = best.argsort(descending=True)[:n]
        width = maps.shape[2]
        return torch.stack([images, place[images] // width, place[images] % width], dim=1)

    def random_examples(maps, n, seed):
        images = torch.randperm(len(maps), generator=torch.Generator().manual_seed(seed))[:n]
        place = maps[images].flatten(1).argmax(dim=1)
        width = maps.shape[2]
        return torch.stack([images, place // width, place % width], dim=1)

    def receptive_field(kernels, strides):
        size, step = (1, 1)
        for kernel, stride in zip(kernels, strides, strict=True):
            size += (kernel - 1) * step
            step *= stride
        return (size, sum(strides))


@mistake("13.2", says="The step is that of the last layer alone")
class section:
    """The last stride."""

    def top_examples(maps, n):
        best, place = maps.flatten(1).max(dim=1)
        images = best.argsort(descending=True)[:n]
        width = maps.shape[2]
        return torch.stack([images, place[images] // width, place[images] % width], dim=1)

    def random_examples(maps, n, seed):
        images = torch.randperm(len(maps), generator=torch.Generator().manual_seed(seed))[:n]
        place = maps[images].flatten(1).argmax(dim=1)
        width = maps.shape[2]
        return torch.stack([images, place // width, place % width], dim=1)

    def receptive_field(kernels, strides):
        size, step = (1, 1)
        for kernel, stride in zip(kernels, strides, strict=True):
            size += (kernel - 1) * step
            step *= stride
        return (size, strides[-1])


@mistake("13.2", says="You multiply kernels")
class section:
    """The product."""

    def top_examples(maps, n):
        best, place = maps.flatten(1).max(dim=1)
        images = best.argsort(descending=True)[:n]
        width = maps.shape[2]
        return torch.stack([images, place[images] // width, place[images] % width], dim=1)

    def random_examples(maps, n, seed):
        images = torch.randperm(len(maps), generator=torch.Generator().manual_seed(seed))[:n]
        place = maps[images].flatten(1).argmax(dim=1)
        width = maps.shape[2]
        return torch.stack([images, place // width, place % width], dim=1)

    def receptive_field(kernels, strides):
        size, step = (1, 1)
        for kernel, stride in zip(kernels, strides, strict=True):
            size *= kernel
            step *= stride
        return (size, step)


@right("13.2", how="with lists")
class section:
    import random

    def best_place(one):
        return max((value, r, c) for r, row in enumerate(one.tolist()) for c, value in enumerate(row))

    def top_examples(maps, n):
        found = sorted(((*best_place(one), i) for i, one in enumerate(maps)), reverse=True)[:n]
        return [[i, r, c] for _, r, c, i in found]

    def random_examples(maps, n, seed):
        chosen = random.Random(seed).sample(range(len(maps)), n)
        return torch.tensor([[i, *best_place(maps[i])[1:]] for i in chosen])

    def receptive_field(kernels, strides):
        low, high, step = 0, 0, 1
        for k, s in zip(reversed(kernels), reversed(strides)):
            low, high, step = low * s, high * s + k - 1, step * s
        return high - low + 1, step


@right("13.2", how="with topk and unravel_index")
class section:
    def top_examples(maps, n):
        images = maps.amax(dim=(1, 2)).topk(n).indices
        rows, columns = torch.unravel_index(maps[images].flatten(1).argmax(1), maps.shape[1:])
        return torch.stack([images, rows, columns], 1)

    def random_examples(maps, n, seed):
        weights = torch.ones(len(maps))
        images = torch.multinomial(weights, n, replacement=False, generator=torch.Generator().manual_seed(seed))
        rows, columns = torch.unravel_index(maps[images].flatten(1).argmax(1), maps.shape[1:])
        return torch.stack([images, rows, columns], 1)

    def receptive_field(kernels, strides):
        size = 1
        for i, k in enumerate(kernels):
            below = 1
            for s in strides[:i]:
                below *= s
            size += (k - 1) * below
        return [size, int(torch.tensor(strides).prod())]


# --- 13.3 ------------------------------------------------------------------------------------------------------------


@mistake("13.3", says="You add up the map")
class section:
    """A sum."""

    def channel(acts, units):
        return acts[torch.arange(len(units)), units].sum(dim=(1, 2))

    def neuron(acts, units):
        return acts[torch.arange(len(units)), units, acts.shape[2] // 2, acts.shape[3] // 2]

    def direction(acts, vector, power):
        dots = torch.einsum("purc,u->prc", acts, vector)
        cosines = dots / (acts.norm(dim=1) * vector.norm()).clamp(min=1e-08)
        return (dots * cosines.clamp(min=0.1) ** power).mean(dim=(1, 2))


@mistake("13.3", says="All pictures are for the first unit")
class section:
    """One unit for all."""

    def channel(acts, units):
        return acts[:, units[0]].mean(dim=(1, 2))

    def neuron(acts, units):
        return acts[torch.arange(len(units)), units, acts.shape[2] // 2, acts.shape[3] // 2]

    def direction(acts, vector, power):
        dots = torch.einsum("purc,u->prc", acts, vector)
        cosines = dots / (acts.norm(dim=1) * vector.norm()).clamp(min=1e-08)
        return (dots * cosines.clamp(min=0.1) ** power).mean(dim=(1, 2))


@mistake("13.3", says="Each picture has a unit of its own")
class section:
    """Slices instead of pairs."""

    def channel(acts, units):
        return acts[:, units].mean(dim=(1, 2, 3))

    def neuron(acts, units):
        return acts[torch.arange(len(units)), units, acts.shape[2] // 2, acts.shape[3] // 2]

    def direction(acts, vector, power):
        dots = torch.einsum("purc,u->prc", acts, vector)
        cosines = dots / (acts.norm(dim=1) * vector.norm()).clamp(min=1e-08)
        return (dots * cosines.clamp(min=0.1) ** power).mean(dim=(1, 2))


@mistake("13.3", says="You take the largest place")
class section:
    """The maximum."""

    def channel(acts, units):
        return acts[torch.arange(len(units)), units].amax(dim=(1, 2))

    def neuron(acts, units):
        return acts[torch.arange(len(units)), units, acts.shape[2] // 2, acts.shape[3] // 2]

    def direction(acts, vector, power):
        dots = torch.einsum("purc,u->prc", acts, vector)
        cosines = dots / (acts.norm(dim=1) * vector.norm()).clamp(min=1e-08)
        return (dots * cosines.clamp(min=0.1) ** power).mean(dim=(1, 2))


@mistake("13.3", says="no gradient comes through")
class section:
    """Detached."""

    def channel(acts, units):
        return acts[torch.arange(len(units)), units].mean(dim=(1, 2)).detach()

    def neuron(acts, units):
        return acts[torch.arange(len(units)), units, acts.shape[2] // 2, acts.shape[3] // 2]

    def direction(acts, vector, power):
        dots = torch.einsum("purc,u->prc", acts, vector)
        cosines = dots / (acts.norm(dim=1) * vector.norm()).clamp(min=1e-08)
        return (dots * cosines.clamp(min=0.1) ** power).mean(dim=(1, 2))


@mistake("13.3", says="Row and column are exchanged")
class section:
    """Columns first."""

    def channel(acts, units):
        return acts[torch.arange(len(units)), units].mean(dim=(1, 2))

    def neuron(acts, units):
        return acts[
            torch.arange(len(units)),
            units,
            min(acts.shape[3] // 2, acts.shape[2] - 1),
            min(acts.shape[2] // 2, acts.shape[3] - 1),
        ]

    def direction(acts, vector, power):
        dots = torch.einsum("purc,u->prc", acts, vector)
        cosines = dots / (acts.norm(dim=1) * vector.norm()).clamp(min=1e-08)
        return (dots * cosines.clamp(min=0.1) ** power).mean(dim=(1, 2))


@mistake("13.3", says="yours lies one place before it")
class section:
    """(n − 1) // 2."""

    def channel(acts, units):
        return acts[torch.arange(len(units)), units].mean(dim=(1, 2))

    def neuron(acts, units):
        return acts[torch.arange(len(units)), units, (acts.shape[2] - 1) // 2, (acts.shape[3] - 1) // 2]

    def direction(acts, vector, power):
        dots = torch.einsum("purc,u->prc", acts, vector)
        cosines = dots / (acts.norm(dim=1) * vector.norm()).clamp(min=1e-08)
        return (dots * cosines.clamp(min=0.1) ** power).mean(dim=(1, 2))


@mistake("13.3", says="This is the first place of the map")
class section:
    """The corner."""

    def channel(acts, units):
        return acts[torch.arange(len(units)), units].mean(dim=(1, 2))

    def neuron(acts, units):
        return acts[torch.arange(len(units)), units, 0, 0]

    def direction(acts, vector, power):
        dots = torch.einsum("purc,u->prc", acts, vector)
        cosines = dots / (acts.norm(dim=1) * vector.norm()).clamp(min=1e-08)
        return (dots * cosines.clamp(min=0.1) ** power).mean(dim=(1, 2))


@mistake("13.3", says="The cosine does not count")
class section:
    """The dot product alone."""

    def channel(acts, units):
        return acts[torch.arange(len(units)), units].mean(dim=(1, 2))

    def neuron(acts, units):
        return acts[torch.arange(len(units)), units, acts.shape[2] // 2, acts.shape[3] // 2]

    def direction(acts, vector, power):
        dots = torch.einsum("purc,u->prc", acts, vector)
        cosines = dots / (acts.norm(dim=1) * vector.norm()).clamp(min=1e-08)
        return dots.mean(dim=(1, 2))


@mistake("13.3", says="a · v is missing")
class section:
    """The cosine alone."""

    def channel(acts, units):
        return acts[torch.arange(len(units)), units].mean(dim=(1, 2))

    def neuron(acts, units):
        return acts[torch.arange(len(units)), units, acts.shape[2] // 2, acts.shape[3] // 2]

    def direction(acts, vector, power):
        dots = torch.einsum("purc,u->prc", acts, vector)
        cosines = dots / (acts.norm(dim=1) * vector.norm()).clamp(min=1e-08)
        return (cosines.clamp(min=0.1) ** power).mean(dim=(1, 2))


@mistake("13.3", says="You multiply by the power")
class section:
    """Not raised."""

    def channel(acts, units):
        return acts[torch.arange(len(units)), units].mean(dim=(1, 2))

    def neuron(acts, units):
        return acts[torch.arange(len(units)), units, acts.shape[2] // 2, acts.shape[3] // 2]

    def direction(acts, vector, power):
        dots = torch.einsum("purc,u->prc", acts, vector)
        cosines = dots / (acts.norm(dim=1) * vector.norm()).clamp(min=1e-08)
        return (dots * cosines.clamp(min=0.1) * power).mean(dim=(1, 2))


@mistake("13.3", says="The cosine may be negative")
class section:
    """No bound."""

    def channel(acts, units):
        return acts[torch.arange(len(units)), units].mean(dim=(1, 2))

    def neuron(acts, units):
        return acts[torch.arange(len(units)), units, acts.shape[2] // 2, acts.shape[3] // 2]

    def direction(acts, vector, power):
        dots = torch.einsum("purc,u->prc", acts, vector)
        cosines = dots / (acts.norm(dim=1) * vector.norm()).clamp(min=1e-08)
        return (dots * cosines.abs() ** power * cosines.sign() ** (power > 0)).mean(dim=(1, 2))


@mistake("13.3", says="You take the size of the cosine")
class section:
    """Absolute values for the bound."""

    def channel(acts, units):
        return acts[torch.arange(len(units)), units].mean(dim=(1, 2))

    def neuron(acts, units):
        return acts[torch.arange(len(units)), units, acts.shape[2] // 2, acts.shape[3] // 2]

    def direction(acts, vector, power):
        dots = torch.einsum("purc,u->prc", acts, vector)
        cosines = dots / (acts.norm(dim=1) * vector.norm()).clamp(min=1e-08)
        return (dots * cosines.abs() ** power).mean(dim=(1, 2))


@mistake("13.3", says="The cosine is cut off at 0")
class section:
    """ReLU for the bound."""

    def channel(acts, units):
        return acts[torch.arange(len(units)), units].mean(dim=(1, 2))

    def neuron(acts, units):
        return acts[torch.arange(len(units)), units, acts.shape[2] // 2, acts.shape[3] // 2]

    def direction(acts, vector, power):
        dots = torch.einsum("purc,u->prc", acts, vector)
        cosines = dots / (acts.norm(dim=1) * vector.norm()).clamp(min=1e-08)
        return (dots * cosines.clamp(min=0) ** power).mean(dim=(1, 2))


@mistake("13.3", says="You divide a · v by the length of v")
class section:
    """A unit vector."""

    def channel(acts, units):
        return acts[torch.arange(len(units)), units].mean(dim=(1, 2))

    def neuron(acts, units):
        return acts[torch.arange(len(units)), units, acts.shape[2] // 2, acts.shape[3] // 2]

    def direction(acts, vector, power):
        dots = torch.einsum("purc,u->prc", acts, vector)
        cosines = dots / (acts.norm(dim=1) * vector.norm()).clamp(min=1e-08)
        return (dots / vector.norm() * cosines.clamp(min=0.1) ** power).mean(dim=(1, 2))


@mistake("13.3", says="You raise to the power first")
class section:
    """The bound is taken after the power."""

    def channel(acts, units):
        return torch.stack([acts[i, u].mean() for i, u in enumerate(units)])

    def neuron(acts, units):
        return torch.stack([acts[i, u, acts.shape[2] // 2, acts.shape[3] // 2] for i, u in enumerate(units)])

    def direction(acts, vector, power):
        dot = torch.einsum("purc,u->prc", acts, vector)
        cos = torch.cosine_similarity(acts, vector[None, :, None, None], dim=1)
        return (dot * (cos**power).clamp(min=0.1)).mean((1, 2))


@right("13.3", how="picture by picture")
class section:
    def channel(acts, units):
        return torch.stack([picture[unit].mean() for picture, unit in zip(acts, units)])

    def neuron(acts, units):
        rows, columns = acts.shape[-2:]
        return torch.stack([picture[unit, rows // 2, columns // 2] for picture, unit in zip(acts, units)])

    def direction(acts, vector, power):
        found = []
        for picture in acts:
            places = picture.flatten(1).T
            dots = places @ vector
            cosines = torch.nn.functional.cosine_similarity(places, vector[None], dim=1)
            found.append((dots * torch.maximum(cosines, torch.tensor(0.1)).pow(power)).mean())
        return torch.stack(found)


@right("13.3", how="with gather, in double precision")
class section:
    def own(acts, units):
        index = torch.as_tensor(units)[:, None, None, None].expand(-1, 1, *acts.shape[2:])
        return acts.double().gather(1, index)[:, 0]

    def channel(acts, units):
        return own(acts, units).flatten(1).mean(1)

    def neuron(acts, units):
        maps = own(acts, units)
        return maps[..., maps.shape[1] // 2, maps.shape[2] // 2]

    def direction(acts, vector, power):
        a, v = acts.double().movedim(1, -1), vector.double()
        dot = a @ v
        return (dot * (dot / a.norm(dim=-1) / v.norm()).clamp(min=0.1) ** power).flatten(1).mean(1)


# --- 13.4 ------------------------------------------------------------------------------------------------------------


@mistake("13.4", says="You go downhill")
class section:
    """Minimises."""

    def climb(model, layer, units, start, steps, rate):
        x = start.clone()
        for _ in range(steps):
            x = x.detach().requires_grad_()
            value = channel(model.run(x.sigmoid(), [layer])[layer], units)
            x = x - rate * torch.autograd.grad(value.sum(), x)[0]
        return x.detach().sigmoid()


@mistake("13.4", says="This is x. The image is sigmoid(x)")
class section:
    """No sigmoid at the end."""

    def climb(model, layer, units, start, steps, rate):
        x = start.clone()
        for _ in range(steps):
            x = x.detach().requires_grad_()
            value = channel(model.run(x.sigmoid(), [layer])[layer], units)
            x = x + rate * torch.autograd.grad(value.sum(), x)[0]
        return x.detach()


@mistake("13.4", says="Take the gradient of the SUM")
class section:
    """The mean over pictures."""

    def climb(model, layer, units, start, steps, rate):
        x = start.clone()
        for _ in range(steps):
            x = x.detach().requires_grad_()
            value = channel(model.run(x.sigmoid(), [layer])[layer], units)
            x = x + rate * torch.autograd.grad(value.mean(), x)[0]
        return x.detach().sigmoid()


@mistake("13.4", says="Gradients pile up")
class section:
    """Never starts anew."""

    def climb(model, layer, units, start, steps, rate):
        x = start.clone()
        heap = torch.zeros_like(x)
        for _ in range(steps):
            x = x.detach().requires_grad_()
            value = channel(model.run(x.sigmoid(), [layer])[layer], units)
            heap = heap + torch.autograd.grad(value.sum(), x)[0]
            x = x + rate * heap
        return x.detach().sigmoid()


@mistake("13.4", says="You compute the gradient once")
class section:
    """A straight line."""

    def climb(model, layer, units, start, steps, rate):
        x = start.clone().requires_grad_()
        value = channel(model.run(x.sigmoid(), [layer])[layer], units)
        g = torch.autograd.grad(value.sum(), x)[0]
        x = x + steps * rate * g
        return x.detach().sigmoid()


@mistake("13.4", says="This is the gradient with respect to the image")
class section:
    """Not through the sigmoid."""

    def climb(model, layer, units, start, steps, rate):
        x = start.clone()
        for _ in range(steps):
            x = x.detach().requires_grad_()
            image = x.sigmoid()
            value = channel(model.run(image, [layer])[layer], units)
            x = x + rate * torch.autograd.grad(value.sum(), image)[0]
        return x.detach().sigmoid()


@mistake("13.4", says="There is one step too many")
class section:
    """steps + 1."""

    def climb(model, layer, units, start, steps, rate):
        x = start.clone()
        for _ in range(steps + 1):
            x = x.detach().requires_grad_()
            value = channel(model.run(x.sigmoid(), [layer])[layer], units)
            x = x + rate * torch.autograd.grad(value.sum(), x)[0]
        return x.detach().sigmoid()


@mistake("13.4", says="There is one step too few")
class section:
    """steps − 1."""

    def climb(model, layer, units, start, steps, rate):
        x = start.clone()
        for _ in range(steps - 1):
            x = x.detach().requires_grad_()
            value = channel(model.run(x.sigmoid(), [layer])[layer], units)
            x = x + rate * torch.autograd.grad(value.sum(), x)[0]
        return x.detach().sigmoid()


@mistake("13.4", says="You give the gradient length 1")
class section:
    """Normalised."""

    def climb(model, layer, units, start, steps, rate):
        x = start.clone()
        for _ in range(steps):
            x = x.detach().requires_grad_()
            value = channel(model.run(x.sigmoid(), [layer])[layer], units)
            g = torch.autograd.grad(value.sum(), x)[0]
            x = x + rate * g / g.flatten(1).norm(dim=1)[:, None, None, None]
        return x.detach().sigmoid()


@mistake("13.4", says="All pictures are for the first unit")
class section:
    """One unit."""

    def climb(model, layer, units, start, steps, rate):
        x = start.clone()
        for _ in range(steps):
            x = x.detach().requires_grad_()
            value = channel(model.run(x.sigmoid(), [layer])[layer], [units[0]] * len(units))
            x = x + rate * torch.autograd.grad(value.sum(), x)[0]
        return x.detach().sigmoid()


@mistake("13.4", says="You climb for the middle of the map")
class section:
    """neuron for channel."""

    def climb(model, layer, units, start, steps, rate):
        x = start.clone()
        for _ in range(steps):
            x = x.detach().requires_grad_()
            value = neuron(model.run(x.sigmoid(), [layer])[layer], units)
            x = x + rate * torch.autograd.grad(value.sum(), x)[0]
        return x.detach().sigmoid()


@mistake("13.4", says="You cut x off at 0 and 1")
class section:
    """Clamped, not squashed."""

    def climb(model, layer, units, start, steps, rate):
        x = start.clone()
        for _ in range(steps):
            x = x.detach().requires_grad_()
            value = channel(model.run(x.clamp(0, 1), [layer])[layer], units)
            x = x + rate * torch.autograd.grad(value.sum(), x)[0]
        return x.detach().clamp(0, 1)


@right("13.4", how="with an optimiser and backward")
class section:
    def climb(model, layer, units, start, steps, rate):
        x = start.clone().requires_grad_()
        climber = torch.optim.SGD([x], lr=rate, maximize=True)
        for _ in range(steps):
            climber.zero_grad()
            channel(model.run(torch.sigmoid(x), layer)[layer], units).sum().backward()
            climber.step()
        return torch.sigmoid(x).detach()


@right("13.4", how="each picture alone")
class section:
    def climb(model, layer, units, start, steps, rate):
        pictures = []
        for one, unit in zip(start, units):
            x = one.clone()[None]
            for _ in range(steps):
                x.requires_grad_(True)
                model.run(1 / (1 + (-x).exp()), [layer])[layer][0, unit].mean().backward()
                x = (x + rate * x.grad).detach()
            pictures.append(x[0].sigmoid())
        return torch.stack(pictures).double()


# --- 13.5 ------------------------------------------------------------------------------------------------------------


@mistake("13.5", says="fine waves are the loud ones")
class section:
    """f, not 1 / f."""

    def wave_scale(height, width):
        down, across = (torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None, :])
        f = (down**2 + across**2).sqrt()
        return f.clamp(min=1 / max(height, width))

    def from_waves(spectrum, width):
        height = spectrum.shape[2]
        waves = torch.complex(spectrum[..., 0], spectrum[..., 1]) * wave_scale(height, width)
        return torch.fft.irfft2(waves, s=(height, width), norm="ortho") / 4


@mistake("13.5", says="The constant wave, f = 0, is not held")
class section:
    """No bound."""

    def wave_scale(height, width):
        down, across = (torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None, :])
        f = (down**2 + across**2).sqrt()
        return 1 / f.clamp(min=1e-12)

    def from_waves(spectrum, width):
        height = spectrum.shape[2]
        waves = torch.complex(spectrum[..., 0], spectrum[..., 1]) * wave_scale(height, width)
        return torch.fft.irfft2(waves, s=(height, width), norm="ortho") / 4


@mistake("13.5", says="yours has the smaller side")
class section:
    """The smaller side."""

    def wave_scale(height, width):
        down, across = (torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None, :])
        f = (down**2 + across**2).sqrt()
        return 1 / f.clamp(min=1 / min(height, width))

    def from_waves(spectrum, width):
        height = spectrum.shape[2]
        waves = torch.complex(spectrum[..., 0], spectrum[..., 1]) * wave_scale(height, width)
        return torch.fft.irfft2(waves, s=(height, width), norm="ortho") / 4


@mistake("13.5", says="their sum")
class section:
    """Adds frequencies."""

    def wave_scale(height, width):
        down, across = (torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None, :])
        f = down.abs() + across
        return 1 / f.clamp(min=1 / max(height, width))

    def from_waves(spectrum, width):
        height = spectrum.shape[2]
        waves = torch.complex(spectrum[..., 0], spectrum[..., 1]) * wave_scale(height, width)
        return torch.fft.irfft2(waves, s=(height, width), norm="ortho") / 4


@mistake("13.5", says="The square root is missing")
class section:
    """f²."""

    def wave_scale(height, width):
        down, across = (torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None, :])
        f = down**2 + across**2
        return 1 / f.clamp(min=1 / max(height, width))

    def from_waves(spectrum, width):
        height = spectrum.shape[2]
        waves = torch.complex(spectrum[..., 0], spectrum[..., 1]) * wave_scale(height, width)
        return torch.fft.irfft2(waves, s=(height, width), norm="ortho") / 4


@mistake("13.5", says="the NEGATIVE frequencies")
class section:
    """Counts on."""

    def wave_scale(height, width):
        down, across = (torch.arange(height)[:, None] / height, torch.fft.rfftfreq(width)[None, :])
        f = (down**2 + across**2).sqrt()
        return 1 / f.clamp(min=1 / max(height, width))

    def from_waves(spectrum, width):
        height = spectrum.shape[2]
        waves = torch.complex(spectrum[..., 0], spectrum[..., 1]) * wave_scale(height, width)
        return torch.fft.irfft2(waves, s=(height, width), norm="ortho") / 4


@mistake("13.5", says="Frequencies are in cycles per pixel")
class section:
    """Cycles per image."""

    def wave_scale(height, width):
        down, across = (torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None, :])
        f = ((down * height) ** 2 + (across * width) ** 2).sqrt()
        return 1 / f.clamp(min=1.0)

    def from_waves(spectrum, width):
        height = spectrum.shape[2]
        waves = torch.complex(spectrum[..., 0], spectrum[..., 1]) * wave_scale(height, width)
        return torch.fft.irfft2(waves, s=(height, width), norm="ortho") / 4


@mistake("13.5", says="The scale is missing")
class section:
    """Every wave alike."""

    def wave_scale(height, width):
        down, across = (torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None, :])
        f = (down**2 + across**2).sqrt()
        return 1 / f.clamp(min=1 / max(height, width))

    def from_waves(spectrum, width):
        height = spectrum.shape[2]
        waves = torch.complex(spectrum[..., 0], spectrum[..., 1])
        return torch.fft.irfft2(waves, s=(height, width), norm="ortho") / 4


@mistake("13.5", says="You divide by the scale")
class section:
    """The wrong way."""

    def wave_scale(height, width):
        down, across = (torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None, :])
        f = (down**2 + across**2).sqrt()
        return 1 / f.clamp(min=1 / max(height, width))

    def from_waves(spectrum, width):
        height = spectrum.shape[2]
        waves = torch.complex(spectrum[..., 0], spectrum[..., 1]) / wave_scale(height, width)
        return torch.fft.irfft2(waves, s=(height, width), norm="ortho") / 4


@mistake("13.5", says="You have left the norm as it is")
class section:
    """Another norm."""

    def wave_scale(height, width):
        down, across = (torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None, :])
        f = (down**2 + across**2).sqrt()
        return 1 / f.clamp(min=1 / max(height, width))

    def from_waves(spectrum, width):
        height = spectrum.shape[2]
        waves = torch.complex(spectrum[..., 0], spectrum[..., 1]) * wave_scale(height, width)
        return torch.fft.irfft2(waves, s=(height, width)) / 4


@mistake("13.5", says="Divide by 4 at the end")
class section:
    """No quarter."""

    def wave_scale(height, width):
        down, across = (torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None, :])
        f = (down**2 + across**2).sqrt()
        return 1 / f.clamp(min=1 / max(height, width))

    def from_waves(spectrum, width):
        height = spectrum.shape[2]
        waves = torch.complex(spectrum[..., 0], spectrum[..., 1]) * wave_scale(height, width)
        return torch.fft.irfft2(waves, s=(height, width), norm="ortho")


@mistake("13.5", says="Real and imaginary part are exchanged")
class section:
    """The wrong order."""

    def wave_scale(height, width):
        down, across = (torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None, :])
        f = (down**2 + across**2).sqrt()
        return 1 / f.clamp(min=1 / max(height, width))

    def from_waves(spectrum, width):
        height = spectrum.shape[2]
        waves = torch.complex(spectrum[..., 1], spectrum[..., 0]) * wave_scale(height, width)
        return torch.fft.irfft2(waves, s=(height, width), norm="ortho") / 4


@mistake("13.5", says="The sigmoid does not belong here")
class section:
    """Squashed too early."""

    def wave_scale(height, width):
        down, across = (torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None, :])
        f = (down**2 + across**2).sqrt()
        return 1 / f.clamp(min=1 / max(height, width))

    def from_waves(spectrum, width):
        height = spectrum.shape[2]
        waves = torch.complex(spectrum[..., 0], spectrum[..., 1]) * wave_scale(height, width)
        return torch.fft.irfft2(waves, s=(height, width), norm="ortho").div(4).sigmoid()


@right("13.5", how="with the whole spectrum and hypot")
class section:
    def wave_scale(height, width):
        down = torch.tensor([k if k < (height + 1) // 2 else k - height for k in range(height)]) / height
        f = torch.hypot(down[:, None], (torch.arange(width // 2 + 1) / width)[None])
        return torch.where(f < 1 / max(height, width), float(max(height, width)), 1 / f)

    def from_waves(spectrum, width):
        scaled = spectrum * wave_scale(spectrum.shape[2], width)[..., None]
        waves = torch.view_as_complex(scaled.contiguous())
        return 0.25 * torch.fft.irfft(torch.fft.ifft(waves, dim=-2, norm="ortho"), n=width, dim=-1, norm="ortho")


@right("13.5", how="wave by wave, in double precision")
class section:
    import math

    def wave_scale(height, width):
        rows = []
        for f in torch.fft.fftfreq(height).tolist():
            rows.append([1 / max(math.hypot(f, g), 1 / max(height, width)) for g in torch.fft.rfftfreq(width).tolist()])
        return torch.tensor(rows, dtype=torch.float64)

    def from_waves(spectrum, width):
        height = spectrum.shape[2]
        z = torch.complex(spectrum[..., 0].double(), spectrum[..., 1].double()) * wave_scale(height, width)
        return torch.fft.irfft2(z, s=(height, width)) * math.sqrt(height * width) / 4


# --- 13.6 ------------------------------------------------------------------------------------------------------------


@mistake("13.6", says="This is Σ itself")
class section:
    """No root."""

    def colour_root(images):
        pixels = images.double().permute(0, 2, 3, 1).reshape(-1, 3)
        mean = pixels.mean(0)
        sigma = (pixels - mean).T @ (pixels - mean) / len(pixels)
        values, vectors = torch.linalg.eigh(sigma)
        return (mean.float(), (vectors @ torch.diag(values) @ vectors.T).float())

    def decorrelated(images, mean, root):
        return torch.einsum("ij,njhw->nihw", torch.linalg.inv(root), images - mean[:, None, None])


@mistake("13.6", says="The root is used on the wrong side")
class section:
    """Transposed."""

    def colour_root(images):
        pixels = images.double().permute(0, 2, 3, 1).reshape(-1, 3)
        mean = pixels.mean(0)
        sigma = (pixels - mean).T @ (pixels - mean) / len(pixels)
        values, vectors = torch.linalg.eigh(sigma)
        return (mean.float(), (vectors @ torch.diag(values.sqrt()) @ vectors.T).float())

    def decorrelated(images, mean, root):
        return torch.einsum("ji,njhw->nihw", torch.linalg.inv(root), images - mean[:, None, None])


@mistake("13.6", says="V √λ is a root, and not the symmetric one")
class section:
    """Half of it."""

    def colour_root(images):
        pixels = images.double().permute(0, 2, 3, 1).reshape(-1, 3)
        mean = pixels.mean(0)
        sigma = (pixels - mean).T @ (pixels - mean) / len(pixels)
        values, vectors = torch.linalg.eigh(sigma)
        return (mean.float(), (vectors @ torch.diag(values.sqrt())).float())

    def decorrelated(images, mean, root):
        return torch.einsum("ij,njhw->nihw", torch.linalg.inv(root), images - mean[:, None, None])


@mistake("13.6", says="This is the INVERSE of the root")
class section:
    """Whitening."""

    def colour_root(images):
        pixels = images.double().permute(0, 2, 3, 1).reshape(-1, 3)
        mean = pixels.mean(0)
        sigma = (pixels - mean).T @ (pixels - mean) / len(pixels)
        values, vectors = torch.linalg.eigh(sigma)
        return (mean.float(), (vectors @ torch.diag(values**-0.5) @ vectors.T).float())

    def decorrelated(images, mean, root):
        return torch.einsum("ij,njhw->nihw", torch.linalg.inv(root), images - mean[:, None, None])


@mistake("13.6", says="You have not centred")
class section:
    """Raw products."""

    def colour_root(images):
        pixels = images.double().permute(0, 2, 3, 1).reshape(-1, 3)
        mean = pixels.mean(0)
        sigma = pixels.T @ pixels / len(pixels)
        values, vectors = torch.linalg.eigh(sigma)
        return (mean.float(), (vectors @ torch.diag(values.sqrt()) @ vectors.T).float())

    def decorrelated(images, mean, root):
        return torch.einsum("ij,njhw->nihw", torch.linalg.inv(root), images - mean[:, None, None])


@mistake("13.6", says="You take the covariance of each image")
class section:
    """Averaged over images."""

    def colour_root(images):
        pixels = images.double().permute(0, 2, 3, 1).reshape(-1, 3)
        mean = pixels.mean(0)
        sigma = torch.stack([torch.cov(one.flatten(1).double(), correction=0) for one in images]).mean(0)
        values, vectors = torch.linalg.eigh(sigma)
        return (mean.float(), (vectors @ torch.diag(values.sqrt()) @ vectors.T).float())

    def decorrelated(images, mean, root):
        return torch.einsum("ij,njhw->nihw", torch.linalg.inv(root), images - mean[:, None, None])


@mistake("13.6", says="You take correlations")
class section:
    """corrcoef for cov."""

    def colour_root(images):
        pixels = images.double().permute(0, 2, 3, 1).reshape(-1, 3)
        values, vectors = torch.linalg.eigh(torch.corrcoef(pixels.T))
        return (pixels.mean(0).float(), (vectors @ torch.diag(values.sqrt()) @ vectors.T).float())

    def decorrelated(images, mean, root):
        return torch.einsum("ij,njhw->nihw", torch.linalg.inv(root), images - mean[:, None, None])


@mistake("13.6", says="You take the spread of each colour alone")
class section:
    """The diagonal."""

    def colour_root(images):
        pixels = images.double().permute(0, 2, 3, 1).reshape(-1, 3)
        mean = pixels.mean(0)
        sigma = (pixels - mean).T @ (pixels - mean) / len(pixels)
        sigma = torch.diag(sigma.diagonal())
        values, vectors = torch.linalg.eigh(sigma)
        return (mean.float(), (vectors @ torch.diag(values.sqrt()) @ vectors.T).float())

    def decorrelated(images, mean, root):
        return torch.einsum("ij,njhw->nihw", torch.linalg.inv(root), images - mean[:, None, None])


@mistake("13.6", says="Σ is divided by the number of pixels")
class section:
    """A sum."""

    def colour_root(images):
        pixels = images.double().permute(0, 2, 3, 1).reshape(-1, 3)
        mean = pixels.mean(0)
        sigma = (pixels - mean).T @ (pixels - mean)
        values, vectors = torch.linalg.eigh(sigma)
        return (mean.float(), (vectors @ torch.diag(values.sqrt()) @ vectors.T).float())

    def decorrelated(images, mean, root):
        return torch.einsum("ij,njhw->nihw", torch.linalg.inv(root), images - mean[:, None, None])


@mistake("13.6", says="This is a triangular root")
class section:
    """Cholesky."""

    def colour_root(images):
        pixels = images.double().permute(0, 2, 3, 1).reshape(-1, 3)
        mean = pixels.mean(0)
        sigma = (pixels - mean).T @ (pixels - mean) / len(pixels)
        values, vectors = torch.linalg.eigh(sigma)
        return (mean.float(), torch.linalg.cholesky(sigma).float())

    def decorrelated(images, mean, root):
        return torch.einsum("ij,njhw->nihw", torch.linalg.inv(root), images - mean[:, None, None])


@mistake("13.6", says="This is the root of each number")
class section:
    """Number by number."""

    def colour_root(images):
        pixels = images.double().permute(0, 2, 3, 1).reshape(-1, 3)
        mean = pixels.mean(0)
        sigma = (pixels - mean).T @ (pixels - mean) / len(pixels)
        values, vectors = torch.linalg.eigh(sigma)
        return (mean.float(), (sigma.abs().sqrt() * sigma.sign()).float())

    def decorrelated(images, mean, root):
        return torch.einsum("ij,njhw->nihw", torch.linalg.inv(root), images - mean[:, None, None])


@mistake("13.6", says="You multiply by the root")
class section:
    """The other way."""

    def colour_root(images):
        pixels = images.double().permute(0, 2, 3, 1).reshape(-1, 3)
        mean = pixels.mean(0)
        sigma = (pixels - mean).T @ (pixels - mean) / len(pixels)
        values, vectors = torch.linalg.eigh(sigma)
        return (mean.float(), (vectors @ torch.diag(values.sqrt()) @ vectors.T).float())

    def decorrelated(images, mean, root):
        return torch.einsum("ij,njhw->nihw", root, images - mean[:, None, None])


@mistake("13.6", says="The mean colour is not taken away")
class section:
    """No mean."""

    def colour_root(images):
        pixels = images.double().permute(0, 2, 3, 1).reshape(-1, 3)
        mean = pixels.mean(0)
        sigma = (pixels - mean).T @ (pixels - mean) / len(pixels)
        values, vectors = torch.linalg.eigh(sigma)
        return (mean.float(), (vectors @ torch.diag(values.sqrt()) @ vectors.T).float())

    def decorrelated(images, mean, root):
        return torch.einsum("ij,njhw->nihw", torch.linalg.inv(root), images)


@mistake("13.6", says="You divide each colour by its own spread")
class section:
    """The diagonal alone."""

    def colour_root(images):
        pixels = images.double().permute(0, 2, 3, 1).reshape(-1, 3)
        mean = pixels.mean(0)
        sigma = (pixels - mean).T @ (pixels - mean) / len(pixels)
        values, vectors = torch.linalg.eigh(sigma)
        return (mean.float(), (vectors @ torch.diag(values.sqrt()) @ vectors.T).float())

    def decorrelated(images, mean, root):
        return (images - mean[:, None, None]) / root.diagonal()[:, None, None]


@right("13.6", how="with a singular value decomposition")
class section:
    def colour_root(images):
        pixels = torch.cat([one.flatten(1) for one in images], dim=1).double()
        mean = pixels.mean(1)
        u, s, _ = torch.linalg.svd((pixels - mean[:, None]) / pixels.shape[1] ** 0.5, full_matrices=False)
        return mean, (u * s) @ u.T

    def decorrelated(images, mean, root):
        n, _, h, w = images.shape
        away = (images - mean.view(1, 3, 1, 1)).flatten(2)
        return torch.linalg.solve(root, away).reshape(n, 3, h, w)


@right("13.6", how="in numpy and scipy")
class section:
    import numpy as np
    import scipy.linalg

    def colour_root(images):
        pixels = images.numpy().transpose(1, 0, 2, 3).reshape(3, -1).astype(float)
        return pixels.mean(axis=1), np.real(scipy.linalg.sqrtm(np.cov(pixels, bias=True)))

    def decorrelated(images, mean, root):
        away = images.numpy() - mean.numpy()[:, None, None]
        return np.tensordot(away, np.linalg.inv(root.numpy()).T, axes=(1, 0)).transpose(0, 3, 1, 2)


# --- 13.7 ------------------------------------------------------------------------------------------------------------


@mistake("13.7", says="You go downhill")
class section:
    """No maximize."""

    def render(model, layer, units, spectrum, width, root, moves, most, rate):
        spectrum = spectrum.clone().requires_grad_()
        climber = torch.optim.Adam([spectrum], lr=rate)

        def image():
            return torch.einsum("ij,njhw->nihw", root, from_waves(spectrum, width)).sigmoid()

        height = spectrum.shape[2]
        for y, x in moves:
            window = image()[:, :, y : y + height - most, x : x + width - most]
            climber.zero_grad()
            channel(model.run(window, [layer])[layer], units).sum().backward()
            climber.step()
        return image().detach()


@mistake("13.7", says="The colours are not mixed")
class section:
    """Ignores the root."""

    def render(model, layer, units, spectrum, width, root, moves, most, rate):
        spectrum = spectrum.clone().requires_grad_()
        climber = torch.optim.Adam([spectrum], lr=rate, maximize=True)

        def image():
            return from_waves(spectrum, width).sigmoid()

        height = spectrum.shape[2]
        for y, x in moves:
            window = image()[:, :, y : y + height - most, x : x + width - most]
            climber.zero_grad()
            channel(model.run(window, [layer])[layer], units).sum().backward()
            climber.step()
        return image().detach()


@mistake("13.7", says="The root is used on the wrong side")
class section:
    """Transposed."""

    def render(model, layer, units, spectrum, width, root, moves, most, rate):
        spectrum = spectrum.clone().requires_grad_()
        climber = torch.optim.Adam([spectrum], lr=rate, maximize=True)

        def image():
            return torch.einsum("ji,njhw->nihw", root, from_waves(spectrum, width)).sigmoid()

        height = spectrum.shape[2]
        for y, x in moves:
            window = image()[:, :, y : y + height - most, x : x + width - most]
            climber.zero_grad()
            channel(model.run(window, [layer])[layer], units).sum().backward()
            climber.step()
        return image().detach()


@mistake("13.7", says="The network sees the whole picture every time")
class section:
    """Never moved."""

    def render(model, layer, units, spectrum, width, root, moves, most, rate):
        spectrum = spectrum.clone().requires_grad_()
        climber = torch.optim.Adam([spectrum], lr=rate, maximize=True)

        def image():
            return torch.einsum("ij,njhw->nihw", root, from_waves(spectrum, width)).sigmoid()

        height = spectrum.shape[2]
        for _ in moves:
            window = image()
            climber.zero_grad()
            channel(model.run(window, [layer])[layer], units).sum().backward()
            climber.step()
        return image().detach()


@mistake("13.7", says="Your window ends at the picture's edge")
class section:
    """One corner alone."""

    def render(model, layer, units, spectrum, width, root, moves, most, rate):
        spectrum = spectrum.clone().requires_grad_()
        climber = torch.optim.Adam([spectrum], lr=rate, maximize=True)

        def image():
            return torch.einsum("ij,njhw->nihw", root, from_waves(spectrum, width)).sigmoid()

        height = spectrum.shape[2]
        for y, x in moves:
            window = image()[:, :, y:, x:]
            climber.zero_grad()
            channel(model.run(window, [layer])[layer], units).sum().backward()
            climber.step()
        return image().detach()


@mistake("13.7", says="The picture is rolled")
class section:
    """Comes in again at the other side."""

    def render(model, layer, units, spectrum, width, root, moves, most, rate):
        spectrum = spectrum.clone().requires_grad_()
        climber = torch.optim.Adam([spectrum], lr=rate, maximize=True)

        def image():
            return torch.einsum("ij,njhw->nihw", root, from_waves(spectrum, width)).sigmoid()

        height = spectrum.shape[2]
        for y, x in moves:
            window = image().roll((-y, -x), (2, 3))
            climber.zero_grad()
            channel(model.run(window, [layer])[layer], units).sum().backward()
            climber.step()
        return image().detach()


@mistake("13.7", says="Every step has the first move")
class section:
    """The same window."""

    def render(model, layer, units, spectrum, width, root, moves, most, rate):
        spectrum = spectrum.clone().requires_grad_()
        climber = torch.optim.Adam([spectrum], lr=rate, maximize=True)

        def image():
            return torch.einsum("ij,njhw->nihw", root, from_waves(spectrum, width)).sigmoid()

        height = spectrum.shape[2]
        for y, x in [moves[0]] * len(moves):
            window = image()[:, :, y : y + height - most, x : x + width - most]
            climber.zero_grad()
            channel(model.run(window, [layer])[layer], units).sum().backward()
            climber.step()
        return image().detach()


@mistake("13.7", says="Rows and columns of the move are exchanged")
class section:
    """(x, y)."""

    def render(model, layer, units, spectrum, width, root, moves, most, rate):
        spectrum = spectrum.clone().requires_grad_()
        climber = torch.optim.Adam([spectrum], lr=rate, maximize=True)

        def image():
            return torch.einsum("ij,njhw->nihw", root, from_waves(spectrum, width)).sigmoid()

        height = spectrum.shape[2]
        for x, y in moves:
            window = image()[:, :, y : y + height - most, x : x + width - most]
            climber.zero_grad()
            channel(model.run(window, [layer])[layer], units).sum().backward()
            climber.step()
        return image().detach()


@mistake("13.7", says="call `zero_grad`")
class section:
    """Gradients are added up."""

    def render(model, layer, units, spectrum, width, root, moves, most, rate):
        spectrum = spectrum.clone().requires_grad_()
        climber = torch.optim.Adam([spectrum], lr=rate, maximize=True)

        def image():
            return torch.einsum("ij,njhw->nihw", root, from_waves(spectrum, width)).sigmoid()

        height = spectrum.shape[2]
        for y, x in moves:
            window = image()[:, :, y : y + height - most, x : x + width - most]
            channel(model.run(window, [layer])[layer], units).sum().backward()
            climber.step()
        return image().detach()


@mistake("13.7", says="Use Adam")
class section:
    """Plain steps."""

    def render(model, layer, units, spectrum, width, root, moves, most, rate):
        spectrum = spectrum.clone().requires_grad_()
        climber = torch.optim.SGD([spectrum], lr=rate, maximize=True)

        def image():
            return torch.einsum("ij,njhw->nihw", root, from_waves(spectrum, width)).sigmoid()

        height = spectrum.shape[2]
        for y, x in moves:
            window = image()[:, :, y : y + height - most, x : x + width - most]
            climber.zero_grad()
            channel(model.run(window, [layer])[layer], units).sum().backward()
            climber.step()
        return image().detach()


@mistake("13.7", says="Return the whole picture")
class section:
    """The last window."""

    def render(model, layer, units, spectrum, width, root, moves, most, rate):
        spectrum = spectrum.clone().requires_grad_()
        climber = torch.optim.Adam([spectrum], lr=rate, maximize=True)

        def image():
            return torch.einsum("ij,njhw->nihw", root, from_waves(spectrum, width)).sigmoid()

        height = spectrum.shape[2]
        for y, x in moves:
            window = image()[:, :, y : y + height - most, x : x + width - most]
            climber.zero_grad()
            channel(model.run(window, [layer])[layer], units).sum().backward()
            climber.step()
        return image().detach()[:, :, y : y + height - most, x : x + width - most]


@mistake("13.7", says="This is the picture before the last step")
class section:
    """Keeps an old image."""

    def render(model, layer, units, spectrum, width, root, moves, most, rate):
        spectrum = spectrum.clone().requires_grad_()
        climber = torch.optim.Adam([spectrum], lr=rate, maximize=True)

        def image():
            return torch.einsum("ij,njhw->nihw", root, from_waves(spectrum, width)).sigmoid()

        height = spectrum.shape[2]
        for y, x in moves:
            old = image()
            window = old[:, :, y : y + height - most, x : x + width - most]
            climber.zero_grad()
            channel(model.run(window, [layer])[layer], units).sum().backward()
            climber.step()
        return old.detach()


@mistake("13.7", says="The sigmoid comes after the colours")
class section:
    """Squashed, then mixed."""

    def render(model, layer, units, spectrum, width, root, moves, most, rate):
        spectrum = spectrum.clone().requires_grad_()
        climber = torch.optim.Adam([spectrum], lr=rate, maximize=True)

        def image():
            return torch.einsum("ij,njhw->nihw", root, from_waves(spectrum, width).sigmoid()).clamp(0, 1)

        height = spectrum.shape[2]
        for y, x in moves:
            window = image()[:, :, y : y + height - most, x : x + width - most]
            climber.zero_grad()
            channel(model.run(window, [layer])[layer], units).sum().backward()
            climber.step()
        return image().detach()


@mistake("13.7", says="The waves are not scaled")
class section:
    """Plain waves."""

    def render(model, layer, units, spectrum, width, root, moves, most, rate):
        spectrum = spectrum.clone().requires_grad_()
        climber = torch.optim.Adam([spectrum], lr=rate, maximize=True)

        def image():
            return torch.einsum(
                "ij,njhw->nihw",
                root,
                torch.fft.irfft2(
                    torch.complex(spectrum[..., 0], spectrum[..., 1]), s=(spectrum.shape[2], width), norm="ortho"
                )
                / 4,
            ).sigmoid()

        height = spectrum.shape[2]
        for y, x in moves:
            window = image()[:, :, y : y + height - most, x : x + width - most]
            climber.zero_grad()
            channel(model.run(window, [layer])[layer], units).sum().backward()
            climber.step()
        return image().detach()


@right("13.7", how="with autograd, and a colour after the other")
class section:
    def render(model, layer, units, spectrum, width, root, moves, most, rate):
        x = spectrum.detach().clone()
        x.requires_grad_(True)
        climber = torch.optim.Adam([{"params": x}], lr=rate)
        height = x.size(2)

        def picture():
            raw = from_waves(x, width)
            mixed = [sum(root[i, j] * raw[:, j] for j in range(3)) for i in range(3)]
            return torch.sigmoid(torch.stack(mixed, dim=1))

        for move in moves:
            top, left = int(move[0]), int(move[1])
            seen = picture().narrow(2, top, height - most).narrow(3, left, width - most)
            cost = -channel(model.run(seen, layer)[layer], units).sum()
            x.grad = torch.autograd.grad(cost, x)[0]
            climber.step()
        with torch.no_grad():
            return picture()


@right("13.7", how="each picture alone")
class section:
    def render(model, layer, units, spectrum, width, root, moves, most, rate):
        made = []
        for one, unit in zip(spectrum, units):
            own = one[None].clone().requires_grad_()
            climber = torch.optim.Adam([own], lr=rate, maximize=True)
            for y, x in moves:
                flat = from_waves(own, width).flatten(2)
                whole = (root @ flat).reshape(1, 3, one.shape[1], width).sigmoid()
                window = whole[..., y : one.shape[1] - most + y, x : width - most + x]
                climber.zero_grad()
                model.run(window, [layer])[layer][0, unit].mean().backward()
                climber.step()
            made.append((root @ from_waves(own.detach(), width).flatten(2)).reshape(3, -1, width).sigmoid())
        return torch.stack(made)


# --- 13.8 ------------------------------------------------------------------------------------------------------------


@mistake("13.8", says="You square the differences")
class section:
    """Squares."""

    def total_variation(images):
        down = (images[:, :, 1:] - images[:, :, :-1]).pow(2).mean(dim=(1, 2, 3))
        across = (images[:, :, :, 1:] - images[:, :, :, :-1]).pow(2).mean(dim=(1, 2, 3))
        return down + across

    def penalised(acts, images, units, smooth, grey):
        distance = (images - 0.5).pow(2).mean(dim=(1, 2, 3))
        return channel(acts, units) - smooth * total_variation(images) - grey * distance


@mistake("13.8", says="These are sums")
class section:
    """Sums."""

    def total_variation(images):
        down = (images[:, :, 1:] - images[:, :, :-1]).abs().sum(dim=(1, 2, 3))
        across = (images[:, :, :, 1:] - images[:, :, :, :-1]).abs().sum(dim=(1, 2, 3))
        return down + across

    def penalised(acts, images, units, smooth, grey):
        distance = (images - 0.5).pow(2).mean(dim=(1, 2, 3))
        return channel(acts, units) - smooth * total_variation(images) - grey * distance


@mistake("13.8", says="Differences of both signs cancel")
class section:
    """No absolute value."""

    def total_variation(images):
        down = (images[:, :, 1:] - images[:, :, :-1]).mean(dim=(1, 2, 3))
        across = (images[:, :, :, 1:] - images[:, :, :, :-1]).mean(dim=(1, 2, 3))
        return down + across

    def penalised(acts, images, units, smooth, grey):
        distance = (images - 0.5).pow(2).mean(dim=(1, 2, 3))
        return channel(acts, units) - smooth * total_variation(images) - grey * distance


@mistake("13.8", says="Only pairs one above the other count")
class section:
    """Down alone."""

    def total_variation(images):
        down = (images[:, :, 1:] - images[:, :, :-1]).abs().mean(dim=(1, 2, 3))
        across = (images[:, :, :, 1:] - images[:, :, :, :-1]).abs().mean(dim=(1, 2, 3))
        return down

    def penalised(acts, images, units, smooth, grey):
        distance = (images - 0.5).pow(2).mean(dim=(1, 2, 3))
        return channel(acts, units) - smooth * total_variation(images) - grey * distance


@mistake("13.8", says="The last row is compared with the first")
class section:
    """Rolled."""

    def total_variation(images):
        down = (images.roll(-1, 2) - images).abs().mean(dim=(1, 2, 3))
        across = (images.roll(-1, 3) - images).abs().mean(dim=(1, 2, 3))
        return down + across

    def penalised(acts, images, units, smooth, grey):
        distance = (images - 0.5).pow(2).mean(dim=(1, 2, 3))
        return channel(acts, units) - smooth * total_variation(images) - grey * distance


@mistake("13.8", says="Costs are added")
class section:
    """The sign."""

    def total_variation(images):
        down = (images[:, :, 1:] - images[:, :, :-1]).abs().mean(dim=(1, 2, 3))
        across = (images[:, :, :, 1:] - images[:, :, :, :-1]).abs().mean(dim=(1, 2, 3))
        return down + across

    def penalised(acts, images, units, smooth, grey):
        distance = (images - 0.5).pow(2).mean(dim=(1, 2, 3))
        return channel(acts, units) + smooth * total_variation(images) + grey * distance


@mistake("13.8", says="The variation is added")
class section:
    """One sign."""

    def total_variation(images):
        down = (images[:, :, 1:] - images[:, :, :-1]).abs().mean(dim=(1, 2, 3))
        across = (images[:, :, :, 1:] - images[:, :, :, :-1]).abs().mean(dim=(1, 2, 3))
        return down + across

    def penalised(acts, images, units, smooth, grey):
        distance = (images - 0.5).pow(2).mean(dim=(1, 2, 3))
        return channel(acts, units) + smooth * total_variation(images) - grey * distance


@mistake("13.8", says="The distance from grey is added")
class section:
    """The other sign."""

    def total_variation(images):
        down = (images[:, :, 1:] - images[:, :, :-1]).abs().mean(dim=(1, 2, 3))
        across = (images[:, :, :, 1:] - images[:, :, :, :-1]).abs().mean(dim=(1, 2, 3))
        return down + across

    def penalised(acts, images, units, smooth, grey):
        distance = (images - 0.5).pow(2).mean(dim=(1, 2, 3))
        return channel(acts, units) - smooth * total_variation(images) + grey * distance


@mistake("13.8", says="The distance is from the picture's own mean")
class section:
    """The variance."""

    def total_variation(images):
        down = (images[:, :, 1:] - images[:, :, :-1]).abs().mean(dim=(1, 2, 3))
        across = (images[:, :, :, 1:] - images[:, :, :, :-1]).abs().mean(dim=(1, 2, 3))
        return down + across

    def penalised(acts, images, units, smooth, grey):
        distance = images.flatten(1).var(1, correction=0)
        return channel(acts, units) - smooth * total_variation(images) - grey * distance


@mistake("13.8", says="The distance is from black")
class section:
    """No 0.5."""

    def total_variation(images):
        down = (images[:, :, 1:] - images[:, :, :-1]).abs().mean(dim=(1, 2, 3))
        across = (images[:, :, :, 1:] - images[:, :, :, :-1]).abs().mean(dim=(1, 2, 3))
        return down + across

    def penalised(acts, images, units, smooth, grey):
        distance = images.pow(2).mean(dim=(1, 2, 3))
        return channel(acts, units) - smooth * total_variation(images) - grey * distance


@mistake("13.8", says="Weights are exchanged")
class section:
    """The wrong prices."""

    def total_variation(images):
        down = (images[:, :, 1:] - images[:, :, :-1]).abs().mean(dim=(1, 2, 3))
        across = (images[:, :, :, 1:] - images[:, :, :, :-1]).abs().mean(dim=(1, 2, 3))
        return down + across

    def penalised(acts, images, units, smooth, grey):
        distance = (images - 0.5).pow(2).mean(dim=(1, 2, 3))
        return channel(acts, units) - grey * total_variation(images) - smooth * distance


@mistake("13.8", says="Square it")
class section:
    """L1 for L2."""

    def total_variation(images):
        down = (images[:, :, 1:] - images[:, :, :-1]).abs().mean(dim=(1, 2, 3))
        across = (images[:, :, :, 1:] - images[:, :, :, :-1]).abs().mean(dim=(1, 2, 3))
        return down + across

    def penalised(acts, images, units, smooth, grey):
        distance = (images - 0.5).abs().mean(dim=(1, 2, 3))
        return channel(acts, units) - smooth * total_variation(images) - grey * distance


@right("13.8", how="with diff")
class section:
    def total_variation(images):
        return images.diff(dim=2).abs().flatten(1).mean(1) + images.diff(dim=3).abs().flatten(1).mean(1)

    def penalised(acts, images, units, smooth, grey):
        far = torch.stack([((one - 0.5) ** 2).mean() for one in images])
        return channel(acts, units) - (smooth * total_variation(images) + grey * far)


@right("13.8", how="picture by picture, in double precision")
class section:
    def total_variation(images):
        found = []
        for one in images.double():
            down = torch.abs(one[:, :-1] - one[:, 1:])
            across = torch.abs(one[..., :-1] - one[..., 1:])
            found.append(down.sum() / down.numel() + across.sum() / across.numel())
        return torch.stack(found)

    def penalised(acts, images, units, smooth, grey):
        liked = torch.stack([acts[i, unit].double().mean() for i, unit in enumerate(units)])
        return liked - smooth * total_variation(images) - grey * images.double().sub(0.5).square().flatten(1).mean(1)


# --- 13.9 ------------------------------------------------------------------------------------------------------------


@mistake("13.9", says="Leave out j = i")
class section:
    """Counts itself."""

    def alike(acts):
        flat = acts.flatten(2)
        gram = (flat @ flat.transpose(1, 2)).flatten(1)
        gram = gram / gram.norm(dim=1, keepdim=True).clamp(min=1e-08)
        cosines = gram @ gram.T
        return cosines.mean(1)

    def different(acts, units, weight):
        return channel(acts, units) - weight * alike(acts)


@mistake("13.9", says="These are products of Gram matrices")
class section:
    """Not normed."""

    def alike(acts):
        flat = acts.flatten(2)
        gram = (flat @ flat.transpose(1, 2)).flatten(1)
        cosines = gram @ gram.T
        return (cosines.sum(1) - cosines.diagonal()) / (len(acts) - 1)

    def different(acts, units, weight):
        return channel(acts, units) - weight * alike(acts)


@mistake("13.9", says="You compare the activations themselves")
class section:
    """No Gram matrix."""

    def alike(acts):
        flat = acts.flatten(2)
        gram = flat.flatten(1)
        gram = gram / gram.norm(dim=1, keepdim=True).clamp(min=1e-08)
        cosines = gram @ gram.T
        return (cosines.sum(1) - cosines.diagonal()) / (len(acts) - 1)

    def different(acts, units, weight):
        return channel(acts, units) - weight * alike(acts)


@mistake("13.9", says="Your Gram matrix is [place place]")
class section:
    """The other product."""

    def alike(acts):
        flat = acts.flatten(2)
        gram = (flat.transpose(1, 2) @ flat).flatten(1)
        gram = gram / gram.norm(dim=1, keepdim=True).clamp(min=1e-08)
        cosines = gram @ gram.T
        return (cosines.sum(1) - cosines.diagonal()) / (len(acts) - 1)

    def different(acts, units, weight):
        return channel(acts, units) - weight * alike(acts)


@mistake("13.9", says="This is the sum over the others")
class section:
    """A sum."""

    def alike(acts):
        flat = acts.flatten(2)
        gram = (flat @ flat.transpose(1, 2)).flatten(1)
        gram = gram / gram.norm(dim=1, keepdim=True).clamp(min=1e-08)
        cosines = gram @ gram.T
        return cosines.sum(1) - cosines.diagonal()

    def different(acts, units, weight):
        return channel(acts, units) - weight * alike(acts)


@mistake("13.9", says="There are n − 1 others")
class section:
    """n."""

    def alike(acts):
        flat = acts.flatten(2)
        gram = (flat @ flat.transpose(1, 2)).flatten(1)
        gram = gram / gram.norm(dim=1, keepdim=True).clamp(min=1e-08)
        cosines = gram @ gram.T
        return (cosines.sum(1) - cosines.diagonal()) / len(acts)

    def different(acts, units, weight):
        return channel(acts, units) - weight * alike(acts)


@mistake("13.9", says="You compare the mean activations")
class section:
    """Means."""

    def alike(acts):
        flat = acts.flatten(2)
        gram = flat.mean(2)
        gram = gram / gram.norm(dim=1, keepdim=True).clamp(min=1e-08)
        cosines = gram @ gram.T
        return (cosines.sum(1) - cosines.diagonal()) / (len(acts) - 1)

    def different(acts, units, weight):
        return channel(acts, units) - weight * alike(acts)


@mistake("13.9", says="You take the mean of each map away")
class section:
    """Covariances."""

    def alike(acts):
        flat = acts.flatten(2)
        flat = flat - flat.mean(2, keepdim=True)
        gram = (flat @ flat.transpose(1, 2)).flatten(1)
        gram = gram / gram.norm(dim=1, keepdim=True).clamp(min=1e-08)
        cosines = gram @ gram.T
        return (cosines.sum(1) - cosines.diagonal()) / (len(acts) - 1)

    def different(acts, units, weight):
        return channel(acts, units) - weight * alike(acts)


@mistake("13.9", says="The likeness is ADDED")
class section:
    """The sign of published examples."""

    def alike(acts):
        flat = acts.flatten(2)
        gram = (flat @ flat.transpose(1, 2)).flatten(1)
        gram = gram / gram.norm(dim=1, keepdim=True).clamp(min=1e-08)
        cosines = gram @ gram.T
        return (cosines.sum(1) - cosines.diagonal()) / (len(acts) - 1)

    def different(acts, units, weight):
        return channel(acts, units) + weight * alike(acts)


@mistake("13.9", says="The weight does not count")
class section:
    """No weight."""

    def alike(acts):
        flat = acts.flatten(2)
        gram = (flat @ flat.transpose(1, 2)).flatten(1)
        gram = gram / gram.norm(dim=1, keepdim=True).clamp(min=1e-08)
        cosines = gram @ gram.T
        return (cosines.sum(1) - cosines.diagonal()) / (len(acts) - 1)

    def different(acts, units, weight):
        return channel(acts, units) - alike(acts)


@mistake("13.9", says="The channel is missing")
class section:
    """The cost alone."""

    def alike(acts):
        flat = acts.flatten(2)
        gram = (flat @ flat.transpose(1, 2)).flatten(1)
        gram = gram / gram.norm(dim=1, keepdim=True).clamp(min=1e-08)
        cosines = gram @ gram.T
        return (cosines.sum(1) - cosines.diagonal()) / (len(acts) - 1)

    def different(acts, units, weight):
        return -weight * alike(acts)


@mistake("13.9", says="that adds the weight to all")
class section:
    """1 − likeness."""

    def alike(acts):
        flat = acts.flatten(2)
        gram = (flat @ flat.transpose(1, 2)).flatten(1)
        gram = gram / gram.norm(dim=1, keepdim=True).clamp(min=1e-08)
        cosines = gram @ gram.T
        return (cosines.sum(1) - cosines.diagonal()) / (len(acts) - 1)

    def different(acts, units, weight):
        return channel(acts, units) + weight * (1 - alike(acts))


@right("13.9", how="pair by pair")
class section:
    def alike(acts):
        grams = [torch.einsum("urc,vrc->uv", one, one).flatten() for one in acts]
        rows = []
        for i, a in enumerate(grams):
            others = [torch.nn.functional.cosine_similarity(a, b, dim=0) for j, b in enumerate(grams) if j != i]
            rows.append(torch.stack(others).mean())
        return torch.stack(rows)

    def different(acts, units, weight):
        return channel(acts, units) + -weight * alike(acts)


@right("13.9", how="with a mask, in double precision")
class section:
    def alike(acts):
        flat = acts.double().flatten(2)
        gram = torch.nn.functional.normalize(torch.bmm(flat, flat.mT).flatten(1), dim=1)
        others = ~torch.eye(len(acts), dtype=torch.bool)
        return (gram @ gram.T)[others].reshape(len(acts), -1).mean(1)

    def different(acts, units, weight):
        return torch.stack([acts[i, u].mean() for i, u in enumerate(units)]) - weight * alike(acts)


# --- 13.10 -----------------------------------------------------------------------------------------------------------


@mistake("13.10", says="You compare products, not correlations")
class section:
    """Covariances."""

    def partners(a, b):

        def standard(x):
            return x.double() - x.double().mean(0)

        return (standard(a).T @ standard(b)).argmax(dim=1)

    def carried(on_images, on_pictures, partner):
        own = on_pictures[torch.arange(len(partner)), partner]
        return (on_images[:, partner] < own).double().mean(0)


@mistake("13.10", says="You have not taken the means away")
class section:
    """Cosines."""

    def partners(a, b):

        def standard(x):
            x = x.double()
            return x / x.norm(dim=0).clamp(min=1e-09)

        return (standard(a).T @ standard(b)).argmax(dim=1)

    def carried(on_images, on_pictures, partner):
        own = on_pictures[torch.arange(len(partner)), partner]
        return (on_images[:, partner] < own).double().mean(0)


@mistake("13.10", says="A unit that does the opposite is no partner")
class section:
    """Absolute values."""

    def partners(a, b):

        def standard(x):
            x = x.double() - x.double().mean(0)
            return x / x.norm(dim=0).clamp(min=1e-09)

        return (standard(a).T @ standard(b)).abs().argmax(dim=1)

    def carried(on_images, on_pictures, partner):
        own = on_pictures[torch.arange(len(partner)), partner]
        return (on_images[:, partner] < own).double().mean(0)


@mistake("13.10", says="These are the units that do the opposite")
class section:
    """argmin."""

    def partners(a, b):

        def standard(x):
            x = x.double() - x.double().mean(0)
            return x / x.norm(dim=0).clamp(min=1e-09)

        return (standard(a).T @ standard(b)).argmin(dim=1)

    def carried(on_images, on_pictures, partner):
        own = on_pictures[torch.arange(len(partner)), partner]
        return (on_images[:, partner] < own).double().mean(0)


@mistake("13.10", says="Take each of the first")
class section:
    """The other axis."""

    def partners(a, b):

        def standard(x):
            x = x.double() - x.double().mean(0)
            return x / x.norm(dim=0).clamp(min=1e-09)

        return (standard(a).T @ standard(b)).argmax(dim=0)

    def carried(on_images, on_pictures, partner):
        own = on_pictures[torch.arange(len(partner)), partner]
        return (on_images[:, partner] < own).double().mean(0)


@mistake("13.10", says="You look for the nearest activations")
class section:
    """Distances."""

    def partners(a, b):

        def standard(x):
            x = x.double() - x.double().mean(0)
            return x / x.norm(dim=0).clamp(min=1e-09)

        return torch.cdist(a.T, b.T).argmin(dim=1)

    def carried(on_images, on_pictures, partner):
        own = on_pictures[torch.arange(len(partner)), partner]
        return (on_images[:, partner] < own).double().mean(0)


@mistake("13.10", says="0 / 0 is NaN")
class section:
    """No guard."""

    def partners(a, b):

        def standard(x):
            x = x.double() - x.double().mean(0)
            return x / x.norm(dim=0)

        return (standard(a).T @ standard(b)).argmax(dim=1)

    def carried(on_images, on_pictures, partner):
        own = on_pictures[torch.arange(len(partner)), partner]
        return (on_images[:, partner] < own).double().mean(0)


@mistake("13.10", says="share of images that excite the unit MORE")
class section:
    """The other side."""

    def partners(a, b):

        def standard(x):
            x = x.double() - x.double().mean(0)
            return x / x.norm(dim=0).clamp(min=1e-09)

        return (standard(a).T @ standard(b)).argmax(dim=1)

    def carried(on_images, on_pictures, partner):
        own = on_pictures[torch.arange(len(partner)), partner]
        return (on_images[:, partner] > own).double().mean(0)


@mistake("13.10", says="Images that excite the unit exactly as much count")
class section:
    """≤."""

    def partners(a, b):

        def standard(x):
            x = x.double() - x.double().mean(0)
            return x / x.norm(dim=0).clamp(min=1e-09)

        return (standard(a).T @ standard(b)).argmax(dim=1)

    def carried(on_images, on_pictures, partner):
        own = on_pictures[torch.arange(len(partner)), partner]
        return (on_images[:, partner] <= own).double().mean(0)


@mistake("13.10", says="Ask unit partner[i]")
class section:
    """Its own number."""

    def partners(a, b):

        def standard(x):
            x = x.double() - x.double().mean(0)
            return x / x.norm(dim=0).clamp(min=1e-09)

        return (standard(a).T @ standard(b)).argmax(dim=1)

    def carried(on_images, on_pictures, partner):
        partner = torch.arange(len(partner)) % on_images.shape[1]
        own = on_pictures[torch.arange(len(partner)), partner]
        return (on_images[:, partner] < own).double().mean(0)


@mistake("13.10", says="Ask partner[i] about both")
class section:
    """The right unit for the picture alone."""

    def partners(a, b):

        def standard(x):
            x = x.double() - x.double().mean(0)
            return x / x.norm(dim=0).clamp(min=1e-09)

        return (standard(a).T @ standard(b)).argmax(dim=1)

    def carried(on_images, on_pictures, partner):
        own = on_pictures[torch.arange(len(partner)), partner]
        return (on_images[:, torch.arange(len(partner)) % on_images.shape[1]] < own).double().mean(0)


@mistake("13.10", says="You compare with the mean of the images")
class section:
    """One comparison."""

    def partners(a, b):

        def standard(x):
            x = x.double() - x.double().mean(0)
            return x / x.norm(dim=0).clamp(min=1e-09)

        return (standard(a).T @ standard(b)).argmax(dim=1)

    def carried(on_images, on_pictures, partner):
        own = on_pictures[torch.arange(len(partner)), partner]
        return (on_images[:, partner].mean(0) < own).double()


@mistake("13.10", says="You compare with all units")
class section:
    """Any unit."""

    def partners(a, b):

        def standard(x):
            x = x.double() - x.double().mean(0)
            return x / x.norm(dim=0).clamp(min=1e-09)

        return (standard(a).T @ standard(b)).argmax(dim=1)

    def carried(on_images, on_pictures, partner):
        own = on_pictures[torch.arange(len(partner)), partner]
        return torch.stack([(on_images < value).double().mean() for value in own])


@right("13.10", how="with torch.corrcoef, unit by unit")
class section:
    def partners(a, b):
        found = []
        for x in a.T:
            r = [torch.corrcoef(torch.stack([x, y]).double())[0, 1].nan_to_num(0.0) for y in b.T]
            found.append(max(range(len(r)), key=lambda j: float(r[j])))
        return torch.tensor(found)

    def carried(on_images, on_pictures, partner):
        shares = []
        for i, unit in enumerate(partner.tolist()):
            below = sum(float(v) < float(on_pictures[i, unit]) for v in on_images[:, unit])
            shares.append(below / len(on_images))
        return shares


@right("13.10", how="in numpy")
class section:
    import numpy as np

    def partners(a, b):
        x, y = (v.numpy().astype(float) for v in (a, b))
        x, y = x - x.mean(0), y - y.mean(0)
        cov = x.T @ y / len(x)
        spread = y.std(0)
        return np.where(spread > 0, cov / np.where(spread > 0, spread, 1), 0).argmax(axis=1)

    def carried(on_images, on_pictures, partner):
        p = partner.numpy()
        own = np.take_along_axis(on_pictures.numpy(), p[:, None], axis=1)[:, 0]
        return np.less(on_images.numpy()[:, p], own).mean(axis=0)


# --- 13.11 -----------------------------------------------------------------------------------------------------------


@mistake("13.11", says="This is Pearson's r of the values")
class section:
    """No ranks."""

    def rank_correlation(a, b):

        def ranks(x):
            below = (x[None, :] < x[:, None]).sum(1)
            equal = (x[None, :] == x[:, None]).sum(1)
            place = below + (equal - 1) / 2
            return place - place.mean()

        x, y = (a.double() - a.double().mean(), b.double() - b.double().mean())
        size = float(x.norm() * y.norm())
        return float(x @ y) / size if size > 0 else 0.0

    def outdone(promised, answers):
        n = len(answers)
        table = torch.tensor([[rank_correlation(p, answers[u]) for p in promised] for u in range(n)])
        return (table > table.diagonal()[:, None]).double().sum(1) / (n - 1)


@mistake("13.11", says="Equal values get different ranks")
class section:
    """Sorted twice."""

    def rank_correlation(a, b):

        def ranks(x):
            below = (x[None, :] < x[:, None]).sum(1)
            equal = (x[None, :] == x[:, None]).sum(1)
            place = x.argsort().argsort().double()
            return place - place.mean()

        x, y = (ranks(a.double()), ranks(b.double()))
        size = float(x.norm() * y.norm())
        return float(x @ y) / size if size > 0 else 0.0

    def outdone(promised, answers):
        n = len(answers)
        table = torch.tensor([[rank_correlation(p, answers[u]) for p in promised] for u in range(n)])
        return (table > table.diagonal()[:, None]).double().sum(1) / (n - 1)


@mistake("13.11", says="Equal values all get the lowest")
class section:
    """No sharing."""

    def rank_correlation(a, b):

        def ranks(x):
            below = (x[None, :] < x[:, None]).sum(1)
            equal = (x[None, :] == x[:, None]).sum(1)
            place = below.double()
            return place - place.mean()

        x, y = (ranks(a.double()), ranks(b.double()))
        size = float(x.norm() * y.norm())
        return float(x @ y) / size if size > 0 else 0.0

    def outdone(promised, answers):
        n = len(answers)
        table = torch.tensor([[rank_correlation(p, answers[u]) for p in promised] for u in range(n)])
        return (table > table.diagonal()[:, None]).double().sum(1) / (n - 1)


@mistake("13.11", says="These are places in the sorted list")
class section:
    """Sorted once."""

    def rank_correlation(a, b):

        def ranks(x):
            below = (x[None, :] < x[:, None]).sum(1)
            equal = (x[None, :] == x[:, None]).sum(1)
            place = x.argsort().double()
            return place - place.mean()

        x, y = (ranks(a.double()), ranks(b.double()))
        size = float(x.norm() * y.norm())
        return float(x @ y) / size if size > 0 else 0.0

    def outdone(promised, answers):
        n = len(answers)
        table = torch.tensor([[rank_correlation(p, answers[u]) for p in promised] for u in range(n)])
        return (table > table.diagonal()[:, None]).double().sum(1) / (n - 1)


@mistake("13.11", says="yours is NaN")
class section:
    """0 / 0."""

    def rank_correlation(a, b):

        def ranks(x):
            below = (x[None, :] < x[:, None]).sum(1)
            equal = (x[None, :] == x[:, None]).sum(1)
            place = below + (equal - 1) / 2
            return place - place.mean()

        x, y = (ranks(a.double()), ranks(b.double()))
        size = float(x.norm() * y.norm())
        return float(x @ y / (x.norm() * y.norm()))

    def outdone(promised, answers):
        n = len(answers)
        table = torch.tensor([[rank_correlation(p, answers[u]) for p in promised] for u in range(n)])
        return (table > table.diagonal()[:, None]).double().sum(1) / (n - 1)


@mistake("13.11", says="The sign is wrong")
class section:
    """Reversed."""

    def rank_correlation(a, b):

        def ranks(x):
            below = (x[None, :] < x[:, None]).sum(1)
            equal = (x[None, :] == x[:, None]).sum(1)
            place = below + (equal - 1) / 2
            return place - place.mean()

        x, y = (ranks(a.double()), ranks(b.double()))
        size = float(x.norm() * y.norm())
        return -float(x @ y) / size if size > 0 else 0.0

    def outdone(promised, answers):
        n = len(answers)
        table = torch.tensor([[rank_correlation(p, answers[u]) for p in promised] for u in range(n)])
        return (table > table.diagonal()[:, None]).double().sum(1) / (n - 1)


@mistake("13.11", says="share of pictures that are WORSE")
class section:
    """The other side."""

    def rank_correlation(a, b):

        def ranks(x):
            below = (x[None, :] < x[:, None]).sum(1)
            equal = (x[None, :] == x[:, None]).sum(1)
            place = below + (equal - 1) / 2
            return place - place.mean()

        x, y = (ranks(a.double()), ranks(b.double()))
        size = float(x.norm() * y.norm())
        return float(x @ y) / size if size > 0 else 0.0

    def outdone(promised, answers):
        n = len(answers)
        table = torch.tensor([[rank_correlation(p, answers[u]) for p in promised] for u in range(n)])
        return (table < table.diagonal()[:, None]).double().sum(1) / (n - 1)


@mistake("13.11", says="Ask which other pictures foretell this unit")
class section:
    """The table on its side."""

    def rank_correlation(a, b):

        def ranks(x):
            below = (x[None, :] < x[:, None]).sum(1)
            equal = (x[None, :] == x[:, None]).sum(1)
            place = below + (equal - 1) / 2
            return place - place.mean()

        x, y = (ranks(a.double()), ranks(b.double()))
        size = float(x.norm() * y.norm())
        return float(x @ y) / size if size > 0 else 0.0

    def outdone(promised, answers):
        n = len(answers)
        table = torch.tensor([[rank_correlation(promised[u], a) for a in answers] for u in range(n)])
        return (table > table.diagonal()[:, None]).double().sum(1) / (n - 1)


@mistake("13.11", says="There are n − 1 other pictures")
class section:
    """n."""

    def rank_correlation(a, b):

        def ranks(x):
            below = (x[None, :] < x[:, None]).sum(1)
            equal = (x[None, :] == x[:, None]).sum(1)
            place = below + (equal - 1) / 2
            return place - place.mean()

        x, y = (ranks(a.double()), ranks(b.double()))
        size = float(x.norm() * y.norm())
        return float(x @ y) / size if size > 0 else 0.0

    def outdone(promised, answers):
        n = len(answers)
        table = torch.tensor([[rank_correlation(p, answers[u]) for p in promised] for u in range(n)])
        return (table > table.diagonal()[:, None]).double().sum(1) / n


@mistake("13.11", says="Its own picture counts as one")
class section:
    """≥."""

    def rank_correlation(a, b):

        def ranks(x):
            below = (x[None, :] < x[:, None]).sum(1)
            equal = (x[None, :] == x[:, None]).sum(1)
            place = below + (equal - 1) / 2
            return place - place.mean()

        x, y = (ranks(a.double()), ranks(b.double()))
        size = float(x.norm() * y.norm())
        return float(x @ y) / size if size > 0 else 0.0

    def outdone(promised, answers):
        n = len(answers)
        table = torch.tensor([[rank_correlation(p, answers[u]) for p in promised] for u in range(n)])
        return (table >= table.diagonal()[:, None]).double().sum(1) / (n - 1)


@mistake("13.11", says="a picture that promises the opposite is not good")
class section:
    """Absolute values."""

    def rank_correlation(a, b):

        def ranks(x):
            below = (x[None, :] < x[:, None]).sum(1)
            equal = (x[None, :] == x[:, None]).sum(1)
            place = below + (equal - 1) / 2
            return place - place.mean()

        x, y = (ranks(a.double()), ranks(b.double()))
        size = float(x.norm() * y.norm())
        return float(x @ y) / size if size > 0 else 0.0

    def outdone(promised, answers):
        n = len(answers)
        table = torch.tensor([[abs(rank_correlation(p, answers[u])) for p in promised] for u in range(n)])
        return (table > table.diagonal()[:, None]).double().sum(1) / (n - 1)


@mistake("13.11", says="You compare by Pearson's r")
class section:
    """Two measures."""

    def rank_correlation(a, b):

        def ranks(x):
            below = (x[None, :] < x[:, None]).sum(1)
            equal = (x[None, :] == x[:, None]).sum(1)
            place = below + (equal - 1) / 2
            return place - place.mean()

        x, y = (ranks(a.double()), ranks(b.double()))
        size = float(x.norm() * y.norm())
        return float(x @ y) / size if size > 0 else 0.0

    def outdone(promised, answers):
        n = len(answers)
        table = torch.corrcoef(torch.cat([answers, promised]))[:n, n:]
        return (table > table.diagonal()[:, None]).double().sum(1) / (n - 1)


@right("13.11", how="with scipy")
class section:
    import numpy as np
    import scipy.stats

    def rank_correlation(a, b):
        x, y = (scipy.stats.rankdata(v.numpy()) for v in (a, b))
        if x.std() == 0 or y.std() == 0:
            return 0
        return np.corrcoef(x, y)[0, 1]

    def outdone(promised, answers):
        shares = []
        for u, said in enumerate(answers):
            own = rank_correlation(promised[u], said)
            better = [rank_correlation(p, said) > own for i, p in enumerate(promised) if i != u]
            shares.append(np.mean(better))
        return np.array(shares)


@right("13.11", how="ranks from unique values")
class section:
    def rank_correlation(a, b):
        def ranks(x):
            values, which, counts = x.unique(return_inverse=True, return_counts=True)
            last = counts.cumsum(0)
            return (last - (counts - 1) / 2).double()[which]

        x, y = ranks(a), ranks(b)
        x, y = x - x.mean(), y - y.mean()
        return (x * y).sum() / ((x * x).sum() * (y * y).sum()).sqrt().clamp(min=1e-12)

    def outdone(promised, answers):
        n = len(answers)
        better = torch.zeros(n)
        for u in range(n):
            own = rank_correlation(promised[u], answers[u])
            for p in range(n):
                if p != u and rank_correlation(promised[p], answers[u]) > own:
                    better[u] += 1
        return better / (n - 1)


# --- 13.12 -----------------------------------------------------------------------------------------------------------


@mistake("13.12", says="What ALL pictures have in common")
class section:
    """Only divided, not centred."""

    def foretell(pictures, stimuli):

        def special(x):
            return (x - x.mean(0)) / x.std(0).clamp(min=1e-09)

        p, x = bands(pictures), bands(stimuli)
        return p / x.std(0) @ special(x).T


@mistake("13.12", says="You multiply bands as they are")
class section:
    """Nothing is standardised."""

    def foretell(pictures, stimuli):

        def special(x):
            return (x - x.mean(0)) / x.std(0).clamp(min=1e-09)

        return bands(pictures) @ bands(stimuli).T


@mistake("13.12", says="You take cosines of bands as they are")
class section:
    """Cosines."""

    def foretell(pictures, stimuli):

        def special(x):
            return (x - x.mean(0)) / x.std(0).clamp(min=1e-09)

        p, x = bands(pictures), bands(stimuli)
        return p / p.norm(dim=1, keepdim=True) @ (x / x.norm(dim=1, keepdim=True).clamp(min=1e-12)).T


@mistake("13.12", says="You compare pictures with the mean of the STIMULI")
class section:
    """One scale for both."""

    def foretell(pictures, stimuli):

        def special(x):
            return (x - x.mean(0)) / x.std(0).clamp(min=1e-09)

        p, x = bands(pictures), bands(stimuli)
        return (p - x.mean(0)) / x.std(0) @ special(x).T


@mistake("13.12", says="A distance is small where two are alike")
class section:
    """How far apart they are, in place of how alike."""

    def foretell(pictures, stimuli):

        def special(x):
            return (x - x.mean(0)) / x.std(0).clamp(min=1e-09)

        return torch.cdist(special(bands(pictures).add(0.01).log()), special(bands(stimuli).add(0.01).log()))


@mistake("13.12", says="You standardise along the wrong axis")
class section:
    """Over bands."""

    def foretell(pictures, stimuli):

        def special(x):
            return (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True).clamp(min=1e-9)

        return special(bands(pictures)) @ special(bands(stimuli)).T


@mistake("13.12", says="All units get the same promise")
class section:
    """The strength of an image."""

    def foretell(pictures, stimuli):

        def special(x):
            return (x - x.mean(0)) / x.std(0).clamp(min=1e-09)

        away = stimuli - stimuli.mean(dim=(2, 3), keepdim=True)
        return away.flatten(1).norm(dim=1).repeat(len(pictures), 1)


@mistake("13.12", says="You promise the opposite")
class section:
    """The sign."""

    def foretell(pictures, stimuli):

        def special(x):
            return (x - x.mean(0)) / x.std(0).clamp(min=1e-09)

        return -special(bands(pictures)) @ special(bands(stimuli)).T


@mistake("13.12", says="You compare mean colours")
class section:
    """Colours alone."""

    def foretell(pictures, stimuli):

        def special(x):
            return (x - x.mean(0)) / x.std(0).clamp(min=1e-09)

        return (pictures.mean(dim=(2, 3)) - 0.5) @ (stimuli.mean(dim=(2, 3)) - 0.5).T


@right("13.12", how="band by band, in numpy")
class section:
    import numpy as np

    def foretell(pictures, stimuli):
        p, x = bands(pictures).numpy().astype(float), bands(stimuli).numpy().astype(float)
        found = np.zeros((len(p), len(x)))
        for band in range(p.shape[1]):
            a = (p[:, band] - p[:, band].mean()) / p[:, band].std()
            b = (x[:, band] - x[:, band].mean()) / x[:, band].std()
            found += np.outer(a, b)
        return found


@right("13.12", how="with logarithms of the bands")
class section:
    def foretell(pictures, stimuli):
        p, x = (bands(images).double().add(0.01).log() for images in (pictures, stimuli))
        p = p - p.mean(dim=0, keepdim=True)
        p = p / p.std(dim=0, keepdim=True)
        x = (x - x.mean(dim=0)) / x.std(dim=0)
        return torch.einsum("ub,sb->us", p, x)
