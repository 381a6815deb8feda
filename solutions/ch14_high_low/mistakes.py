"""Wrong answers that learners and published code give to chapter 14, each with what the learner must be told, and
right answers written another way. Read by `mi dev check`, never run here."""

from mi_lib.course.mistakes import mistake, right

# --- 14.1 -----------------------------------------------------------------------------------------------------------


@mistake("14.1", says="You set the batch as a whole")
class section:
    """One mean for all."""

    def equal(pattern):
        pattern = pattern - pattern.mean()
        return pattern / pattern.square().mean().sqrt()

    def two_sides(first, second, angle):
        size = first.shape[-1]
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        share = (x * math.cos(angle) + y * math.sin(angle) + 0.5).clamp(0, 1)
        return share * first + (1 - share) * second

    def paint(pattern, contrast, colour):
        rgb = torch.tensor(colour)[None, :, None, None]
        return (0.5 + contrast[:, None, None, None] * rgb * pattern[:, None]).clamp(0, 1)


@mistake("14.1", says="The root mean square is the root of the plain mean")
class section:
    """torch.std as it is."""

    def equal(pattern):
        pattern = pattern - pattern.mean((1, 2), keepdim=True)
        return pattern / pattern.std((1, 2), keepdim=True)

    def two_sides(first, second, angle):
        size = first.shape[-1]
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        share = (x * math.cos(angle) + y * math.sin(angle) + 0.5).clamp(0, 1)
        return share * first + (1 - share) * second

    def paint(pattern, contrast, colour):
        rgb = torch.tensor(colour)[None, :, None, None]
        return (0.5 + contrast[:, None, None, None] * rgb * pattern[:, None]).clamp(0, 1)


@mistake("14.1", says="The mean is still there")
class section:
    """Strength without brightness."""

    def equal(pattern):
        pattern = pattern * 1.0
        return pattern / pattern.square().mean((1, 2), keepdim=True).sqrt()

    def two_sides(first, second, angle):
        size = first.shape[-1]
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        share = (x * math.cos(angle) + y * math.sin(angle) + 0.5).clamp(0, 1)
        return share * first + (1 - share) * second

    def paint(pattern, contrast, colour):
        rgb = torch.tensor(colour)[None, :, None, None]
        return (0.5 + contrast[:, None, None, None] * rgb * pattern[:, None]).clamp(0, 1)


@mistake("14.1", says="Take its root")
class section:
    """A variance for a spread."""

    def equal(pattern):
        pattern = pattern - pattern.mean((1, 2), keepdim=True)
        return pattern / pattern.square().mean((1, 2), keepdim=True)

    def two_sides(first, second, angle):
        size = first.shape[-1]
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        share = (x * math.cos(angle) + y * math.sin(angle) + 0.5).clamp(0, 1)
        return share * first + (1 - share) * second

    def paint(pattern, contrast, colour):
        rgb = torch.tensor(colour)[None, :, None, None]
        return (0.5 + contrast[:, None, None, None] * rgb * pattern[:, None]).clamp(0, 1)


@mistake("14.1", says="The sides are exchanged")
class section:
    """The second pattern where the angle points."""

    def equal(pattern):
        pattern = pattern - pattern.mean((1, 2), keepdim=True)
        return pattern / pattern.square().mean((1, 2), keepdim=True).sqrt()

    def two_sides(first, second, angle):
        size = first.shape[-1]
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        share = (x * math.cos(angle) + y * math.sin(angle) + 0.5).clamp(0, 1)
        return share * second + (1 - share) * first

    def paint(pattern, contrast, colour):
        rgb = torch.tensor(colour)[None, :, None, None]
        return (0.5 + contrast[:, None, None, None] * rgb * pattern[:, None]).clamp(0, 1)


@mistake("14.1", says="Row 0 is the top row")
class section:
    """y runs down, as rows do."""

    def equal(pattern):
        pattern = pattern - pattern.mean((1, 2), keepdim=True)
        return pattern / pattern.square().mean((1, 2), keepdim=True).sqrt()

    def two_sides(first, second, angle):
        size = first.shape[-1]
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], at[:, None])
        share = (x * math.cos(angle) + y * math.sin(angle) + 0.5).clamp(0, 1)
        return share * first + (1 - share) * second

    def paint(pattern, contrast, colour):
        rgb = torch.tensor(colour)[None, :, None, None]
        return (0.5 + contrast[:, None, None, None] * rgb * pattern[:, None]).clamp(0, 1)


@mistake("14.1", says="The angle is in radians already")
class section:
    """Converted once more."""

    def equal(pattern):
        pattern = pattern - pattern.mean((1, 2), keepdim=True)
        return pattern / pattern.square().mean((1, 2), keepdim=True).sqrt()

    def two_sides(first, second, angle):
        size = first.shape[-1]
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        share = (x * math.cos(math.radians(angle)) + y * math.sin(math.radians(angle)) + 0.5).clamp(0, 1)
        return share * first + (1 - share) * second

    def paint(pattern, contrast, colour):
        rgb = torch.tensor(colour)[None, :, None, None]
        return (0.5 + contrast[:, None, None, None] * rgb * pattern[:, None]).clamp(0, 1)


@mistake("14.1", says="pixel centres are counted from 0")
class section:
    """The middle of 9 pixels is not 4.5."""

    def equal(pattern):
        pattern = pattern - pattern.mean((1, 2), keepdim=True)
        return pattern / pattern.square().mean((1, 2), keepdim=True).sqrt()

    def two_sides(first, second, angle):
        size = first.shape[-1]
        at = torch.arange(size) - size / 2
        x, y = (at[None, :], -at[:, None])
        share = (x * math.cos(angle) + y * math.sin(angle) + 0.5).clamp(0, 1)
        return share * first + (1 - share) * second

    def paint(pattern, contrast, colour):
        rgb = torch.tensor(colour)[None, :, None, None]
        return (0.5 + contrast[:, None, None, None] * rgb * pattern[:, None]).clamp(0, 1)


@mistake("14.1", says="x belongs to the cosine")
class section:
    """A quarter of a turn too far."""

    def equal(pattern):
        pattern = pattern - pattern.mean((1, 2), keepdim=True)
        return pattern / pattern.square().mean((1, 2), keepdim=True).sqrt()

    def two_sides(first, second, angle):
        size = first.shape[-1]
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        share = (x * math.sin(angle) + y * math.cos(angle) + 0.5).clamp(0, 1)
        return share * first + (1 - share) * second

    def paint(pattern, contrast, colour):
        rgb = torch.tensor(colour)[None, :, None, None]
        return (0.5 + contrast[:, None, None, None] * rgb * pattern[:, None]).clamp(0, 1)


@mistake("14.1", says="The boundary is hard")
class section:
    """A step."""

    def equal(pattern):
        pattern = pattern - pattern.mean((1, 2), keepdim=True)
        return pattern / pattern.square().mean((1, 2), keepdim=True).sqrt()

    def two_sides(first, second, angle):
        size = first.shape[-1]
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        share = (x * math.cos(angle) + y * math.sin(angle) > 0).float()
        return share * first + (1 - share) * second

    def paint(pattern, contrast, colour):
        rgb = torch.tensor(colour)[None, :, None, None]
        return (0.5 + contrast[:, None, None, None] * rgb * pattern[:, None]).clamp(0, 1)


@mistake("14.1", says="A pixel ON the boundary is half and half")
class section:
    """Half a pixel off."""

    def equal(pattern):
        pattern = pattern - pattern.mean((1, 2), keepdim=True)
        return pattern / pattern.square().mean((1, 2), keepdim=True).sqrt()

    def two_sides(first, second, angle):
        size = first.shape[-1]
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        share = (x * math.cos(angle) + y * math.sin(angle)).clamp(0, 1)
        return share * first + (1 - share) * second

    def paint(pattern, contrast, colour):
        rgb = torch.tensor(colour)[None, :, None, None]
        return (0.5 + contrast[:, None, None, None] * rgb * pattern[:, None]).clamp(0, 1)


@mistake("14.1", says="cut it off")
class section:
    """Pixels below 0."""

    def equal(pattern):
        pattern = pattern - pattern.mean((1, 2), keepdim=True)
        return pattern / pattern.square().mean((1, 2), keepdim=True).sqrt()

    def two_sides(first, second, angle):
        size = first.shape[-1]
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        share = (x * math.cos(angle) + y * math.sin(angle) + 0.5).clamp(0, 1)
        return share * first + (1 - share) * second

    def paint(pattern, contrast, colour):
        rgb = torch.tensor(colour)[None, :, None, None]
        return 0.5 + contrast[:, None, None, None] * rgb * pattern[:, None]


@mistake("14.1", says="The contrast has lost its sign")
class section:
    """No negative."""

    def equal(pattern):
        pattern = pattern - pattern.mean((1, 2), keepdim=True)
        return pattern / pattern.square().mean((1, 2), keepdim=True).sqrt()

    def two_sides(first, second, angle):
        size = first.shape[-1]
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        share = (x * math.cos(angle) + y * math.sin(angle) + 0.5).clamp(0, 1)
        return share * first + (1 - share) * second

    def paint(pattern, contrast, colour):
        rgb = torch.tensor(colour)[None, :, None, None]
        return (0.5 + contrast.abs()[:, None, None, None] * rgb * pattern[:, None]).clamp(0, 1)


@mistake("14.1", says="The grey is missing")
class section:
    """Around 0."""

    def equal(pattern):
        pattern = pattern - pattern.mean((1, 2), keepdim=True)
        return pattern / pattern.square().mean((1, 2), keepdim=True).sqrt()

    def two_sides(first, second, angle):
        size = first.shape[-1]
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        share = (x * math.cos(angle) + y * math.sin(angle) + 0.5).clamp(0, 1)
        return share * first + (1 - share) * second

    def paint(pattern, contrast, colour):
        rgb = torch.tensor(colour)[None, :, None, None]
        return (contrast[:, None, None, None] * rgb * pattern[:, None]).clamp(0, 1)


@mistake("14.1", says="Each has its own")
class section:
    """One contrast for all."""

    def equal(pattern):
        pattern = pattern - pattern.mean((1, 2), keepdim=True)
        return pattern / pattern.square().mean((1, 2), keepdim=True).sqrt()

    def two_sides(first, second, angle):
        size = first.shape[-1]
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        share = (x * math.cos(angle) + y * math.sin(angle) + 0.5).clamp(0, 1)
        return share * first + (1 - share) * second

    def paint(pattern, contrast, colour):
        rgb = torch.tensor(colour)[None, :, None, None]
        return (0.5 + contrast[0] * rgb * pattern[:, None]).clamp(0, 1)


@mistake("14.1", says="The image is white")
class section:
    """No colour."""

    def equal(pattern):
        pattern = pattern - pattern.mean((1, 2), keepdim=True)
        return pattern / pattern.square().mean((1, 2), keepdim=True).sqrt()

    def two_sides(first, second, angle):
        size = first.shape[-1]
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        share = (x * math.cos(angle) + y * math.sin(angle) + 0.5).clamp(0, 1)
        return share * first + (1 - share) * second

    def paint(pattern, contrast, colour):
        rgb = torch.ones(3)[None, :, None, None]
        return (0.5 + contrast[:, None, None, None] * rgb * pattern[:, None]).clamp(0, 1)


@right("14.1", how="with a mesh, einsum and lerp")
class section:
    def equal(pattern):
        flat = pattern.double().flatten(1)
        flat = flat - flat.mean(1)[:, None]
        return (flat / torch.sqrt((flat**2).mean(1))[:, None]).view_as(pattern)

    def two_sides(first, second, angle):
        size = first.shape[1]
        rows, columns = torch.meshgrid(torch.arange(size).double(), torch.arange(size).double(), indexing="ij")
        place = torch.stack([columns - (size - 1) / 2, (size - 1) / 2 - rows])
        d = torch.einsum("k,krc->rc", torch.tensor([math.cos(angle), math.sin(angle)]).double(), place)
        return torch.lerp(second.double(), first.double(), torch.clip(d + 0.5, 0, 1).expand_as(first))

    def paint(pattern, contrast, colour):
        image = torch.einsum("nrc,n,k->nkrc", pattern, contrast, torch.tensor(colour))
        return torch.clip(image + 0.5, 0, 1)


@right("14.1", how="pixel by pixel")
class section:
    def equal(pattern):
        found = []
        for one in pattern:
            one = one - one.mean()
            found.append(one / one.norm() * one.numel() ** 0.5)
        return torch.stack(found)

    def two_sides(first, second, angle):
        new = second.clone()
        n = first.shape[-1]
        for r in range(n):
            for c in range(n):
                d = (c - (n - 1) / 2) * math.cos(angle) - (r - (n - 1) / 2) * math.sin(angle)
                s = min(max(d + 0.5, 0.0), 1.0)
                new[:, r, c] = s * first[:, r, c] + (1 - s) * second[:, r, c]
        return new

    def paint(pattern, contrast, colour):
        planes = [0.5 + contrast.view(-1, 1, 1) * k * pattern for k in colour]
        return torch.stack(planes, dim=1).clamp(0, 1)


# --- 14.2 -----------------------------------------------------------------------------------------------------------


@mistake("14.2", says="Your angles cover half a turn")
class section:
    """As if sides did not matter."""

    def by_angle(model, layer, first, second, contrast, count):
        found = []
        for i in range(count):
            images = paint(two_sides(first, second, math.pi * i / count), contrast, WHITE)
            found.append(middle(model, layer, images).mean(0))
        return torch.stack(found, dim=1)

    def normalised(curves):
        most = curves.amax(1, keepdim=True)
        return torch.where(most > 0, curves / most, torch.zeros_like(curves))


@mistake("14.2", says="You go round clockwise")
class section:
    """The other way."""

    def by_angle(model, layer, first, second, contrast, count):
        found = []
        for i in range(count):
            images = paint(two_sides(first, second, -2 * math.pi * i / count), contrast, WHITE)
            found.append(middle(model, layer, images).mean(0))
        return torch.stack(found, dim=1)

    def normalised(curves):
        most = curves.amax(1, keepdim=True)
        return torch.where(most > 0, curves / most, torch.zeros_like(curves))


@mistake("14.2", says="Your last angle is the first one again")
class section:
    """linspace with both ends."""

    def by_angle(model, layer, first, second, contrast, count):
        found = []
        for i in range(count):
            images = paint(two_sides(first, second, 2 * math.pi * i / (count - 1)), contrast, WHITE)
            found.append(middle(model, layer, images).mean(0))
        return torch.stack(found, dim=1)

    def normalised(curves):
        most = curves.amax(1, keepdim=True)
        return torch.where(most > 0, curves / most, torch.zeros_like(curves))


@mistake("14.2", says="The patterns are exchanged")
class section:
    """Blurred first."""

    def by_angle(model, layer, first, second, contrast, count):
        found = []
        for i in range(count):
            images = paint(two_sides(second, first, 2 * math.pi * i / count), contrast, WHITE)
            found.append(middle(model, layer, images).mean(0))
        return torch.stack(found, dim=1)

    def normalised(curves):
        most = curves.amax(1, keepdim=True)
        return torch.where(most > 0, curves / most, torch.zeros_like(curves))


@mistake("14.2", says="Keep the sign of each image's own")
class section:
    """One polarity."""

    def by_angle(model, layer, first, second, contrast, count):
        found = []
        for i in range(count):
            images = paint(two_sides(first, second, 2 * math.pi * i / count), contrast.abs(), WHITE)
            found.append(middle(model, layer, images).mean(0))
        return torch.stack(found, dim=1)

    def normalised(curves):
        most = curves.amax(1, keepdim=True)
        return torch.where(most > 0, curves / most, torch.zeros_like(curves))


@mistake("14.2", says="You take the largest response over images")
class section:
    """amax for mean."""

    def by_angle(model, layer, first, second, contrast, count):
        found = []
        for i in range(count):
            images = paint(two_sides(first, second, 2 * math.pi * i / count), contrast, WHITE)
            found.append(middle(model, layer, images).amax(0))
        return torch.stack(found, dim=1)

    def normalised(curves):
        most = curves.amax(1, keepdim=True)
        return torch.where(most > 0, curves / most, torch.zeros_like(curves))


@mistake("14.2", says="You add up over images")
class section:
    """Sum for mean."""

    def by_angle(model, layer, first, second, contrast, count):
        found = []
        for i in range(count):
            images = paint(two_sides(first, second, 2 * math.pi * i / count), contrast, WHITE)
            found.append(middle(model, layer, images).sum(0))
        return torch.stack(found, dim=1)

    def normalised(curves):
        most = curves.amax(1, keepdim=True)
        return torch.where(most > 0, curves / most, torch.zeros_like(curves))


@mistake("14.2", says="You average over all places")
class section:
    """The whole map."""

    def by_angle(model, layer, first, second, contrast, count):
        found = []
        for i in range(count):
            images = paint(two_sides(first, second, 2 * math.pi * i / count), contrast, WHITE)
            found.append(model.run(images, [layer])[layer].mean((0, 2, 3)))
        return torch.stack(found, dim=1)

    def normalised(curves):
        most = curves.amax(1, keepdim=True)
        return torch.where(most > 0, curves / most, torch.zeros_like(curves))


@mistake("14.2", says="You take the largest place of the map")
class section:
    """Wherever it is."""

    def by_angle(model, layer, first, second, contrast, count):
        found = []
        for i in range(count):
            images = paint(two_sides(first, second, 2 * math.pi * i / count), contrast, WHITE)
            found.append(model.run(images, [layer])[layer].amax((2, 3)).mean(0))
        return torch.stack(found, dim=1)

    def normalised(curves):
        most = curves.amax(1, keepdim=True)
        return torch.where(most > 0, curves / most, torch.zeros_like(curves))


@mistake("14.2", says="The axes are exchanged")
class section:
    """A row for each angle."""

    def by_angle(model, layer, first, second, contrast, count):
        found = []
        for i in range(count):
            images = paint(two_sides(first, second, 2 * math.pi * i / count), contrast, WHITE)
            found.append(middle(model, layer, images).mean(0))
        return torch.stack(found, dim=0)

    def normalised(curves):
        most = curves.amax(1, keepdim=True)
        return torch.where(most > 0, curves / most, torch.zeros_like(curves))


@mistake("14.2", says="You divide by the largest value of all units")
class section:
    """One number for all."""

    def by_angle(model, layer, first, second, contrast, count):
        found = []
        for i in range(count):
            images = paint(two_sides(first, second, 2 * math.pi * i / count), contrast, WHITE)
            found.append(middle(model, layer, images).mean(0))
        return torch.stack(found, dim=1)

    def normalised(curves):
        most = curves.amax()
        return torch.where(most > 0, curves / most, torch.zeros_like(curves))


@mistake("14.2", says="You divide by each unit's sum")
class section:
    """A share for a height."""

    def by_angle(model, layer, first, second, contrast, count):
        found = []
        for i in range(count):
            images = paint(two_sides(first, second, 2 * math.pi * i / count), contrast, WHITE)
            found.append(middle(model, layer, images).mean(0))
        return torch.stack(found, dim=1)

    def normalised(curves):
        most = curves.sum(1, keepdim=True)
        return torch.where(most > 0, curves / most, torch.zeros_like(curves))


@mistake("14.2", says="NaN")
class section:
    """Nothing divided by nothing."""

    def by_angle(model, layer, first, second, contrast, count):
        found = []
        for i in range(count):
            images = paint(two_sides(first, second, 2 * math.pi * i / count), contrast, WHITE)
            found.append(middle(model, layer, images).mean(0))
        return torch.stack(found, dim=1)

    def normalised(curves):
        most = curves.amax(1, keepdim=True)
        return curves / most


@mistake("14.2", says="Only divide")
class section:
    """From 0 to 1."""

    def by_angle(model, layer, first, second, contrast, count):
        found = []
        for i in range(count):
            images = paint(two_sides(first, second, 2 * math.pi * i / count), contrast, WHITE)
            found.append(middle(model, layer, images).mean(0))
        return torch.stack(found, dim=1)

    def normalised(curves):
        curves = curves - curves.amin(1, keepdim=True)
        most = curves.amax(1, keepdim=True)
        return torch.where(most > 0, curves / most, torch.zeros_like(curves))


@right("14.2", how="all angles in one batch")
class section:
    def by_angle(model, layer, first, second, contrast, count):
        images = torch.cat(
            [paint(two_sides(first, second, i * math.tau / count), contrast, WHITE) for i in range(count)]
        )
        return middle(model, layer, images).unflatten(0, (count, len(first))).mean(1).T

    def normalised(curves):
        return torch.nan_to_num(curves / curves.max(dim=1).values[:, None], nan=0.0)


@right("14.2", how="image by image, in double precision")
class section:
    def by_angle(model, layer, first, second, contrast, count):
        units = middle(model, layer, paint(first[:1], contrast[:1], WHITE)).shape[1]
        table = torch.zeros(units, count, dtype=torch.double)
        for i in range(count):
            for k in range(len(first)):
                one = slice(k, k + 1)
                image = paint(two_sides(first[one], second[one], 2 * math.pi * i / count), contrast[one], WHITE)
                table[:, i] += middle(model, layer, image)[0].double() / len(first)
        return table

    def normalised(curves):
        new = curves.clone()
        for row in new:
            if row.max() > 0:
                row /= row.max().clone()
        return new


# --- 14.3 -----------------------------------------------------------------------------------------------------------


@mistake("14.3", says="Your edges cover half a turn")
class section:
    """One polarity of edges."""

    def rivals(model, layer, sharp, blurred, contrast, count, colours):
        alone = [middle(model, layer, paint(texture, contrast, WHITE)).mean(0) for texture in (sharp, blurred)]
        ones = torch.ones_like(sharp[:1])
        steps = torch.cat([two_sides(ones, -ones, math.pi * i / count) for i in range(count)])
        strength = contrast[:1].abs().expand(count)
        edges = [middle(model, layer, paint(steps, strength, colour)).amax(0) for colour in colours]
        return torch.stack([*alone, torch.stack(edges).amax(0)], dim=1)


@mistake("14.3", says="Your edge steps from 1 to 0")
class section:
    """Half as strong."""

    def rivals(model, layer, sharp, blurred, contrast, count, colours):
        alone = [middle(model, layer, paint(texture, contrast, WHITE)).mean(0) for texture in (sharp, blurred)]
        ones = torch.ones_like(sharp[:1])
        steps = torch.cat([two_sides(ones, 0 * ones, 2 * math.pi * i / count) for i in range(count)])
        strength = contrast[:1].abs().expand(count)
        edges = [middle(model, layer, paint(steps, strength, colour)).amax(0) for colour in colours]
        return torch.stack([*alone, torch.stack(edges).amax(0)], dim=1)


@mistake("14.3", says="You average over the angles of the edge")
class section:
    """mean for best."""

    def rivals(model, layer, sharp, blurred, contrast, count, colours):
        alone = [middle(model, layer, paint(texture, contrast, WHITE)).mean(0) for texture in (sharp, blurred)]
        ones = torch.ones_like(sharp[:1])
        steps = torch.cat([two_sides(ones, -ones, 2 * math.pi * i / count) for i in range(count)])
        strength = contrast[:1].abs().expand(count)
        edges = [middle(model, layer, paint(steps, strength, colour)).mean(0) for colour in colours]
        return torch.stack([*alone, edges[0]], dim=1)


@mistake("14.3", says="You show an edge at angle 0 alone")
class section:
    """One edge."""

    def rivals(model, layer, sharp, blurred, contrast, count, colours):
        alone = [middle(model, layer, paint(texture, contrast, WHITE)).mean(0) for texture in (sharp, blurred)]
        ones = torch.ones_like(sharp[:1])
        steps = torch.cat([two_sides(ones, -ones, 2 * math.pi * i / count) for i in range(count)])
        strength = contrast[:1].abs().expand(count)
        edges = [middle(model, layer, paint(steps, strength, colour))[0] for colour in colours]
        return torch.stack([*alone, edges[0]], dim=1)


@mistake("14.3", says="Your edges are white")
class section:
    """Brightness alone."""

    def rivals(model, layer, sharp, blurred, contrast, count, colours):
        alone = [middle(model, layer, paint(texture, contrast, WHITE)).mean(0) for texture in (sharp, blurred)]
        ones = torch.ones_like(sharp[:1])
        steps = torch.cat([two_sides(ones, -ones, 2 * math.pi * i / count) for i in range(count)])
        strength = contrast[:1].abs().expand(count)
        edges = [middle(model, layer, paint(steps, strength, colour)).amax(0) for colour in colours]
        return torch.stack([*alone, edges[0]], dim=1)


@mistake("14.3", says="You take the largest response to a texture")
class section:
    """amax over images."""

    def rivals(model, layer, sharp, blurred, contrast, count, colours):
        alone = [middle(model, layer, paint(texture, contrast, WHITE)).amax(0) for texture in (sharp, blurred)]
        ones = torch.ones_like(sharp[:1])
        steps = torch.cat([two_sides(ones, -ones, 2 * math.pi * i / count) for i in range(count)])
        strength = contrast[:1].abs().expand(count)
        edges = [middle(model, layer, paint(steps, strength, colour)).amax(0) for colour in colours]
        return torch.stack([*alone, torch.stack(edges).amax(0)], dim=1)


@mistake("14.3", says="The columns are exchanged")
class section:
    """Blurred first."""

    def rivals(model, layer, sharp, blurred, contrast, count, colours):
        alone = [middle(model, layer, paint(texture, contrast, WHITE)).mean(0) for texture in (blurred, sharp)]
        ones = torch.ones_like(sharp[:1])
        steps = torch.cat([two_sides(ones, -ones, 2 * math.pi * i / count) for i in range(count)])
        strength = contrast[:1].abs().expand(count)
        edges = [middle(model, layer, paint(steps, strength, colour)).amax(0) for colour in colours]
        return torch.stack([*alone, torch.stack(edges).amax(0)], dim=1)


@mistake("14.3", says="You show every texture with a positive contrast")
class section:
    """One polarity."""

    def rivals(model, layer, sharp, blurred, contrast, count, colours):
        alone = [middle(model, layer, paint(texture, contrast.abs(), WHITE)).mean(0) for texture in (sharp, blurred)]
        ones = torch.ones_like(sharp[:1])
        steps = torch.cat([two_sides(ones, -ones, 2 * math.pi * i / count) for i in range(count)])
        strength = contrast[:1].abs().expand(count)
        edges = [middle(model, layer, paint(steps, strength, colour)).amax(0) for colour in colours]
        return torch.stack([*alone, torch.stack(edges).amax(0)], dim=1)


@mistake("14.3", says="and then average over colours")
class section:
    """The best of each colour, and their mean."""

    def rivals(model, layer, sharp, blurred, contrast, count, colours):
        alone = [middle(model, layer, paint(texture, contrast, WHITE)).mean(0) for texture in (sharp, blurred)]
        ones = torch.ones_like(sharp[:1])
        steps = torch.cat([two_sides(ones, -ones, 2 * math.pi * i / count) for i in range(count)])
        strength = contrast[:1].abs().expand(count)
        edges = [middle(model, layer, paint(steps, strength, colour)).amax(0) for colour in colours]
        return torch.stack([*alone, torch.stack(edges).mean(0)], dim=1)


@right("14.3", how="with a loop over angles")
class section:
    def rivals(model, layer, sharp, blurred, contrast, count, colours):
        size = sharp.shape[-1]
        strength = abs(float(contrast[0]))
        best = None
        for colour in colours:
            for i in range(count):
                pattern = two_sides(
                    torch.full((1, size, size), 1.0), torch.full((1, size, size), -1.0), math.tau * i / count
                )
                said = middle(model, layer, paint(pattern, torch.tensor([strength]), colour))[0]
                best = said if best is None else torch.maximum(best, said)
        a, b = (middle(model, layer, paint(t, contrast, WHITE)).sum(0) / len(t) for t in (sharp, blurred))
        return torch.stack([a, b, best]).T


@right("14.3", how="everything in one batch")
class section:
    def rivals(model, layer, sharp, blurred, contrast, count, colours):
        ones = torch.ones_like(sharp[:1])
        steps = torch.cat([two_sides(ones, -ones, 2 * math.pi * i / count) for i in range(count)])
        white = paint(torch.cat([sharp, blurred]), torch.cat([contrast, contrast]), WHITE)
        coloured = [paint(steps, contrast[0].abs().repeat(count), c) for c in colours]
        said = middle(model, layer, torch.cat([white, *coloured])).double()
        a, b, c = said.split([len(sharp), len(blurred), count * len(colours)])
        return torch.stack([a.mean(0), b.mean(0), c.max(0).values], dim=-1)


# --- 14.4 -----------------------------------------------------------------------------------------------------------


@mistake("14.4", says="You measure on the images that chose the angle")
class section:
    """The same images twice."""

    def is_detector(chosen, measured, rival):
        n = chosen.shape[1]
        where = chosen.argmax(1)
        units = torch.arange(len(chosen))
        best, opposite = (chosen[units, where], chosen[units, (where + n // 2) % n])
        return (best > 1.5 * rival.amax(1)) & (best > 2 * opposite) & (best > best.mean() / 4)


@mistake("14.4", says="You choose the best angle in `measured` itself")
class section:
    """The best of the measured ones."""

    def is_detector(chosen, measured, rival):
        n = chosen.shape[1]
        where = measured.argmax(1)
        units = torch.arange(len(chosen))
        best, opposite = (measured[units, where], measured[units, (where + n // 2) % n])
        return (best > 1.5 * rival.amax(1)) & (best > 2 * opposite) & (best > best.mean() / 4)


@mistake("14.4", says="You compare with the mean of the rivals")
class section:
    """One rival hidden by two."""

    def is_detector(chosen, measured, rival):
        n = chosen.shape[1]
        where = chosen.argmax(1)
        units = torch.arange(len(chosen))
        best, opposite = (measured[units, where], measured[units, (where + n // 2) % n])
        return (best > 1.5 * rival.mean(1)) & (best > 2 * opposite) & (best > best.mean() / 4)


@mistake("14.4", says="You compare with the least of the rivals")
class section:
    """amin for amax."""

    def is_detector(chosen, measured, rival):
        n = chosen.shape[1]
        where = chosen.argmax(1)
        units = torch.arange(len(chosen))
        best, opposite = (measured[units, where], measured[units, (where + n // 2) % n])
        return (best > 1.5 * rival.amin(1)) & (best > 2 * opposite) & (best > best.mean() / 4)


@mistake("14.4", says="an edge detector would count")
class section:
    """Textures alone."""

    def is_detector(chosen, measured, rival):
        n = chosen.shape[1]
        where = chosen.argmax(1)
        units = torch.arange(len(chosen))
        best, opposite = (measured[units, where], measured[units, (where + n // 2) % n])
        return (best > 1.5 * rival[:, :2].amax(1)) & (best > 2 * opposite) & (best > best.mean() / 4)


@mistake("14.4", says="The opposite side is not asked")
class section:
    """No second bound."""

    def is_detector(chosen, measured, rival):
        n = chosen.shape[1]
        where = chosen.argmax(1)
        units = torch.arange(len(chosen))
        best, opposite = (measured[units, where], measured[units, (where + n // 2) % n])
        return (best > 1.5 * rival.amax(1)) & (best > best.mean() / 4)


@mistake("14.4", says="not n/4")
class section:
    """A quarter of a turn."""

    def is_detector(chosen, measured, rival):
        n = chosen.shape[1]
        where = chosen.argmax(1)
        units = torch.arange(len(chosen))
        best, opposite = (measured[units, where], measured[units, (where + n // 4) % n])
        return (best > 1.5 * rival.amax(1)) & (best > 2 * opposite) & (best > best.mean() / 4)


@mistake("14.4", says="You compare with the least response of all angles")
class section:
    """min for the opposite."""

    def is_detector(chosen, measured, rival):
        n = chosen.shape[1]
        where = chosen.argmax(1)
        units = torch.arange(len(chosen))
        best, opposite = (measured[units, where], measured.amin(1))
        return (best > 1.5 * rival.amax(1)) & (best > 2 * opposite) & (best > best.mean() / 4)


@mistake("14.4", says="The bounds are exchanged")
class section:
    """2 and 1.5."""

    def is_detector(chosen, measured, rival):
        n = chosen.shape[1]
        where = chosen.argmax(1)
        units = torch.arange(len(chosen))
        best, opposite = (measured[units, where], measured[units, (where + n // 2) % n])
        return (best > 2 * rival.amax(1)) & (best > 1.5 * opposite) & (best > best.mean() / 4)


@mistake("14.4", says="A unit that hardly ever says anything counts")
class section:
    """No third bound."""

    def is_detector(chosen, measured, rival):
        n = chosen.shape[1]
        where = chosen.argmax(1)
        units = torch.arange(len(chosen))
        best, opposite = (measured[units, where], measured[units, (where + n // 2) % n])
        return (best > 1.5 * rival.amax(1)) & (best > 2 * opposite)


@mistake("14.4", says="not of its largest value")
class section:
    """A quarter of the loudest."""

    def is_detector(chosen, measured, rival):
        n = chosen.shape[1]
        where = chosen.argmax(1)
        units = torch.arange(len(chosen))
        best, opposite = (measured[units, where], measured[units, (where + n // 2) % n])
        return (best > 1.5 * rival.amax(1)) & (best > 2 * opposite) & (best > best.max() / 4)


@mistake("14.4", says="> is not ≥")
class section:
    """≥ for >."""

    def is_detector(chosen, measured, rival):
        n = chosen.shape[1]
        where = chosen.argmax(1)
        units = torch.arange(len(chosen))
        best, opposite = (measured[units, where], measured[units, (where + n // 2) % n])
        return (best >= 1.5 * rival.amax(1)) & (best >= 2 * opposite) & (best >= best.mean() / 4)


@mistake("14.4", says="multiply by 1.5 rather than divide by 0")
class section:
    """A quotient of nothing."""

    def is_detector(chosen, measured, rival):
        n = chosen.shape[1]
        where = chosen.argmax(1)
        units = torch.arange(len(chosen))
        best, opposite = (measured[units, where], measured[units, (where + n // 2) % n])
        return ((best / rival.amax(1) > 1.5) & (rival.amax(1) > 0)) & (best > 2 * opposite) & (best > best.mean() / 4)


@right("14.4", how="with gather and roll")
class section:
    def is_detector(chosen, measured, rival):
        n = chosen.shape[1]
        at = chosen.max(dim=1, keepdim=True).indices
        best = measured.gather(1, at).squeeze(1)
        opposite = measured.roll(n // 2, 1).gather(1, at).squeeze(1)
        bounds = torch.stack([1.5 * rival.max(dim=1).values, 2 * opposite, (best.mean() * 0.25).expand_as(best)])
        return (best[None] > bounds).all(0)


@right("14.4", how="unit by unit")
class section:
    def is_detector(chosen, measured, rival):
        n = chosen.shape[1]
        best = [float(m[int(c.argmax())]) for c, m in zip(chosen, measured)]
        found = []
        for u in range(len(chosen)):
            against = float(measured[u, (int(chosen[u].argmax()) + n // 2) % n])
            b = best[u]
            found.append(b > 1.5 * float(max(rival[u])) and b > 2 * against and b > 0.25 * sum(best) / len(best))
        return found


# --- 14.5 -----------------------------------------------------------------------------------------------------------


@mistake("14.5", says="You average over images first")
class section:
    """The trap of means."""

    def polarity(model, layer, patterns, contrast):
        both = torch.stack(
            [
                middle(model, layer, paint(patterns, torch.full((len(patterns),), c), WHITE))
                for c in (contrast, -contrast)
            ]
        )
        less, more = (both.mean(1).amin(0), both.mean(1).amax(0))
        return torch.where(more > 0, less / more, torch.zeros_like(more))

    def colour_blind(model, layer, patterns, contrast, colours):
        means = torch.stack([middle(model, layer, paint(patterns, contrast, c)).mean(0) for c in colours])
        less, more = (means.amin(0), means.amax(0))
        return torch.where(more > 0, less / more, torch.zeros_like(more))


@mistake("14.5", says="You average ratios")
class section:
    """A mean of quotients."""

    def polarity(model, layer, patterns, contrast):
        both = torch.stack(
            [
                middle(model, layer, paint(patterns, torch.full((len(patterns),), c), WHITE))
                for c in (contrast, -contrast)
            ]
        )
        return (both.amin(0) / both.amax(0).clamp(min=1e-30)).mean(0)

    def colour_blind(model, layer, patterns, contrast, colours):
        means = torch.stack([middle(model, layer, paint(patterns, contrast, c)).mean(0) for c in colours])
        less, more = (means.amin(0), means.amax(0))
        return torch.where(more > 0, less / more, torch.zeros_like(more))


@mistake("14.5", says="Which of them is the smaller differs")
class section:
    """minus over plus."""

    def polarity(model, layer, patterns, contrast):
        both = torch.stack(
            [
                middle(model, layer, paint(patterns, torch.full((len(patterns),), c), WHITE))
                for c in (contrast, -contrast)
            ]
        )
        less, more = (both[1].mean(0), both[0].mean(0))
        return torch.where(more > 0, less / more, torch.zeros_like(more))

    def colour_blind(model, layer, patterns, contrast, colours):
        means = torch.stack([middle(model, layer, paint(patterns, contrast, c)).mean(0) for c in colours])
        less, more = (means.amin(0), means.amax(0))
        return torch.where(more > 0, less / more, torch.zeros_like(more))


@mistake("14.5", says="This is how much the unit minds")
class section:
    """One minus it."""

    def polarity(model, layer, patterns, contrast):
        both = torch.stack(
            [
                middle(model, layer, paint(patterns, torch.full((len(patterns),), c), WHITE))
                for c in (contrast, -contrast)
            ]
        )
        less, more = (both.amin(0).mean(0), both.amax(0).mean(0))
        return torch.where(more > 0, 1 - less / more, torch.zeros_like(more))

    def colour_blind(model, layer, patterns, contrast, colours):
        means = torch.stack([middle(model, layer, paint(patterns, contrast, c)).mean(0) for c in colours])
        less, more = (means.amin(0), means.amax(0))
        return torch.where(more > 0, less / more, torch.zeros_like(more))


@mistake("14.5", says="You take the least and the largest colour image by image")
class section:
    """Too strict."""

    def polarity(model, layer, patterns, contrast):
        both = torch.stack(
            [
                middle(model, layer, paint(patterns, torch.full((len(patterns),), c), WHITE))
                for c in (contrast, -contrast)
            ]
        )
        less, more = (both.amin(0).mean(0), both.amax(0).mean(0))
        return torch.where(more > 0, less / more, torch.zeros_like(more))

    def colour_blind(model, layer, patterns, contrast, colours):
        means = torch.stack([middle(model, layer, paint(patterns, contrast, c)) for c in colours])
        less, more = (means.amin(0).mean(0), means.amax(0).mean(0))
        return torch.where(more > 0, less / more, torch.zeros_like(more))


@mistake("14.5", says="You divide by the response to white")
class section:
    """The first colour."""

    def polarity(model, layer, patterns, contrast):
        both = torch.stack(
            [
                middle(model, layer, paint(patterns, torch.full((len(patterns),), c), WHITE))
                for c in (contrast, -contrast)
            ]
        )
        less, more = (both.amin(0).mean(0), both.amax(0).mean(0))
        return torch.where(more > 0, less / more, torch.zeros_like(more))

    def colour_blind(model, layer, patterns, contrast, colours):
        means = torch.stack([middle(model, layer, paint(patterns, contrast, c)).mean(0) for c in colours])
        less, more = (means.amin(0), means[0])
        return torch.where(more > 0, less / more, torch.zeros_like(more))


@mistake("14.5", says="You divide by the mean over colours")
class section:
    """mean for amax."""

    def polarity(model, layer, patterns, contrast):
        both = torch.stack(
            [
                middle(model, layer, paint(patterns, torch.full((len(patterns),), c), WHITE))
                for c in (contrast, -contrast)
            ]
        )
        less, more = (both.amin(0).mean(0), both.amax(0).mean(0))
        return torch.where(more > 0, less / more, torch.zeros_like(more))

    def colour_blind(model, layer, patterns, contrast, colours):
        means = torch.stack([middle(model, layer, paint(patterns, contrast, c)).mean(0) for c in colours])
        less, more = (means.amin(0), means.mean(0))
        return torch.where(more > 0, less / more, torch.zeros_like(more))


@mistake("14.5", says="NaN")
class section:
    """Silent units."""

    def polarity(model, layer, patterns, contrast):
        both = torch.stack(
            [
                middle(model, layer, paint(patterns, torch.full((len(patterns),), c), WHITE))
                for c in (contrast, -contrast)
            ]
        )
        less, more = (both.amin(0).mean(0), both.amax(0).mean(0))
        return less / more

    def colour_blind(model, layer, patterns, contrast, colours):
        means = torch.stack([middle(model, layer, paint(patterns, contrast, c)).mean(0) for c in colours])
        less, more = (means.amin(0), means.amax(0))
        return less / more


@right("14.5", how="in one batch each")
class section:
    def polarity(model, layer, patterns, contrast):
        n = len(patterns)
        strengths = torch.tensor([contrast] * n + [-contrast] * n)
        a, b = middle(model, layer, paint(patterns.repeat(2, 1, 1), strengths, WHITE)).double().chunk(2)
        total, gap = (a + b).sum(0), (a - b).abs().sum(0)
        return torch.nan_to_num((total - gap) / (total + gap), nan=0.0)

    def colour_blind(model, layer, patterns, contrast, colours):
        low = high = None
        for colour in colours:
            mean = middle(model, layer, paint(patterns, contrast, colour)).double().mean(0)
            low = mean if low is None else torch.minimum(low, mean)
            high = mean if high is None else torch.maximum(high, mean)
        return low / torch.where(high > 0, high, torch.ones_like(high))


@right("14.5", how="image by image")
class section:
    def polarity(model, layer, patterns, contrast):
        less = more = 0.0
        for one in patterns:
            a, b = (middle(model, layer, paint(one[None], torch.tensor([c]), WHITE))[0] for c in (contrast, -contrast))
            less, more = less + torch.minimum(a, b), more + torch.maximum(a, b)
        return less / more.clamp(min=1e-20)

    def colour_blind(model, layer, patterns, contrast, colours):
        means = [
            sum(middle(model, layer, paint(p[None], contrast[i : i + 1], c))[0] for i, p in enumerate(patterns))
            for c in colours
        ]
        means = torch.stack(means).numpy()
        top = means.max(axis=0)
        return [float(a / b) if b > 0 else 0.0 for a, b in zip(means.min(axis=0), top)]


# --- 14.6 -----------------------------------------------------------------------------------------------------------


@mistake("14.6", says="You subtract as on a ruler")
class section:
    """No circle."""

    def apart(a, b):
        return (a - b).abs()

    def covered(angles, count):
        nearest = (angles / (2 * math.pi) * count).round().long() % count
        return torch.bincount(nearest, minlength=count)

    def has_mirror(angles, within):
        far = apart(angles[:, None], angles[None, :] + math.pi)
        return (far <= within).any(1)


@mistake("14.6", says="Half a turn is the farthest")
class section:
    """One way round."""

    def apart(a, b):
        return (a - b) % (2 * math.pi)

    def covered(angles, count):
        nearest = (angles / (2 * math.pi) * count).round().long() % count
        return torch.bincount(nearest, minlength=count)

    def has_mirror(angles, within):
        far = apart(angles[:, None], angles[None, :] + math.pi)
        return (far <= within).any(1)


@mistake("14.6", says="You take angles modulo π")
class section:
    """Orientations for directions."""

    def apart(a, b):
        turn = (a - b) % math.pi
        return torch.minimum(turn, math.pi - turn)

    def covered(angles, count):
        nearest = (angles / (2 * math.pi) * count).round().long() % count
        return torch.bincount(nearest, minlength=count)

    def has_mirror(angles, within):
        far = apart(angles[:, None], angles[None, :] + math.pi)
        return (far <= within).any(1)


@mistake("14.6", says="Take the difference modulo 2π first")
class section:
    """Within one turn."""

    def apart(a, b):
        turn = (a - b).abs()
        return torch.minimum(turn, 2 * math.pi - turn)

    def covered(angles, count):
        nearest = (angles / (2 * math.pi) * count).round().long() % count
        return torch.bincount(nearest, minlength=count)

    def has_mirror(angles, within):
        far = apart(angles[:, None], angles[None, :] + math.pi)
        return (far <= within).any(1)


@mistake("14.6", says="You round down")
class section:
    """Truncated."""

    def apart(a, b):
        turn = (a - b) % (2 * math.pi)
        return torch.minimum(turn, 2 * math.pi - turn)

    def covered(angles, count):
        nearest = (angles / (2 * math.pi) * count).long() % count
        return torch.bincount(nearest, minlength=count)

    def has_mirror(angles, within):
        far = apart(angles[:, None], angles[None, :] + math.pi)
        return (far <= within).any(1)


@mistake("14.6", says="take the number modulo count")
class section:
    """One direction too many."""

    def apart(a, b):
        turn = (a - b) % (2 * math.pi)
        return torch.minimum(turn, 2 * math.pi - turn)

    def covered(angles, count):
        nearest = (angles / (2 * math.pi) * count).round().long()
        return torch.bincount(nearest, minlength=count)[:count]

    def has_mirror(angles, within):
        far = apart(angles[:, None], angles[None, :] + math.pi)
        return (far <= within).any(1)


@mistake("14.6", says="Say how many")
class section:
    """Yes or no."""

    def apart(a, b):
        turn = (a - b) % (2 * math.pi)
        return torch.minimum(turn, 2 * math.pi - turn)

    def covered(angles, count):
        nearest = (angles / (2 * math.pi) * count).round().long() % count
        return (torch.bincount(nearest, minlength=count) > 0).long()

    def has_mirror(angles, within):
        far = apart(angles[:, None], angles[None, :] + math.pi)
        return (far <= within).any(1)


@mistake("14.6", says="A mirror image looks the opposite way")
class section:
    """Twins."""

    def apart(a, b):
        turn = (a - b) % (2 * math.pi)
        return torch.minimum(turn, 2 * math.pi - turn)

    def covered(angles, count):
        nearest = (angles / (2 * math.pi) * count).round().long() % count
        return torch.bincount(nearest, minlength=count)

    def has_mirror(angles, within):
        far = apart(angles[:, None], angles[None, :]) + 9 * torch.eye(len(angles))
        return (far <= within).any(1)


@mistake("14.6", says="Opposite is half a turn")
class section:
    """At right angles."""

    def apart(a, b):
        turn = (a - b) % (2 * math.pi)
        return torch.minimum(turn, 2 * math.pi - turn)

    def covered(angles, count):
        nearest = (angles / (2 * math.pi) * count).round().long() % count
        return torch.bincount(nearest, minlength=count)

    def has_mirror(angles, within):
        far = apart(angles[:, None], angles[None, :] - math.pi / 2)
        return (far <= within).any(1)


@mistake("14.6", says="`within` counts on either side")
class section:
    """Half as far."""

    def apart(a, b):
        turn = (a - b) % (2 * math.pi)
        return torch.minimum(turn, 2 * math.pi - turn)

    def covered(angles, count):
        nearest = (angles / (2 * math.pi) * count).round().long() % count
        return torch.bincount(nearest, minlength=count)

    def has_mirror(angles, within):
        far = apart(angles[:, None], angles[None, :] + math.pi)
        return (far <= within / 2).any(1)


@mistake("14.6", says="0 is next to 2π")
class section:
    """A ruler."""

    def apart(a, b):
        turn = (a - b) % (2 * math.pi)
        return torch.minimum(turn, 2 * math.pi - turn)

    def covered(angles, count):
        nearest = (angles / (2 * math.pi) * count).round().long() % count
        return torch.bincount(nearest, minlength=count)

    def has_mirror(angles, within):
        far = (angles[:, None] + math.pi - angles[None, :]).abs()
        return (far <= within).any(1)


@right("14.6", how="with cosines")
class section:
    def apart(a, b):
        return torch.atan2(torch.sin(a.double() - b.double()), torch.cos(a.double() - b.double())).abs()

    def covered(angles, count):
        rays = torch.arange(count) * 2 * math.pi / count
        nearest = torch.cos(angles[:, None] - rays).argmax(1)
        return [int((nearest == i).sum()) for i in range(count)]

    def has_mirror(angles, within):
        return (torch.cos(angles[:, None] + math.pi - angles) >= math.cos(within)).sum(1) > 0


@right("14.6", how="unit by unit")
class section:
    def apart(a, b):
        a, b = torch.broadcast_tensors(a, b)
        d = [abs(math.remainder(x - y, math.tau)) for x, y in zip(a.flatten().tolist(), b.flatten().tolist())]
        return torch.tensor(d).view(a.shape)

    def covered(angles, count):
        found = torch.zeros(count, dtype=torch.long)
        for a in angles.tolist():
            found[round(a / math.tau * count) % count] += 1
        return found

    def has_mirror(angles, within):
        return [
            any(abs(math.remainder(a + math.pi - b, math.tau)) <= within for b in angles.tolist())
            for a in angles.tolist()
        ]


# --- 14.7 -----------------------------------------------------------------------------------------------------------


@mistake("14.7", says="> 0, not ≥ 0")
class section:
    """Asleep counts."""

    def awake(maps):
        return (maps >= 0).float().mean((0, 2, 3))

    def contract(upper, lower, stride, open_):
        k, m = (upper.shape[-1], lower.shape[-1])
        K = (k - 1) * stride + m
        whole = torch.zeros(len(upper), lower.shape[1], K, K, dtype=upper.dtype)
        weighed = lower * open_[:, None, None, None]
        for i in range(k):
            for j in range(k):
                row, column = (i * stride, j * stride)
                step = torch.einsum("um,mbxy->ubxy", upper[:, :, i, j], weighed)
                whole[:, :, row : row + m, column : column + m] += step
        return whole


@mistake("14.7", says="This is the mean response")
class section:
    """Loudness."""

    def awake(maps):
        return maps.mean((0, 2, 3))

    def contract(upper, lower, stride, open_):
        k, m = (upper.shape[-1], lower.shape[-1])
        K = (k - 1) * stride + m
        whole = torch.zeros(len(upper), lower.shape[1], K, K, dtype=upper.dtype)
        weighed = lower * open_[:, None, None, None]
        for i in range(k):
            for j in range(k):
                row, column = (i * stride, j * stride)
                step = torch.einsum("um,mbxy->ubxy", upper[:, :, i, j], weighed)
                whole[:, :, row : row + m, column : column + m] += step
        return whole


@mistake("14.7", says="Count places too")
class section:
    """Anywhere in the image."""

    def awake(maps):
        return (maps > 0).flatten(2).any(2).float().mean(0)

    def contract(upper, lower, stride, open_):
        k, m = (upper.shape[-1], lower.shape[-1])
        K = (k - 1) * stride + m
        whole = torch.zeros(len(upper), lower.shape[1], K, K, dtype=upper.dtype)
        weighed = lower * open_[:, None, None, None]
        for i in range(k):
            for j in range(k):
                row, column = (i * stride, j * stride)
                step = torch.einsum("um,mbxy->ubxy", upper[:, :, i, j], weighed)
                whole[:, :, row : row + m, column : column + m] += step
        return whole


@mistake("14.7", says="The lower layer's stride is forgotten")
class section:
    """Stride 1 always."""

    def awake(maps):
        return (maps > 0).float().mean((0, 2, 3))

    def contract(upper, lower, stride, open_):
        k, m = (upper.shape[-1], lower.shape[-1])
        stride = 1
        K = (k - 1) * stride + m
        whole = torch.zeros(len(upper), lower.shape[1], K, K, dtype=upper.dtype)
        weighed = lower * open_[:, None, None, None]
        for i in range(k):
            for j in range(k):
                row, column = (i * stride, j * stride)
                step = torch.einsum("um,mbxy->ubxy", upper[:, :, i, j], weighed)
                whole[:, :, row : row + m, column : column + m] += step
        return whole


@mistake("14.7", says="The upper kernel is flipped")
class section:
    """A true convolution."""

    def awake(maps):
        return (maps > 0).float().mean((0, 2, 3))

    def contract(upper, lower, stride, open_):
        k, m = (upper.shape[-1], lower.shape[-1])
        K = (k - 1) * stride + m
        whole = torch.zeros(len(upper), lower.shape[1], K, K, dtype=upper.dtype)
        weighed = lower * open_[:, None, None, None]
        for i in range(k):
            for j in range(k):
                row, column = (i * stride, j * stride)
                step = torch.einsum("um,mbxy->ubxy", upper[:, :, k - 1 - i, k - 1 - j], weighed)
                whole[:, :, row : row + m, column : column + m] += step
        return whole


@mistake("14.7", says="The lower kernel is flipped")
class section:
    """A true convolution below."""

    def awake(maps):
        return (maps > 0).float().mean((0, 2, 3))

    def contract(upper, lower, stride, open_):
        k, m = (upper.shape[-1], lower.shape[-1])
        K = (k - 1) * stride + m
        whole = torch.zeros(len(upper), lower.shape[1], K, K, dtype=upper.dtype)
        weighed = lower.flip(-1, -2) * open_[:, None, None, None]
        for i in range(k):
            for j in range(k):
                row, column = (i * stride, j * stride)
                step = torch.einsum("um,mbxy->ubxy", upper[:, :, i, j], weighed)
                whole[:, :, row : row + m, column : column + m] += step
        return whole


@mistake("14.7", says="at which its ReLU is open")
class section:
    """Every unit counts in full."""

    def awake(maps):
        return (maps > 0).float().mean((0, 2, 3))

    def contract(upper, lower, stride, open_):
        k, m = (upper.shape[-1], lower.shape[-1])
        K = (k - 1) * stride + m
        whole = torch.zeros(len(upper), lower.shape[1], K, K, dtype=upper.dtype)
        weighed = lower
        for i in range(k):
            for j in range(k):
                row, column = (i * stride, j * stride)
                step = torch.einsum("um,mbxy->ubxy", upper[:, :, i, j], weighed)
                whole[:, :, row : row + m, column : column + m] += step
        return whole


@mistake("14.7", says="You cut the share to 0 or 1")
class section:
    """Open or shut."""

    def awake(maps):
        return (maps > 0).float().mean((0, 2, 3))

    def contract(upper, lower, stride, open_):
        k, m = (upper.shape[-1], lower.shape[-1])
        K = (k - 1) * stride + m
        whole = torch.zeros(len(upper), lower.shape[1], K, K, dtype=upper.dtype)
        weighed = lower * (open_ > 0.5)[:, None, None, None]
        for i in range(k):
            for j in range(k):
                row, column = (i * stride, j * stride)
                step = torch.einsum("um,mbxy->ubxy", upper[:, :, i, j], weighed)
                whole[:, :, row : row + m, column : column + m] += step
        return whole


@mistake("14.7", says="You cut single weights off at 0")
class section:
    """A ReLU on weights."""

    def awake(maps):
        return (maps > 0).float().mean((0, 2, 3))

    def contract(upper, lower, stride, open_):
        k, m = (upper.shape[-1], lower.shape[-1])
        K = (k - 1) * stride + m
        whole = torch.zeros(len(upper), lower.shape[1], K, K, dtype=upper.dtype)
        weighed = lower.clamp(min=0) * open_[:, None, None, None]
        for i in range(k):
            for j in range(k):
                row, column = (i * stride, j * stride)
                step = torch.einsum("um,mbxy->ubxy", upper[:, :, i, j], weighed)
                whole[:, :, row : row + m, column : column + m] += step
        return whole


@mistake("14.7", says="The signs are gone")
class section:
    """Absolute weights."""

    def awake(maps):
        return (maps > 0).float().mean((0, 2, 3))

    def contract(upper, lower, stride, open_):
        k, m = (upper.shape[-1], lower.shape[-1])
        K = (k - 1) * stride + m
        whole = torch.zeros(len(upper), lower.shape[1], K, K, dtype=upper.dtype)
        weighed = lower * open_[:, None, None, None]
        for i in range(k):
            for j in range(k):
                row, column = (i * stride, j * stride)
                step = torch.einsum("um,mbxy->ubxy", upper[:, :, i, j].abs(), weighed.abs())
                whole[:, :, row : row + m, column : column + m] += step
        return whole


@right("14.7", how="with a transposed convolution")
class section:
    def awake(maps):
        return torch.count_nonzero(maps.clamp(min=0), dim=(0, 2, 3)) / maps[:, 0].numel()

    def contract(upper, lower, stride, open_):
        return torch.nn.functional.conv_transpose2d(upper * open_.view(1, -1, 1, 1), lower, stride=stride)


@right("14.7", how="by the gradient of a response")
class section:
    def awake(maps):
        return torch.stack([(maps[:, u] > 0).double().mean() for u in range(maps.shape[1])])

    def contract(upper, lower, stride, open_):
        size = (upper.shape[-1] - 1) * stride + lower.shape[-1]
        found = []
        for unit in upper:
            x = torch.zeros(1, lower.shape[1], size, size, dtype=upper.dtype, requires_grad=True)
            with torch.enable_grad():
                said = torch.nn.functional.conv2d(x, lower, stride=stride) * open_[:, None, None]
                (slope,) = torch.autograd.grad(torch.nn.functional.conv2d(said, unit[None]).sum(), x)
            found.append(slope[0])
        return torch.stack(found)


# --- 14.8 -----------------------------------------------------------------------------------------------------------


@mistake("14.8", says="The channels are updated with the OLD rows")
class section:
    """Both at once."""

    def update(table, rows, channels):
        new = rows * (table @ channels.T) / (rows @ channels @ channels.T + 1e-12)
        channels = channels * (rows.T @ table) / (rows.T @ rows @ channels + 1e-12)
        return (new, channels)

    def as_table(weights):
        both = torch.stack([weights.clamp(min=0), (-weights).clamp(min=0)])
        return both.permute(0, 1, 3, 4, 2).reshape(-1, weights.shape[1])

    def as_maps(rows, units, size):
        both = rows.T.reshape(-1, 2, units, size, size)
        return both[:, 0] - both[:, 1]


@mistake("14.8", says="The channels stay as they were")
class section:
    """Half a round."""

    def update(table, rows, channels):
        rows = rows * (table @ channels.T) / (rows @ channels @ channels.T + 1e-12)
        channels = channels * 1.0
        return (rows, channels)

    def as_table(weights):
        both = torch.stack([weights.clamp(min=0), (-weights).clamp(min=0)])
        return both.permute(0, 1, 3, 4, 2).reshape(-1, weights.shape[1])

    def as_maps(rows, units, size):
        both = rows.T.reshape(-1, 2, units, size, size)
        return both[:, 0] - both[:, 1]


@mistake("14.8", says="The divisor is missing")
class section:
    """A product."""

    def update(table, rows, channels):
        rows = rows * (table @ channels.T)
        channels = channels * (rows.T @ table) / (rows.T @ rows @ channels + 1e-12)
        return (rows, channels)

    def as_table(weights):
        both = torch.stack([weights.clamp(min=0), (-weights).clamp(min=0)])
        return both.permute(0, 1, 3, 4, 2).reshape(-1, weights.shape[1])

    def as_maps(rows, units, size):
        both = rows.T.reshape(-1, 2, units, size, size)
        return both[:, 0] - both[:, 1]


@mistake("14.8", says="The quotient is upside down")
class section:
    """Away from the table."""

    def update(table, rows, channels):
        rows = rows * (rows @ channels @ channels.T) / (table @ channels.T + 1e-12)
        channels = channels * (rows.T @ table) / (rows.T @ rows @ channels + 1e-12)
        return (rows, channels)

    def as_table(weights):
        both = torch.stack([weights.clamp(min=0), (-weights).clamp(min=0)])
        return both.permute(0, 1, 3, 4, 2).reshape(-1, weights.shape[1])

    def as_maps(rows, units, size):
        both = rows.T.reshape(-1, 2, units, size, size)
        return both[:, 0] - both[:, 1]


@mistake("14.8", says="You do not multiply by what was there")
class section:
    """The factor alone."""

    def update(table, rows, channels):
        rows = (table @ channels.T) / (rows @ channels @ channels.T + 1e-12)
        channels = channels * (rows.T @ table) / (rows.T @ rows @ channels + 1e-12)
        return (rows, channels)

    def as_table(weights):
        both = torch.stack([weights.clamp(min=0), (-weights).clamp(min=0)])
        return both.permute(0, 1, 3, 4, 2).reshape(-1, weights.shape[1])

    def as_maps(rows, units, size):
        both = rows.T.reshape(-1, 2, units, size, size)
        return both[:, 0] - both[:, 1]


@mistake("14.8", says="first the weights above 0")
class section:
    """Inhibition first."""

    def update(table, rows, channels):
        rows = rows * (table @ channels.T) / (rows @ channels @ channels.T + 1e-12)
        channels = channels * (rows.T @ table) / (rows.T @ rows @ channels + 1e-12)
        return (rows, channels)

    def as_table(weights):
        both = torch.stack([(-weights).clamp(min=0), weights.clamp(min=0)])
        return both.permute(0, 1, 3, 4, 2).reshape(-1, weights.shape[1])

    def as_maps(rows, units, size):
        both = rows.T.reshape(-1, 2, units, size, size)
        return both[:, 0] - both[:, 1]


@mistake("14.8", says="take their sign away")
class section:
    """Negative numbers."""

    def update(table, rows, channels):
        rows = rows * (table @ channels.T) / (rows @ channels @ channels.T + 1e-12)
        channels = channels * (rows.T @ table) / (rows.T @ rows @ channels + 1e-12)
        return (rows, channels)

    def as_table(weights):
        both = torch.stack([weights.clamp(min=0), weights.clamp(max=0)])
        return both.permute(0, 1, 3, 4, 2).reshape(-1, weights.shape[1])

    def as_maps(rows, units, size):
        both = rows.T.reshape(-1, 2, units, size, size)
        return both[:, 0] - both[:, 1]


@mistake("14.8", says="the weights below 0 need rows of their own")
class section:
    """Excitation alone."""

    def update(table, rows, channels):
        rows = rows * (table @ channels.T) / (rows @ channels @ channels.T + 1e-12)
        channels = channels * (rows.T @ table) / (rows.T @ rows @ channels + 1e-12)
        return (rows, channels)

    def as_table(weights):
        both = torch.stack([weights.clamp(min=0)])
        return both.permute(0, 1, 3, 4, 2).reshape(-1, weights.shape[1])

    def as_maps(rows, units, size):
        both = rows.T.reshape(-1, 2, units, size, size)
        return both[:, 0] - both[:, 1]


@mistake("14.8", says="excitation and inhibition are in one row")
class section:
    """Absolute values."""

    def update(table, rows, channels):
        rows = rows * (table @ channels.T) / (rows @ channels @ channels.T + 1e-12)
        channels = channels * (rows.T @ table) / (rows.T @ rows @ channels + 1e-12)
        return (rows, channels)

    def as_table(weights):
        both = torch.stack([weights.abs()])
        return both.permute(0, 1, 3, 4, 2).reshape(-1, weights.shape[1])

    def as_maps(rows, units, size):
        both = rows.T.reshape(-1, 2, units, size, size)
        return both[:, 0] - both[:, 1]


@mistake("14.8", says="channels and places are mixed")
class section:
    """reshape alone."""

    def update(table, rows, channels):
        rows = rows * (table @ channels.T) / (rows @ channels @ channels.T + 1e-12)
        channels = channels * (rows.T @ table) / (rows.T @ rows @ channels + 1e-12)
        return (rows, channels)

    def as_table(weights):
        both = torch.stack([weights.clamp(min=0), (-weights).clamp(min=0)])
        return both.reshape(-1, weights.shape[1])

    def as_maps(rows, units, size):
        both = rows.T.reshape(-1, 2, units, size, size)
        return both[:, 0] - both[:, 1]


@mistake("14.8", says="Inhibition is added")
class section:
    """A sum."""

    def update(table, rows, channels):
        rows = rows * (table @ channels.T) / (rows @ channels @ channels.T + 1e-12)
        channels = channels * (rows.T @ table) / (rows.T @ rows @ channels + 1e-12)
        return (rows, channels)

    def as_table(weights):
        both = torch.stack([weights.clamp(min=0), (-weights).clamp(min=0)])
        return both.permute(0, 1, 3, 4, 2).reshape(-1, weights.shape[1])

    def as_maps(rows, units, size):
        both = rows.T.reshape(-1, 2, units, size, size)
        return both[:, 0] + both[:, 1]


@mistake("14.8", says="excitation minus inhibition")
class section:
    """The wrong way round."""

    def update(table, rows, channels):
        rows = rows * (table @ channels.T) / (rows @ channels @ channels.T + 1e-12)
        channels = channels * (rows.T @ table) / (rows.T @ rows @ channels + 1e-12)
        return (rows, channels)

    def as_table(weights):
        both = torch.stack([weights.clamp(min=0), (-weights).clamp(min=0)])
        return both.permute(0, 1, 3, 4, 2).reshape(-1, weights.shape[1])

    def as_maps(rows, units, size):
        both = rows.T.reshape(-1, 2, units, size, size)
        return both[:, 1] - both[:, 0]


@mistake("14.8", says="Inhibition is left out")
class section:
    """Half of it."""

    def update(table, rows, channels):
        rows = rows * (table @ channels.T) / (rows @ channels @ channels.T + 1e-12)
        channels = channels * (rows.T @ table) / (rows.T @ rows @ channels + 1e-12)
        return (rows, channels)

    def as_table(weights):
        both = torch.stack([weights.clamp(min=0), (-weights).clamp(min=0)])
        return both.permute(0, 1, 3, 4, 2).reshape(-1, weights.shape[1])

    def as_maps(rows, units, size):
        both = rows.T.reshape(-1, 2, units, size, size)
        return both[:, 0]


@mistake("14.8", says="factors and places are mixed")
class section:
    """No transpose."""

    def update(table, rows, channels):
        rows = rows * (table @ channels.T) / (rows @ channels @ channels.T + 1e-12)
        channels = channels * (rows.T @ table) / (rows.T @ rows @ channels + 1e-12)
        return (rows, channels)

    def as_table(weights):
        both = torch.stack([weights.clamp(min=0), (-weights).clamp(min=0)])
        return both.permute(0, 1, 3, 4, 2).reshape(-1, weights.shape[1])

    def as_maps(rows, units, size):
        both = rows.reshape(rows.shape[1], 2, units, size, size)
        return both[:, 0] - both[:, 1]


@right("14.8", how="with einsum")
class section:
    def update(table, rows, channels):
        up = torch.einsum("rc,fc->rf", table, channels)
        down = torch.einsum("rg,gc,fc->rf", rows, channels, channels)
        rows = rows * up / (down + 1e-12)
        up, down = torch.einsum("rf,rc->fc", rows, table), torch.einsum("rf,rg,gc->fc", rows, rows, channels)
        return rows, channels * up / (down + 1e-12)

    def as_table(weights):
        last = torch.movedim(weights, 1, -1).flatten(0, 2)
        return torch.cat([torch.relu(last), torch.relu(-last)])

    def as_maps(rows, units, size):
        plus, minus = rows.chunk(2)
        return (plus - minus).unflatten(0, (units, size, size)).movedim(-1, 0)


@right("14.8", how="in numpy")
class section:
    def update(table, rows, channels):
        t, r, c = (x.numpy().astype("float64") for x in (table, rows, channels))
        r = r * (t @ c.T) / (r @ (c @ c.T) + 1e-12)
        c = c * (r.T @ t) / ((r.T @ r) @ c + 1e-12)
        return r, c

    def as_table(weights):
        w = weights.numpy().transpose(0, 2, 3, 1).reshape(-1, weights.shape[1])
        return torch.from_numpy(w.copy()).clamp(min=0).tolist() + torch.from_numpy(-w).clamp(min=0).tolist()

    def as_maps(rows, units, size):
        r = rows.numpy()
        half = len(r) // 2
        return (r[:half] - r[half:]).T.reshape(-1, units, size, size)


# --- 14.9 -----------------------------------------------------------------------------------------------------------


@mistake("14.9", says="the side of the LOW frequency")
class section:
    """Low minus high."""

    def pointing(high, low):
        scaled = [m / m.abs().sum((1, 2), keepdim=True) for m in (high, low)]
        lean = scaled[1] - scaled[0]
        at = torch.arange(high.shape[-1]) - (high.shape[-1] - 1) / 2
        x, y = (at[None, :], -at[:, None])
        return torch.atan2((lean * y).sum((1, 2)), (lean * x).sum((1, 2))) % (2 * math.pi)


@mistake("14.9", says="y runs up")
class section:
    """Rows run down."""

    def pointing(high, low):
        scaled = [m / m.abs().sum((1, 2), keepdim=True) for m in (high, low)]
        lean = scaled[0] - scaled[1]
        at = torch.arange(high.shape[-1]) - (high.shape[-1] - 1) / 2
        x, y = (at[None, :], at[:, None])
        return torch.atan2((lean * y).sum((1, 2)), (lean * x).sum((1, 2))) % (2 * math.pi)


@mistake("14.9", says="atan2 takes y first")
class section:
    """x first."""

    def pointing(high, low):
        scaled = [m / m.abs().sum((1, 2), keepdim=True) for m in (high, low)]
        lean = scaled[0] - scaled[1]
        at = torch.arange(high.shape[-1]) - (high.shape[-1] - 1) / 2
        x, y = (at[None, :], -at[:, None])
        return torch.atan2((lean * x).sum((1, 2)), (lean * y).sum((1, 2))) % (2 * math.pi)


@mistake("14.9", says="Some angles are below 0")
class section:
    """As atan2 gives them."""

    def pointing(high, low):
        scaled = [m / m.abs().sum((1, 2), keepdim=True) for m in (high, low)]
        lean = scaled[0] - scaled[1]
        at = torch.arange(high.shape[-1]) - (high.shape[-1] - 1) / 2
        x, y = (at[None, :], -at[:, None])
        return torch.atan2((lean * y).sum((1, 2)), (lean * x).sum((1, 2)))


@mistake("14.9", says="the louder factor decides alone")
class section:
    """No scaling."""

    def pointing(high, low):
        scaled = [high, low]
        lean = scaled[0] - scaled[1]
        at = torch.arange(high.shape[-1]) - (high.shape[-1] - 1) / 2
        x, y = (at[None, :], -at[:, None])
        return torch.atan2((lean * y).sum((1, 2)), (lean * x).sum((1, 2))) % (2 * math.pi)


@mistake("14.9", says="divide by the sum of ABSOLUTE values")
class section:
    """A sum that may be 0."""

    def pointing(high, low):
        scaled = [m / m.sum((1, 2), keepdim=True) for m in (high, low)]
        lean = scaled[0] - scaled[1]
        at = torch.arange(high.shape[-1]) - (high.shape[-1] - 1) / 2
        x, y = (at[None, :], -at[:, None])
        return torch.atan2((lean * y).sum((1, 2)), (lean * x).sum((1, 2))) % (2 * math.pi)


@mistake("14.9", says="You look at the high factor alone")
class section:
    """One factor."""

    def pointing(high, low):
        scaled = [m / m.abs().sum((1, 2), keepdim=True) for m in (high, low)]
        lean = scaled[0]
        at = torch.arange(high.shape[-1]) - (high.shape[-1] - 1) / 2
        x, y = (at[None, :], -at[:, None])
        return torch.atan2((lean * y).sum((1, 2)), (lean * x).sum((1, 2))) % (2 * math.pi)


@mistake("14.9", says="Subtract it: it is to be excited on the other side")
class section:
    """Added."""

    def pointing(high, low):
        scaled = [m / m.abs().sum((1, 2), keepdim=True) for m in (high, low)]
        lean = scaled[0] + scaled[1]
        at = torch.arange(high.shape[-1]) - (high.shape[-1] - 1) / 2
        x, y = (at[None, :], -at[:, None])
        return torch.atan2((lean * y).sum((1, 2)), (lean * x).sum((1, 2))) % (2 * math.pi)


@mistake("14.9", says="counted from the middle of the map")
class section:
    """From the corner."""

    def pointing(high, low):
        scaled = [m / m.abs().sum((1, 2), keepdim=True) for m in (high, low)]
        lean = scaled[0] - scaled[1]
        at = torch.arange(high.shape[-1])
        x, y = (at[None, :], -at[:, None])
        return torch.atan2((lean * y).sum((1, 2)), (lean * x).sum((1, 2))) % (2 * math.pi)


@right("14.9", how="with complex numbers")
class section:
    def pointing(high, low):
        n = high.shape[-1]
        c = torch.arange(n).double() - (n - 1) / 2
        place = torch.complex(c.expand(n, n), -c[:, None].expand(n, n)).flatten()
        h, w = high.flatten(1), low.flatten(1)
        lean = h / h.norm(p=1, dim=1, keepdim=True) - w / w.norm(p=1, dim=1, keepdim=True)
        return torch.remainder(torch.angle((lean.to(torch.complex128) * place).sum(1)), 2 * math.pi)


@right("14.9", how="place by place")
class section:
    def pointing(high, low):
        found = []
        n = high.shape[-1]
        for h, w in zip(high, low):
            right = up = 0.0
            for r in range(n):
                for c in range(n):
                    weight = float(h[r, c] / h.abs().sum() - w[r, c] / w.abs().sum())
                    right, up = right + weight * (c - (n - 1) / 2), up + weight * ((n - 1) / 2 - r)
            found.append(math.atan2(up, right) % math.tau)
        return found


# --- 14.10 ----------------------------------------------------------------------------------------------------------


@mistake("14.10", says="row 0 is the top row")
class section:
    """y runs down."""

    def gabor(frequency, orientation, phase, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], at[:, None])
        window = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        d = x * math.cos(orientation) + y * math.sin(orientation)
        wave = window * torch.cos(2 * math.pi * frequency * d + phase)
        wave = wave - window * wave.sum() / window.sum()
        return wave / wave.norm()

    def by_hand(is_high, angle, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        near = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        side = near * (x * math.cos(angle) + y * math.sin(angle)).clamp(-1, 1)
        weights = torch.where(is_high[:, None, None], side, -side)
        return (weights, -4.0)


@mistake("14.10", says="its stripes are at right angles to it")
class section:
    """Along the stripes."""

    def gabor(frequency, orientation, phase, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        window = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        d = y * math.cos(orientation) - x * math.sin(orientation)
        wave = window * torch.cos(2 * math.pi * frequency * d + phase)
        wave = wave - window * wave.sum() / window.sum()
        return wave / wave.norm()

    def by_hand(is_high, angle, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        near = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        side = near * (x * math.cos(angle) + y * math.sin(angle)).clamp(-1, 1)
        weights = torch.where(is_high[:, None, None], side, -side)
        return (weights, -4.0)


@mistake("14.10", says="multiply by 2π")
class section:
    """Radians for waves."""

    def gabor(frequency, orientation, phase, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        window = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        d = x * math.cos(orientation) + y * math.sin(orientation)
        wave = window * torch.cos(frequency * d + phase)
        wave = wave - window * wave.sum() / window.sum()
        return wave / wave.norm()

    def by_hand(is_high, angle, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        near = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        side = near * (x * math.cos(angle) + y * math.sin(angle)).clamp(-1, 1)
        weights = torch.where(is_high[:, None, None], side, -side)
        return (weights, -4.0)


@mistake("14.10", says="The Gaussian window is missing")
class section:
    """A grating."""

    def gabor(frequency, orientation, phase, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        window = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        d = x * math.cos(orientation) + y * math.sin(orientation)
        wave = torch.cos(2 * math.pi * frequency * d + phase)
        wave = wave - wave.mean()
        return wave / wave.norm()

    def by_hand(is_high, angle, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        near = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        side = near * (x * math.cos(angle) + y * math.sin(angle)).clamp(-1, 1)
        weights = torch.where(is_high[:, None, None], side, -side)
        return (weights, -4.0)


@mistake("14.10", says="the 2 is missing")
class section:
    """A narrower window."""

    def gabor(frequency, orientation, phase, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        window = torch.exp(-(x**2 + y**2) / (size / 4) ** 2)
        d = x * math.cos(orientation) + y * math.sin(orientation)
        wave = window * torch.cos(2 * math.pi * frequency * d + phase)
        wave = wave - window * wave.sum() / window.sum()
        return wave / wave.norm()

    def by_hand(is_high, angle, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        near = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        side = near * (x * math.cos(angle) + y * math.sin(angle)).clamp(-1, 1)
        weights = torch.where(is_high[:, None, None], side, -side)
        return (weights, -4.0)


@mistake("14.10", says="This is a sine")
class section:
    """The wrong phase."""

    def gabor(frequency, orientation, phase, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        window = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        d = x * math.cos(orientation) + y * math.sin(orientation)
        wave = window * torch.sin(2 * math.pi * frequency * d + phase)
        wave = wave - window * wave.sum() / window.sum()
        return wave / wave.norm()

    def by_hand(is_high, angle, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        near = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        side = near * (x * math.cos(angle) + y * math.sin(angle)).clamp(-1, 1)
        weights = torch.where(is_high[:, None, None], side, -side)
        return (weights, -4.0)


@mistake("14.10", says="it would answer to plain grey")
class section:
    """A mean that is not 0."""

    def gabor(frequency, orientation, phase, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        window = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        d = x * math.cos(orientation) + y * math.sin(orientation)
        wave = window * torch.cos(2 * math.pi * frequency * d + phase)
        return wave / wave.norm()

    def by_hand(is_high, angle, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        near = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        side = near * (x * math.cos(angle) + y * math.sin(angle)).clamp(-1, 1)
        weights = torch.where(is_high[:, None, None], side, -side)
        return (weights, -4.0)


@mistake("14.10", says="The filter's length is not 1")
class section:
    """As loud as it comes."""

    def gabor(frequency, orientation, phase, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        window = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        d = x * math.cos(orientation) + y * math.sin(orientation)
        wave = window * torch.cos(2 * math.pi * frequency * d + phase)
        return wave - window * wave.sum() / window.sum()

    def by_hand(is_high, angle, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        near = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        side = near * (x * math.cos(angle) + y * math.sin(angle)).clamp(-1, 1)
        weights = torch.where(is_high[:, None, None], side, -side)
        return (weights, -4.0)


@mistake("14.10", says="Subtract a share of the window")
class section:
    """A plateau where the window is 0."""

    def gabor(frequency, orientation, phase, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        window = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        d = x * math.cos(orientation) + y * math.sin(orientation)
        wave = window * torch.cos(2 * math.pi * frequency * d + phase)
        wave = wave - wave.mean()
        return wave / wave.norm()

    def by_hand(is_high, angle, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        near = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        side = near * (x * math.cos(angle) + y * math.sin(angle)).clamp(-1, 1)
        weights = torch.where(is_high[:, None, None], side, -side)
        return (weights, -4.0)


@mistake("14.10", says="It looks the opposite way")
class section:
    """High frequency on the other side."""

    def gabor(frequency, orientation, phase, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        window = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        d = x * math.cos(orientation) + y * math.sin(orientation)
        wave = window * torch.cos(2 * math.pi * frequency * d + phase)
        wave = wave - window * wave.sum() / window.sum()
        return wave / wave.norm()

    def by_hand(is_high, angle, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        near = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        side = near * (x * math.cos(angle) + y * math.sin(angle)).clamp(-1, 1)
        weights = torch.where(is_high[:, None, None], -side, side)
        return (weights, -4.0)


@mistake("14.10", says="to a sharp texture alone")
class section:
    """It only looks for high frequency."""

    def gabor(frequency, orientation, phase, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        window = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        d = x * math.cos(orientation) + y * math.sin(orientation)
        wave = window * torch.cos(2 * math.pi * frequency * d + phase)
        wave = wave - window * wave.sum() / window.sum()
        return wave / wave.norm()

    def by_hand(is_high, angle, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        near = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        side = near * (x * math.cos(angle) + y * math.sin(angle)).clamp(-1, 1)
        weights = torch.where(is_high[:, None, None], near, 0 * near)
        return (weights, -4.0)


@mistake("14.10", says="What one side gives, the other must take away")
class section:
    """Low everywhere, high on one side."""

    def gabor(frequency, orientation, phase, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        window = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        d = x * math.cos(orientation) + y * math.sin(orientation)
        wave = window * torch.cos(2 * math.pi * frequency * d + phase)
        wave = wave - window * wave.sum() / window.sum()
        return wave / wave.norm()

    def by_hand(is_high, angle, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        near = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        side = near * (x * math.cos(angle) + y * math.sin(angle)).clamp(-1, 1)
        weights = torch.where(is_high[:, None, None], side, near)
        return (weights, -4.0)


@mistake("14.10", says="Is its bias too far below 0")
class section:
    """Silent."""

    def gabor(frequency, orientation, phase, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        window = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        d = x * math.cos(orientation) + y * math.sin(orientation)
        wave = window * torch.cos(2 * math.pi * frequency * d + phase)
        wave = wave - window * wave.sum() / window.sum()
        return wave / wave.norm()

    def by_hand(is_high, angle, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        near = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        side = near * (x * math.cos(angle) + y * math.sin(angle)).clamp(-1, 1)
        weights = torch.where(is_high[:, None, None], side, -side)
        return (weights, -4000.0)


@mistake("14.10", says="says")
class section:
    """Excitation alone, on either side."""

    def gabor(frequency, orientation, phase, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        window = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        d = x * math.cos(orientation) + y * math.sin(orientation)
        wave = window * torch.cos(2 * math.pi * frequency * d + phase)
        wave = wave - window * wave.sum() / window.sum()
        return wave / wave.norm()

    def by_hand(is_high, angle, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        near = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        side = near * (x * math.cos(angle) + y * math.sin(angle)).clamp(-1, 1)
        weights = torch.where(is_high[:, None, None], side.clamp(min=0), (-side).clamp(min=0))
        return (weights, -4.0)


@right("14.10", how="a step without a window, and a larger bias")
class section:
    def gabor(frequency, orientation, phase, size):
        rows, columns = torch.meshgrid(torch.arange(size).double(), torch.arange(size).double(), indexing="ij")
        x, y = columns - (size - 1) / 2, (size - 1) / 2 - rows
        g = torch.exp(-0.5 * (x.square() + y.square()) * 16 / size**2)
        w = g * torch.cos(math.tau * frequency * (x * math.cos(orientation) + y * math.sin(orientation)) + phase)
        w = w - g * (w.mean() / g.mean())
        return w / w.square().sum().sqrt()

    def by_hand(is_high, angle, size):
        at = torch.arange(size).double() - (size - 1) / 2
        side = torch.sign(at[None, :] * math.cos(angle) - at[:, None] * math.sin(angle))
        sign = 2.0 * is_high.double() - 1
        return torch.einsum("c,xy->cxy", sign, side), torch.tensor(-10.0)


@right("14.10", how="louder")
class section:
    def gabor(frequency, orientation, phase, size):
        m = (size - 1) / 2
        g = torch.tensor(
            [
                [math.exp(-((c - m) ** 2 + (m - r) ** 2) / (2 * (size / 4) ** 2)) for c in range(size)]
                for r in range(size)
            ]
        )
        run = [
            [(c - m) * math.cos(orientation) + (m - r) * math.sin(orientation) for c in range(size)]
            for r in range(size)
        ]
        w = g * torch.cos(2 * math.pi * frequency * torch.tensor(run) + phase)
        w = w - g * w.sum() / g.sum()
        return (w / w.norm()).numpy()

    def by_hand(is_high, angle, size):
        m = (size - 1) / 2
        weights = torch.zeros(len(is_high), size, size)
        for r in range(size):
            for c in range(size):
                d = (c - m) * math.cos(angle) + (m - r) * math.sin(angle)
                weights[is_high, r, c] = 2 * math.tanh(d)
                weights[~is_high, r, c] = -2 * math.tanh(d)
        return weights, -16.0


# --- 14.11 ----------------------------------------------------------------------------------------------------------


@mistake("14.11", says="it may be 0, and need not")
class section:
    """0 for the mean."""

    def answers_without(model, layer, units, instead, images):

        def edit(activation):
            activation = activation.clone()
            activation[:, units] = 0.0
            return activation

        with model.edited({layer: edit}):
            return model.logits(images).argmax(1)

    def stand_ins(activity, family, seed):
        source = torch.Generator().manual_seed(seed)
        members, left = (family.nonzero()[:, 0].tolist(), (~family).nonzero()[:, 0].tolist())
        found = []
        for i in torch.randperm(len(members), generator=source).tolist():
            left.sort(key=lambda unit: abs(float(activity[unit] - activity[members[i]])))
            found.append(left.pop(int(torch.randint(min(3, len(left)), (1,), generator=source))))
        return torch.tensor(found)


@mistake("14.11", says="unit u gets instead[u]")
class section:
    """The first numbers."""

    def answers_without(model, layer, units, instead, images):

        def edit(activation):
            activation = activation.clone()
            activation[:, units] = instead[: len(units)][:, None, None]
            return activation

        with model.edited({layer: edit}):
            return model.logits(images).argmax(1)

    def stand_ins(activity, family, seed):
        source = torch.Generator().manual_seed(seed)
        members, left = (family.nonzero()[:, 0].tolist(), (~family).nonzero()[:, 0].tolist())
        found = []
        for i in torch.randperm(len(members), generator=source).tolist():
            left.sort(key=lambda unit: abs(float(activity[unit] - activity[members[i]])))
            found.append(left.pop(int(torch.randint(min(3, len(left)), (1,), generator=source))))
        return torch.tensor(found)


@mistake("14.11", says="You silence the units that are not named")
class section:
    """The others."""

    def answers_without(model, layer, units, instead, images):

        def edit(activation):
            activation = activation.clone()
            others = torch.tensor([u for u in range(activation.shape[1]) if u not in units.tolist()])
            activation[:, others] = instead[others][:, None, None]
            return activation

        with model.edited({layer: edit}):
            return model.logits(images).argmax(1)

    def stand_ins(activity, family, seed):
        source = torch.Generator().manual_seed(seed)
        members, left = (family.nonzero()[:, 0].tolist(), (~family).nonzero()[:, 0].tolist())
        found = []
        for i in torch.randperm(len(members), generator=source).tolist():
            left.sort(key=lambda unit: abs(float(activity[unit] - activity[members[i]])))
            found.append(left.pop(int(torch.randint(min(3, len(left)), (1,), generator=source))))
        return torch.tensor(found)


@mistake("14.11", says="It still tells what the unit saw")
class section:
    """Each image's own mean."""

    def answers_without(model, layer, units, instead, images):

        def edit(activation):
            activation = activation.clone()
            activation[:, units] = activation[:, units].mean((2, 3), keepdim=True)
            return activation

        with model.edited({layer: edit}):
            return model.logits(images).argmax(1)

    def stand_ins(activity, family, seed):
        source = torch.Generator().manual_seed(seed)
        members, left = (family.nonzero()[:, 0].tolist(), (~family).nonzero()[:, 0].tolist())
        found = []
        for i in torch.randperm(len(members), generator=source).tolist():
            left.sort(key=lambda unit: abs(float(activity[unit] - activity[members[i]])))
            found.append(left.pop(int(torch.randint(min(3, len(left)), (1,), generator=source))))
        return torch.tensor(found)


@mistake("14.11", says="You add `instead`")
class section:
    """+= for =."""

    def answers_without(model, layer, units, instead, images):

        def edit(activation):
            activation = activation.clone()
            activation[:, units] += instead[units][:, None, None]
            return activation

        with model.edited({layer: edit}):
            return model.logits(images).argmax(1)

    def stand_ins(activity, family, seed):
        source = torch.Generator().manual_seed(seed)
        members, left = (family.nonzero()[:, 0].tolist(), (~family).nonzero()[:, 0].tolist())
        found = []
        for i in torch.randperm(len(members), generator=source).tolist():
            left.sort(key=lambda unit: abs(float(activity[unit] - activity[members[i]])))
            found.append(left.pop(int(torch.randint(min(3, len(left)), (1,), generator=source))))
        return torch.tensor(found)


@mistake("14.11", says="You change the place in the middle alone")
class section:
    """One place."""

    def answers_without(model, layer, units, instead, images):

        def edit(activation):
            activation = activation.clone()
            activation[:, units, activation.shape[2] // 2, activation.shape[3] // 2] = instead[units]
            return activation

        with model.edited({layer: edit}):
            return model.logits(images).argmax(1)

    def stand_ins(activity, family, seed):
        source = torch.Generator().manual_seed(seed)
        members, left = (family.nonzero()[:, 0].tolist(), (~family).nonzero()[:, 0].tolist())
        found = []
        for i in torch.randperm(len(members), generator=source).tolist():
            left.sort(key=lambda unit: abs(float(activity[unit] - activity[members[i]])))
            found.append(left.pop(int(torch.randint(min(3, len(left)), (1,), generator=source))))
        return torch.tensor(found)


@mistake("14.11", says="these are the answers of the whole network")
class section:
    """The edit is over when the answers come."""

    def answers_without(model, layer, units, instead, images):

        def edit(activation):
            activation = activation.clone()
            activation[:, units] = instead[units][:, None, None]
            return activation

        with model.edited({layer: edit}):
            pass
        return model.logits(images).argmax(1)

    def stand_ins(activity, family, seed):
        source = torch.Generator().manual_seed(seed)
        members, left = (family.nonzero()[:, 0].tolist(), (~family).nonzero()[:, 0].tolist())
        found = []
        for i in torch.randperm(len(members), generator=source).tolist():
            left.sort(key=lambda unit: abs(float(activity[unit] - activity[members[i]])))
            found.append(left.pop(int(torch.randint(min(3, len(left)), (1,), generator=source))))
        return torch.tensor(found)


@mistake("14.11", says="LEAST score")
class section:
    """argmin."""

    def answers_without(model, layer, units, instead, images):

        def edit(activation):
            activation = activation.clone()
            activation[:, units] = instead[units][:, None, None]
            return activation

        with model.edited({layer: edit}):
            return model.logits(images).argmin(1)

    def stand_ins(activity, family, seed):
        source = torch.Generator().manual_seed(seed)
        members, left = (family.nonzero()[:, 0].tolist(), (~family).nonzero()[:, 0].tolist())
        found = []
        for i in torch.randperm(len(members), generator=source).tolist():
            left.sort(key=lambda unit: abs(float(activity[unit] - activity[members[i]])))
            found.append(left.pop(int(torch.randint(min(3, len(left)), (1,), generator=source))))
        return torch.tensor(found)


@mistake("14.11", says="You draw among all others")
class section:
    """Whatever they say."""

    def answers_without(model, layer, units, instead, images):

        def edit(activation):
            activation = activation.clone()
            activation[:, units] = instead[units][:, None, None]
            return activation

        with model.edited({layer: edit}):
            return model.logits(images).argmax(1)

    def stand_ins(activity, family, seed):
        source = torch.Generator().manual_seed(seed)
        members, left = (family.nonzero()[:, 0].tolist(), (~family).nonzero()[:, 0].tolist())
        found = []
        for i in torch.randperm(len(members), generator=source).tolist():
            left.sort(key=lambda unit: abs(float(activity[unit] - activity[members[i]])))
            found.append(left.pop(int(torch.randint(len(left), (1,), generator=source))))
        return torch.tensor(found)


@mistake("14.11", says="Take it away once it is drawn")
class section:
    """The same one twice."""

    def answers_without(model, layer, units, instead, images):

        def edit(activation):
            activation = activation.clone()
            activation[:, units] = instead[units][:, None, None]
            return activation

        with model.edited({layer: edit}):
            return model.logits(images).argmax(1)

    def stand_ins(activity, family, seed):
        source = torch.Generator().manual_seed(seed)
        members, left = (family.nonzero()[:, 0].tolist(), (~family).nonzero()[:, 0].tolist())
        found = []
        for i in torch.randperm(len(members), generator=source).tolist():
            left.sort(key=lambda unit: abs(float(activity[unit] - activity[members[i]])))
            found.append(left.__getitem__(int(torch.randint(min(3, len(left)), (1,), generator=source))))
        return torch.tensor(found)


@mistake("14.11", says="You drew a member of the family")
class section:
    """Anybody."""

    def answers_without(model, layer, units, instead, images):

        def edit(activation):
            activation = activation.clone()
            activation[:, units] = instead[units][:, None, None]
            return activation

        with model.edited({layer: edit}):
            return model.logits(images).argmax(1)

    def stand_ins(activity, family, seed):
        source = torch.Generator().manual_seed(seed)
        members, left = (family.nonzero()[:, 0].tolist(), list(range(len(family))))
        found = []
        for i in torch.randperm(len(members), generator=source).tolist():
            left.sort(key=lambda unit: abs(float(activity[unit] - activity[members[i]])))
            found.append(left.pop(int(torch.randint(min(3, len(left)), (1,), generator=source))))
        return torch.tensor(found)


@mistake("14.11", says="Every seed gave the same units")
class section:
    """The nearest one."""

    def answers_without(model, layer, units, instead, images):

        def edit(activation):
            activation = activation.clone()
            activation[:, units] = instead[units][:, None, None]
            return activation

        with model.edited({layer: edit}):
            return model.logits(images).argmax(1)

    def stand_ins(activity, family, seed):
        source = torch.Generator().manual_seed(seed)
        members, left = (family.nonzero()[:, 0].tolist(), (~family).nonzero()[:, 0].tolist())
        found = []
        for i in range(len(members)):
            left.sort(key=lambda unit: abs(float(activity[unit] - activity[members[i]])))
            found.append(left.pop(0))
        return torch.tensor(found)


@mistake("14.11", says="Each of the THREE nearest")
class section:
    """One too many to draw from."""

    def answers_without(model, layer, units, instead, images):

        def edit(activation):
            activation = activation.clone()
            activation[:, units] = instead[units][:, None, None]
            return activation

        with model.edited({layer: edit}):
            return model.logits(images).argmax(1)

    def stand_ins(activity, family, seed):
        source = torch.Generator().manual_seed(seed)
        members, left = (family.nonzero()[:, 0].tolist(), (~family).nonzero()[:, 0].tolist())
        found = []
        for i in range(len(members)):
            left.sort(key=lambda unit: abs(float(activity[unit] - activity[members[i]])))
            found.append(left.pop(int(torch.randint(min(4, len(left)), (1,), generator=source))))
        return torch.tensor(found)


@mistake("14.11", says="give the generator the seed")
class section:
    """Other units each time."""

    def answers_without(model, layer, units, instead, images):

        def edit(activation):
            activation = activation.clone()
            activation[:, units] = instead[units][:, None, None]
            return activation

        with model.edited({layer: edit}):
            return model.logits(images).argmax(1)

    def stand_ins(activity, family, seed):
        source = None
        members, left = (family.nonzero()[:, 0].tolist(), (~family).nonzero()[:, 0].tolist())
        found = []
        for i in torch.randperm(len(members), generator=source).tolist():
            left.sort(key=lambda unit: abs(float(activity[unit] - activity[members[i]])))
            found.append(left.pop(int(torch.randint(min(3, len(left)), (1,), generator=source))))
        return torch.tensor(found)


@right("14.11", how="with torch.where and numpy's generator")
class section:
    def answers_without(model, layer, units, instead, images):
        def edit(x):
            named = torch.zeros(x.shape[1], dtype=torch.bool)
            named[units] = True
            return torch.where(named[None, :, None, None], instead[None, :, None, None].to(x.dtype), x)

        with model.edited({layer: edit}):
            scores = model.logits(images)
        return scores.max(dim=1).indices

    def stand_ins(activity, family, seed):
        import random

        source = random.Random(seed)
        members = [i for i, f in enumerate(family.tolist()) if f]
        left = [i for i, f in enumerate(family.tolist()) if not f]
        source.shuffle(members)
        found = []
        for i in members:
            near = sorted(left, key=lambda u: abs(float(activity[u]) - float(activity[i])))[:3]
            found.append(source.choice(near))
            left.remove(found[-1])
        return found


@right("14.11", how="image by image")
class section:
    def answers_without(model, layer, units, instead, images):
        found = []
        for image in images:

            def edit(x):
                x = x.clone()
                for u in units.tolist():
                    x[:, u] = float(instead[u])
                return x

            with model.edited({layer: edit}):
                found.append(int(model(image[None])[0].argmax()))
        return torch.tensor(found)

    def stand_ins(activity, family, seed):
        source = torch.Generator().manual_seed(1000 + seed)
        free = ~family
        found = []
        members = family.nonzero().flatten()
        for i in members[torch.randperm(len(members), generator=source)]:
            gap = torch.where(free, (activity - activity[i]).abs(), torch.tensor(float("inf")))
            near = gap.argsort(stable=True)[: min(3, int(free.sum()))]
            unit = near[torch.randint(len(near), (1,), generator=source)]
            free[unit] = False
            found.append(unit)
        return torch.cat(found).sort().values


# --- 14.12 ----------------------------------------------------------------------------------------------------------


@mistake("14.12", says="you name are none")
class section:
    """Nothing about rivals."""

    def find_family(model, layer, images, classes, kinds):
        n, count = (32, 16)
        contrast = 0.125 * (torch.arange(n) % 2 * 2 - 1)
        curves = []
        for seed in (0, 10):
            sharp, blurred = (tuning.sharp(n, 33, seed), tuning.blurred(n, 33, seed + 1))
            curves.append(by_angle(model, layer, sharp, blurred, contrast, count))
        rival = rivals(model, layer, tuning.sharp(n, 33, 20), tuning.blurred(n, 33, 21), contrast, count, COLOURS)
        family = is_detector(*curves, 0 * rival)
        angle = (curves[0] + curves[1]).argmax(1) * 2 * math.pi / count
        if not family.any():
            return (family, angle, [])
        activity = model.run(images, [layer])[layer].mean((0, 2, 3))

        def right(units):
            said = answers_without(model, layer, units, torch.zeros_like(activity), images) == classes
            return torch.stack([said[kinds == k].float().mean() for k in range(int(kinds.max()) + 1)])

        without = right(family.nonzero()[:, 0])
        beside = torch.stack([right(stand_ins(activity, family, seed)) for seed in range(5)]).mean(0)
        return (family, angle, (beside - without > 0.25).nonzero()[:, 0].tolist())


@mistake("14.12", says="are missing")
class section:
    """Half of the circle."""

    def find_family(model, layer, images, classes, kinds):
        n, count = (32, 16)
        contrast = 0.125 * (torch.arange(n) % 2 * 2 - 1)
        curves = []
        for seed in (0, 10):
            sharp, blurred = (tuning.sharp(n, 33, seed), tuning.blurred(n, 33, seed + 1))
            curves.append(by_angle(model, layer, sharp, blurred, contrast, count))
        rival = rivals(model, layer, tuning.sharp(n, 33, 20), tuning.blurred(n, 33, 21), contrast, count, COLOURS)
        family = is_detector(*curves, rival) & (curves[0].argmax(1) < 8)
        angle = (curves[0] + curves[1]).argmax(1) * 2 * math.pi / count
        if not family.any():
            return (family, angle, [])
        activity = model.run(images, [layer])[layer].mean((0, 2, 3))

        def right(units):
            said = answers_without(model, layer, units, torch.zeros_like(activity), images) == classes
            return torch.stack([said[kinds == k].float().mean() for k in range(int(kinds.max()) + 1)])

        without = right(family.nonzero()[:, 0])
        beside = torch.stack([right(stand_ins(activity, family, seed)) for seed in range(5)]).mean(0)
        return (family, angle, (beside - without > 0.25).nonzero()[:, 0].tolist())


@mistake("14.12", says="point to the blurred side")
class section:
    """The blurred side."""

    def find_family(model, layer, images, classes, kinds):
        n, count = (32, 16)
        contrast = 0.125 * (torch.arange(n) % 2 * 2 - 1)
        curves = []
        for seed in (0, 10):
            blurred, sharp = (tuning.sharp(n, 33, seed), tuning.blurred(n, 33, seed + 1))
            curves.append(by_angle(model, layer, sharp, blurred, contrast, count))
        rival = rivals(model, layer, tuning.sharp(n, 33, 20), tuning.blurred(n, 33, 21), contrast, count, COLOURS)
        family = is_detector(*curves, rival)
        angle = (curves[0] + curves[1]).argmax(1) * 2 * math.pi / count
        if not family.any():
            return (family, angle, [])
        activity = model.run(images, [layer])[layer].mean((0, 2, 3))

        def right(units):
            said = answers_without(model, layer, units, torch.zeros_like(activity), images) == classes
            return torch.stack([said[kinds == k].float().mean() for k in range(int(kinds.max()) + 1)])

        without = right(family.nonzero()[:, 0])
        beside = torch.stack([right(stand_ins(activity, family, seed)) for seed in range(5)]).mean(0)
        return (family, angle, (beside - without > 0.25).nonzero()[:, 0].tolist())


@mistake("14.12", says="suffer too")
class section:
    """No claim at all."""

    def find_family(model, layer, images, classes, kinds):
        n, count = (32, 16)
        contrast = 0.125 * (torch.arange(n) % 2 * 2 - 1)
        curves = []
        for seed in (0, 10):
            sharp, blurred = (tuning.sharp(n, 33, seed), tuning.blurred(n, 33, seed + 1))
            curves.append(by_angle(model, layer, sharp, blurred, contrast, count))
        rival = rivals(model, layer, tuning.sharp(n, 33, 20), tuning.blurred(n, 33, 21), contrast, count, COLOURS)
        family = is_detector(*curves, rival)
        angle = (curves[0] + curves[1]).argmax(1) * 2 * math.pi / count
        if not family.any():
            return (family, angle, [])
        activity = model.run(images, [layer])[layer].mean((0, 2, 3))

        def right(units):
            said = answers_without(model, layer, units, torch.zeros_like(activity), images) == classes
            return torch.stack([said[kinds == k].float().mean() for k in range(int(kinds.max()) + 1)])

        without = right(family.nonzero()[:, 0])
        beside = torch.stack([right(stand_ins(activity, family, seed)) for seed in range(5)]).mean(0)
        return (family, angle, [])


@mistake("14.12", says="that is not enough")
class section:
    """Everything suffers."""

    def find_family(model, layer, images, classes, kinds):
        n, count = (32, 16)
        contrast = 0.125 * (torch.arange(n) % 2 * 2 - 1)
        curves = []
        for seed in (0, 10):
            sharp, blurred = (tuning.sharp(n, 33, seed), tuning.blurred(n, 33, seed + 1))
            curves.append(by_angle(model, layer, sharp, blurred, contrast, count))
        rival = rivals(model, layer, tuning.sharp(n, 33, 20), tuning.blurred(n, 33, 21), contrast, count, COLOURS)
        family = is_detector(*curves, rival)
        angle = (curves[0] + curves[1]).argmax(1) * 2 * math.pi / count
        if not family.any():
            return (family, angle, [])
        activity = model.run(images, [layer])[layer].mean((0, 2, 3))

        def right(units):
            said = answers_without(model, layer, units, torch.zeros_like(activity), images) == classes
            return torch.stack([said[kinds == k].float().mean() for k in range(int(kinds.max()) + 1)])

        without = right(family.nonzero()[:, 0])
        beside = torch.stack([right(stand_ins(activity, family, seed)) for seed in range(5)]).mean(0)
        return (family, angle, list(range(6)))


@mistake("14.12", says="There is no family, and you say that scenes suffer")
class section:
    """A claim without a family."""

    def find_family(model, layer, images, classes, kinds):
        n, count = (32, 16)
        contrast = 0.125 * (torch.arange(n) % 2 * 2 - 1)
        curves = []
        for seed in (0, 10):
            sharp, blurred = (tuning.sharp(n, 33, seed), tuning.blurred(n, 33, seed + 1))
            curves.append(by_angle(model, layer, sharp, blurred, contrast, count))
        rival = rivals(model, layer, tuning.sharp(n, 33, 20), tuning.blurred(n, 33, 21), contrast, count, COLOURS)
        family = is_detector(*curves, rival)
        angle = (curves[0] + curves[1]).argmax(1) * 2 * math.pi / count
        if not family.any():
            return (family, angle, [0, 1])
        activity = model.run(images, [layer])[layer].mean((0, 2, 3))

        def right(units):
            said = answers_without(model, layer, units, torch.zeros_like(activity), images) == classes
            return torch.stack([said[kinds == k].float().mean() for k in range(int(kinds.max()) + 1)])

        without = right(family.nonzero()[:, 0])
        beside = torch.stack([right(stand_ins(activity, family, seed)) for seed in range(5)]).mean(0)
        return (family, angle, (beside - without > 0.25).nonzero()[:, 0].tolist())


@mistake("14.12", says="Your angles are numbers of stimuli")
class section:
    """Indices for angles."""

    def find_family(model, layer, images, classes, kinds):
        n, count = (32, 16)
        contrast = 0.125 * (torch.arange(n) % 2 * 2 - 1)
        curves = []
        for seed in (0, 10):
            sharp, blurred = (tuning.sharp(n, 33, seed), tuning.blurred(n, 33, seed + 1))
            curves.append(by_angle(model, layer, sharp, blurred, contrast, count))
        rival = rivals(model, layer, tuning.sharp(n, 33, 20), tuning.blurred(n, 33, 21), contrast, count, COLOURS)
        family = is_detector(*curves, rival)
        angle = (curves[0] + curves[1]).argmax(1).float()
        if not family.any():
            return (family, angle, [])
        activity = model.run(images, [layer])[layer].mean((0, 2, 3))

        def right(units):
            said = answers_without(model, layer, units, torch.zeros_like(activity), images) == classes
            return torch.stack([said[kinds == k].float().mean() for k in range(int(kinds.max()) + 1)])

        without = right(family.nonzero()[:, 0])
        beside = torch.stack([right(stand_ins(activity, family, seed)) for seed in range(5)]).mean(0)
        return (family, angle, (beside - without > 0.25).nonzero()[:, 0].tolist())


@mistake("14.12", says="names kinds of scenes")
class section:
    """Names of units for kinds."""

    def find_family(model, layer, images, classes, kinds):
        n, count = (32, 16)
        contrast = 0.125 * (torch.arange(n) % 2 * 2 - 1)
        curves = []
        for seed in (0, 10):
            sharp, blurred = (tuning.sharp(n, 33, seed), tuning.blurred(n, 33, seed + 1))
            curves.append(by_angle(model, layer, sharp, blurred, contrast, count))
        rival = rivals(model, layer, tuning.sharp(n, 33, 20), tuning.blurred(n, 33, 21), contrast, count, COLOURS)
        family = is_detector(*curves, rival)
        angle = (curves[0] + curves[1]).argmax(1) * 2 * math.pi / count
        if not family.any():
            return (family, angle, [])
        activity = model.run(images, [layer])[layer].mean((0, 2, 3))

        def right(units):
            said = answers_without(model, layer, units, torch.zeros_like(activity), images) == classes
            return torch.stack([said[kinds == k].float().mean() for k in range(int(kinds.max()) + 1)])

        without = right(family.nonzero()[:, 0])
        beside = torch.stack([right(stand_ins(activity, family, seed)) for seed in range(5)]).mean(0)
        return (family, angle, family.nonzero()[:, 0].tolist())


@right("14.12", how="with more draws, and the angle as a mean direction")
class section:
    def find_family(model, layer, images, classes, kinds):
        n = 48
        contrast = 0.125 * torch.tensor([1.0, -1.0]).repeat(n // 2)
        sets = [(tuning.sharp(n, 33, s), tuning.blurred(n, 33, s + 500)) for s in (101, 102)]
        chosen, measured = (by_angle(model, layer, *pair, contrast, 16) for pair in sets)
        family = is_detector(chosen, measured, rivals(model, layer, *sets[1], contrast, 16, COLOURS))
        angle = measured.argmax(1) * math.pi / 8
        members = family.nonzero().flatten()
        if len(members) == 0:
            return family, angle.double(), []
        loud = model.run(images, layer)[layer].mean(dim=(0, 2, 3))
        nothing = torch.zeros(len(family))

        def by_kind(units):
            hits = (answers_without(model, layer, units, nothing, images) == classes).double()
            return torch.tensor([float(hits[kinds == k].mean()) for k in range(6)])

        twins = sum(by_kind(stand_ins(loud, family, s)) for s in range(8)) / 8
        gap = twins - by_kind(members)
        return family, angle, [k for k in range(6) if gap[k] > 0.25]


@right("14.12", how="with other functions of the library")
class section:
    def find_family(model, layer, images, classes, kinds):
        eye = tuning.Eye(33, *([model.run(images[:1, :, :33, :33], [layer])[layer].shape[-1] // 2] * 2), 0, 33, 0, 33)
        a, b = (tuning.by_angle(model, layer, eye, tuning.sharp, tuning.blurred, s, draws=32) for s in (7, 8))
        alone = [tuning.alone(model, layer, eye, t, s, 64) for t, s in ((tuning.sharp, 1), (tuning.blurred, 2))]
        edges = torch.stack([tuning.to_edges(model, layer, eye, colour=c).amax(1) for c in COLOURS]).amax(0)
        family = is_detector(a, b, torch.stack([*alone, edges], 1))
        angle = 2 * math.pi * a.argmax(1) / 16
        if not family.any():
            return family, angle, []
        activity = model.run(images, [layer])[layer].mean((0, 2, 3))
        zero = torch.zeros_like(activity)
        hits = answers_without(model, layer, family.nonzero()[:, 0], zero, images) == classes
        others = [
            answers_without(model, layer, stand_ins(activity, family, s), zero, images) == classes for s in range(6)
        ]
        others = torch.stack(others).float().mean(0)
        return family, angle, [k for k in kinds.unique().tolist() if (others - hits.float())[kinds == k].mean() > 0.25]


# --- slips of a learner who had only the lesson ------------------------------------------------------------


@mistake("14.1", says="You divide by the largest value. One bright pixel")
class section:
    """Normalised by the peak."""

    def equal(pattern):
        out = torch.empty_like(pattern)
        for i, p in enumerate(pattern):
            q = p - p.mean()
            out[i] = q / q.abs().max()
        return out

    def two_sides(first, second, angle):
        n, s, _ = first.shape
        out = torch.zeros(n, s, s, dtype=torch.float64)
        for r in range(s):
            for c in range(s):
                x = c - (s - 1) / 2
                y = (s - 1) / 2 - r
                d = x * math.cos(angle) + y * math.sin(angle)
                w = min(1.0, max(0.0, d + 0.5))
                out[:, r, c] = w * first[:, r, c].double() + (1 - w) * second[:, r, c].double()
        return out.to(first.dtype)

    def paint(pattern, contrast, colour):
        c = torch.as_tensor(colour, dtype=pattern.dtype)
        return (0.5 + torch.einsum("nhw,n,c->nchw", pattern, contrast.to(pattern.dtype), c)).clip(0, 1)


@mistake("14.1", says="You subtract the mean of the whole batch")
class section:
    """The mean over the batch, the strength of each."""

    def equal(pattern):
        out = torch.empty_like(pattern)
        for i, p in enumerate(pattern):
            q = p - pattern.mean()
            out[i] = q / (q * q).mean() ** 0.5
        return out

    def two_sides(first, second, angle):
        n, s, _ = first.shape
        out = torch.zeros(n, s, s, dtype=torch.float64)
        for r in range(s):
            for c in range(s):
                x = c - (s - 1) / 2
                y = (s - 1) / 2 - r
                d = x * math.cos(angle) + y * math.sin(angle)
                w = min(1.0, max(0.0, d + 0.5))
                out[:, r, c] = w * first[:, r, c].double() + (1 - w) * second[:, r, c].double()
        return out.to(first.dtype)

    def paint(pattern, contrast, colour):
        c = torch.as_tensor(colour, dtype=pattern.dtype)
        return (0.5 + torch.einsum("nhw,n,c->nchw", pattern, contrast.to(pattern.dtype), c)).clip(0, 1)


@mistake("14.2", says="You divide by each unit's length")
class section:
    """The norm, as for vectors."""

    def by_angle(model, layer, first, second, contrast, count):
        ims = torch.cat(
            [paint(two_sides(first, second, 2 * math.pi * i / count), contrast, WHITE) for i in range(count)]
        )
        said = middle(model, layer, ims)
        return said.reshape(count, len(first), -1).mean(1).T

    def normalised(curves):
        out = curves.clone()
        for u in range(len(out)):
            if out[u].max() > 0:
                out[u] /= out[u].norm()
        return out


@mistake("14.4", says="not of its median")
class section:
    """The median unit."""

    def is_detector(chosen, measured, rival):
        U, A = chosen.shape
        bests, opps = [], []
        for u in range(U):
            k = max(range(A), key=lambda j: float(chosen[u, j]))
            bests.append(float(measured[u, k]))
            opps.append(float(measured[u, k - A // 2]))
        mean = sorted(bests)[U // 2]
        return torch.tensor(
            [
                bests[u] > 1.5 * float(rival[u].max()) and bests[u] > 2 * opps[u] and bests[u] > mean / 4
                for u in range(U)
            ]
        )


@mistake("14.4", says="mean of the responses that chose the angle")
class section:
    """The third bound from the wrong images."""

    def is_detector(chosen, measured, rival):
        U, A = chosen.shape
        bests, opps = [], []
        for u in range(U):
            k = max(range(A), key=lambda j: float(chosen[u, j]))
            bests.append(float(measured[u, k]))
            opps.append(float(measured[u, k - A // 2]))
        mean = float(chosen.amax(1).mean())
        return torch.tensor(
            [
                bests[u] > 1.5 * float(rival[u].max()) and bests[u] > 2 * opps[u] and bests[u] > mean / 4
                for u in range(U)
            ]
        )


@mistake("14.6", says="You mirror the angle as in a looking-glass")
class section:
    """A reflection, and no half turn."""

    def apart(a, b):
        return torch.acos(torch.cos(a.double() - b.double()).clamp(-1, 1)).to(a.dtype)

    def covered(angles, count):
        d = 2 * math.pi * torch.arange(count) / count
        near = apart(angles[:, None], d[None, :]).argmin(1)
        return torch.bincount(near, minlength=count)

    def has_mirror(angles, within):
        return torch.tensor(
            [
                any(float(apart(math.pi - angles[i], angles[j])) <= within for j in range(len(angles)))
                for i in range(len(angles))
            ]
        )


@mistake("14.9", says="You divide by the largest weight")
class section:
    """Maps of one height."""

    def pointing(high, low):
        n, s, _ = high.shape
        out = []
        for h, l in zip(high, low):
            d = h / h.abs().max() - l / l.abs().max()
            x = y = 0.0
            for r in range(s):
                for c in range(s):
                    x += float(d[r, c]) * (c - (s - 1) / 2)
                    y += float(d[r, c]) * ((s - 1) / 2 - r)
            out.append(math.atan2(y, x) % (2 * math.pi))
        return torch.tensor(out)


@mistake("14.9", says="atan(y / x) does not know left from right")
class section:
    """Half a turn of angles."""

    def pointing(high, low):
        n, s, _ = high.shape
        out = []
        for h, l in zip(high, low):
            d = h / h.abs().sum() - l / l.abs().sum()
            x = y = 0.0
            for r in range(s):
                for c in range(s):
                    x += float(d[r, c]) * (c - (s - 1) / 2)
                    y += float(d[r, c]) * ((s - 1) / 2 - r)
            out.append(math.atan(y / x) % (2 * math.pi))
        return torch.tensor(out)


# --- slips beside those of each exercise above --------------------------------------------------------------------


@mistake("14.1", says="Its slope is 1: d + 1/2")
class section:
    """The mixture over two pixels."""

    def equal(pattern):
        pattern = pattern - pattern.mean((1, 2), keepdim=True)
        return pattern / pattern.square().mean((1, 2), keepdim=True).sqrt()

    def two_sides(first, second, angle):
        size = first.shape[-1]
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        share = ((x * math.cos(angle) + y * math.sin(angle)) / 2 + 0.5).clamp(0, 1)
        return share * first + (1 - share) * second

    def paint(pattern, contrast, colour):
        rgb = torch.tensor(colour)[None, :, None, None]
        return (0.5 + contrast[:, None, None, None] * rgb * pattern[:, None]).clamp(0, 1)


@mistake("14.1", says="You count in shares of the image")
class section:
    """Coordinates from −1 to 1."""

    def equal(pattern):
        pattern = pattern - pattern.mean((1, 2), keepdim=True)
        return pattern / pattern.square().mean((1, 2), keepdim=True).sqrt()

    def two_sides(first, second, angle):
        size = first.shape[-1]
        at = torch.linspace(-1, 1, size)
        x, y = (at[None, :], -at[:, None])
        share = (x * math.cos(angle) + y * math.sin(angle) + 0.5).clamp(0, 1)
        return share * first + (1 - share) * second

    def paint(pattern, contrast, colour):
        rgb = torch.tensor(colour)[None, :, None, None]
        return (0.5 + contrast[:, None, None, None] * rgb * pattern[:, None]).clamp(0, 1)


@mistake("14.4", says="You read `best` in `chosen`")
class section:
    """A mixture of the two sets of images."""

    def is_detector(chosen, measured, rival):
        n = chosen.shape[1]
        where = chosen.argmax(1)
        units = torch.arange(len(chosen))
        best, opposite = (chosen[units, where], measured[units, (where + n // 2) % n])
        return (best > 1.5 * rival.amax(1)) & (best > 2 * opposite) & (best > best.mean() / 4)


@mistake("14.4", says="There are two slips")
class section:
    """Two demands forgotten."""

    def is_detector(chosen, measured, rival):
        n = chosen.shape[1]
        where = chosen.argmax(1)
        units = torch.arange(len(chosen))
        best, opposite = (measured[units, where], measured[units, (where + n // 2) % n])
        return (best > 1.5 * rival[:, :2].amax(1)) & (best > 2 * opposite)


@mistake("14.5", says="There is no mean over images in yours")
class section:
    """The largest response."""

    def polarity(model, layer, patterns, contrast):
        both = torch.stack(
            [
                middle(model, layer, paint(patterns, torch.full((len(patterns),), c), WHITE))
                for c in (contrast, -contrast)
            ]
        )
        less, more = (both.amin(0).amax(0), both.amax(0).amax(0))
        return torch.where(more > 0, less / more, torch.zeros_like(more))

    def colour_blind(model, layer, patterns, contrast, colours):
        means = torch.stack([middle(model, layer, paint(patterns, contrast, c)).mean(0) for c in colours])
        less, more = (means.amin(0), means.amax(0))
        return torch.where(more > 0, less / more, torch.zeros_like(more))


@mistake("14.5", says="There is no mean over images in yours")
class section:
    """Images and colours in one."""

    def polarity(model, layer, patterns, contrast):
        both = torch.stack(
            [
                middle(model, layer, paint(patterns, torch.full((len(patterns),), c), WHITE))
                for c in (contrast, -contrast)
            ]
        )
        less, more = (both.amin(0).mean(0), both.amax(0).mean(0))
        return torch.where(more > 0, less / more, torch.zeros_like(more))

    def colour_blind(model, layer, patterns, contrast, colours):
        means = torch.stack([middle(model, layer, paint(patterns, contrast, c)) for c in colours]).flatten(0, 1)
        less, more = (means.amin(0), means.amax(0))
        return torch.where(more > 0, less / more, torch.zeros_like(more))


@mistake("14.6", says="Modulo π it falls together with its opposite")
class section:
    """As for lines."""

    def apart(a, b):
        return (a - b) % math.pi

    def covered(angles, count):
        nearest = (angles / (2 * math.pi) * count).round().long() % count
        return torch.bincount(nearest, minlength=count)

    def has_mirror(angles, within):
        far = apart(angles[:, None], angles[None, :] + math.pi)
        return (far <= within).any(1)


@mistake("14.6", says="Each of your units is its own mirror image")
class section:
    """Mirror images of lines."""

    def apart(a, b):
        turn = (a - b) % (2 * math.pi)
        return torch.minimum(turn, 2 * math.pi - turn)

    def covered(angles, count):
        nearest = (angles / (2 * math.pi) * count).round().long() % count
        return torch.bincount(nearest, minlength=count)

    def has_mirror(angles, within):
        far = (angles[:, None] - angles[None, :] + math.pi) % math.pi
        far = torch.minimum(far, math.pi - far)
        return (far <= within).any(1)


@mistake("14.7", says="is forgotten within it")
class section:
    """The size is right, the places are not."""

    def awake(maps):
        return (maps > 0).float().mean((0, 2, 3))

    def contract(upper, lower, stride, open_):
        k, m = (upper.shape[-1], lower.shape[-1])
        K = (k - 1) * stride + m
        whole = torch.zeros(len(upper), lower.shape[1], K, K, dtype=upper.dtype)
        weighed = lower * open_[:, None, None, None]
        for i in range(k):
            for j in range(k):
                row, column = (i, j)
                step = torch.einsum("um,mbxy->ubxy", upper[:, :, i, j], weighed)
                whole[:, :, row : row + m, column : column + m] += step
        return whole


@mistake("14.7", says="The whole is flipped")
class section:
    """As in the mathematics of convolutions."""

    def awake(maps):
        return (maps > 0).float().mean((0, 2, 3))

    def contract(upper, lower, stride, open_):
        k, m = (upper.shape[-1], lower.shape[-1])
        K = (k - 1) * stride + m
        whole = torch.zeros(len(upper), lower.shape[1], K, K, dtype=upper.dtype)
        weighed = lower * open_[:, None, None, None]
        for i in range(k):
            for j in range(k):
                row, column = (i * stride, j * stride)
                step = torch.einsum("um,mbxy->ubxy", upper[:, :, i, j], weighed)
                whole[:, :, row : row + m, column : column + m] += step
        return whole.flip(-1, -2)


@mistake("14.8", says="the rounds for another error")
class section:
    """The other rounds of Lee and Seung."""

    def update(table, rows, channels):
        rows = rows * (table / (rows @ channels + 1e-12) @ channels.T) / channels.sum(1)
        channels = channels * (rows.T @ (table / (rows @ channels + 1e-12))) / rows.sum(0)[:, None]
        return (rows, channels)

    def as_table(weights):
        both = torch.stack([weights.clamp(min=0), (-weights).clamp(min=0)])
        return both.permute(0, 1, 3, 4, 2).reshape(-1, weights.shape[1])

    def as_maps(rows, units, size):
        both = rows.T.reshape(-1, 2, units, size, size)
        return both[:, 0] - both[:, 1]


@mistake("14.8", says="In yours both come for one unit")
class section:
    """Signs within units."""

    def update(table, rows, channels):
        rows = rows * (table @ channels.T) / (rows @ channels @ channels.T + 1e-12)
        channels = channels * (rows.T @ table) / (rows.T @ rows @ channels + 1e-12)
        return (rows, channels)

    def as_table(weights):
        both = torch.stack([weights.clamp(min=0), (-weights).clamp(min=0)])
        return both.permute(1, 0, 3, 4, 2).reshape(-1, weights.shape[1])

    def as_maps(rows, units, size):
        both = rows.T.reshape(-1, 2, units, size, size)
        return both[:, 0] - both[:, 1]


@mistake("14.8", says="You take them as if places came first")
class section:
    """The unit as the last axis."""

    def update(table, rows, channels):
        rows = rows * (table @ channels.T) / (rows @ channels @ channels.T + 1e-12)
        channels = channels * (rows.T @ table) / (rows.T @ rows @ channels + 1e-12)
        return (rows, channels)

    def as_table(weights):
        both = torch.stack([weights.clamp(min=0), (-weights).clamp(min=0)])
        return both.permute(0, 1, 3, 4, 2).reshape(-1, weights.shape[1])

    def as_maps(rows, units, size):
        both = rows.T.reshape(-1, 2, size, size, units).permute(0, 1, 4, 2, 3)
        return both[:, 0] - both[:, 1]


@mistake("14.10", says="it hardly falls towards the edge")
class section:
    """A window of half the size."""

    def gabor(frequency, orientation, phase, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        window = torch.exp(-(x**2 + y**2) / (2 * (size / 2) ** 2))
        d = x * math.cos(orientation) + y * math.sin(orientation)
        wave = window * torch.cos(2 * math.pi * frequency * d + phase)
        wave = wave - window * wave.sum() / window.sum()
        return wave / wave.norm()

    def by_hand(is_high, angle, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        near = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        side = near * (x * math.cos(angle) + y * math.sin(angle)).clamp(-1, 1)
        weights = torch.where(is_high[:, None, None], side, -side)
        return (weights, -4.0)


@mistake("14.10", says="Yours falls in the direction of the wave alone")
class section:
    """A window in one direction."""

    def gabor(frequency, orientation, phase, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        window = torch.exp(-((x * math.cos(orientation) + y * math.sin(orientation)) ** 2) / (2 * (size / 4) ** 2))
        d = x * math.cos(orientation) + y * math.sin(orientation)
        wave = window * torch.cos(2 * math.pi * frequency * d + phase)
        wave = wave - window * wave.sum() / window.sum()
        return wave / wave.norm()

    def by_hand(is_high, angle, size):
        at = torch.arange(size) - (size - 1) / 2
        x, y = (at[None, :], -at[:, None])
        near = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
        side = near * (x * math.cos(angle) + y * math.sin(angle)).clamp(-1, 1)
        weights = torch.where(is_high[:, None, None], side, -side)
        return (weights, -4.0)


@mistake("14.11", says="You silence IMAGES")
class section:
    """The first axis."""

    def answers_without(model, layer, units, instead, images):

        def edit(activation):
            activation = activation.clone()
            activation[units] = instead[units][:, None, None, None]
            return activation

        with model.edited({layer: edit}):
            return model.logits(images).argmax(1)

    def stand_ins(activity, family, seed):
        source = torch.Generator().manual_seed(seed)
        members, left = (family.nonzero()[:, 0].tolist(), (~family).nonzero()[:, 0].tolist())
        found = []
        for i in torch.randperm(len(members), generator=source).tolist():
            left.sort(key=lambda unit: abs(float(activity[unit] - activity[members[i]])))
            found.append(left.pop(int(torch.randint(min(3, len(left)), (1,), generator=source))))
        return torch.tensor(found)


@mistake("14.11", says="The numbers have come to other units")
class section:
    """A mask for the units, and their numbers in order."""

    def answers_without(model, layer, units, instead, images):

        def edit(activation):
            activation = activation.clone()
            activation[:, units.sort().values] = instead[units][:, None, None]
            return activation

        with model.edited({layer: edit}):
            return model.logits(images).argmax(1)

    def stand_ins(activity, family, seed):
        source = torch.Generator().manual_seed(seed)
        members, left = (family.nonzero()[:, 0].tolist(), (~family).nonzero()[:, 0].tolist())
        found = []
        for i in torch.randperm(len(members), generator=source).tolist():
            left.sort(key=lambda unit: abs(float(activity[unit] - activity[members[i]])))
            found.append(left.pop(int(torch.randint(min(3, len(left)), (1,), generator=source))))
        return torch.tensor(found)


@mistake("14.12", says="Your angles cover half a turn")
class section:
    """Angles of lines."""

    def find_family(model, layer, images, classes, kinds):
        n, count = (32, 16)
        contrast = 0.125 * (torch.arange(n) % 2 * 2 - 1)
        curves = []
        for seed in (0, 10):
            sharp, blurred = (tuning.sharp(n, 33, seed), tuning.blurred(n, 33, seed + 1))
            curves.append(by_angle(model, layer, sharp, blurred, contrast, count))
        rival = rivals(model, layer, tuning.sharp(n, 33, 20), tuning.blurred(n, 33, 21), contrast, count, COLOURS)
        family = is_detector(*curves, rival)
        angle = (curves[0] + curves[1]).argmax(1) * math.pi / count
        if not family.any():
            return (family, angle, [])
        activity = model.run(images, [layer])[layer].mean((0, 2, 3))

        def right(units):
            said = answers_without(model, layer, units, torch.zeros_like(activity), images) == classes
            return torch.stack([said[kinds == k].float().mean() for k in range(int(kinds.max()) + 1)])

        without = right(family.nonzero()[:, 0])
        beside = torch.stack([right(stand_ins(activity, family, seed)) for seed in range(5)]).mean(0)
        return (family, angle, (beside - without > 0.25).nonzero()[:, 0].tolist())


@mistake("14.12", says="a quarter of what units say at their best")
class section:
    """No floor."""

    def find_family(model, layer, images, classes, kinds):
        n, count = (32, 16)
        contrast = 0.125 * (torch.arange(n) % 2 * 2 - 1)
        curves = []
        for seed in (0, 10):
            sharp, blurred = (tuning.sharp(n, 33, seed), tuning.blurred(n, 33, seed + 1))
            curves.append(by_angle(model, layer, sharp, blurred, contrast, count))
        rival = rivals(model, layer, tuning.sharp(n, 33, 20), tuning.blurred(n, 33, 21), contrast, count, COLOURS)
        b = curves[1].amax(1)
        family = b > 1.5 * rival.amax(1)
        angle = (curves[0] + curves[1]).argmax(1) * 2 * math.pi / count
        if not family.any():
            return (family, angle, [])
        activity = model.run(images, [layer])[layer].mean((0, 2, 3))

        def right(units):
            said = answers_without(model, layer, units, torch.zeros_like(activity), images) == classes
            return torch.stack([said[kinds == k].float().mean() for k in range(int(kinds.max()) + 1)])

        without = right(family.nonzero()[:, 0])
        beside = torch.stack([right(stand_ins(activity, family, seed)) for seed in range(5)]).mean(0)
        return (family, angle, (beside - without > 0.25).nonzero()[:, 0].tolist())
