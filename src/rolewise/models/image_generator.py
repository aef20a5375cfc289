"""A convolutional generator of small images, out of noise."""

from __future__ import annotations

from torch import Tensor, nn

from rolewise.errors import InputError


def _norm(channels: int, *, affine: bool = True) -> nn.BatchNorm2d:
    # Statistics of the batch in every mode: a forward pass then moves nothing, and weights are all of its state.
    return nn.BatchNorm2d(channels, affine=affine, track_running_stats=False)


class ImageGenerator(nn.Module):
    """A linear layer to maps of a quarter of the size, then two doublings, each before a 3x3 convolution.

    Its images have mean 0 and variance 1 in each channel of a batch, as normalised images have: networks see them as
    they are.

    Args:
        noise: Z, the numbers that an image is made of.
        channels: C of the images.
        size: (H, W) of the images, multiples of 4.
        width: channels within; the last convolutions have half of them.

    Raises:
        InputError: a number is below 1 (``width``: 2), or the size is no multiple of 4.
    """

    def __init__(self, noise: int = 100, channels: int = 1, size: tuple[int, int] = (8, 8), width: int = 64) -> None:
        super().__init__()
        for name, value, least in (("noise", noise, 1), ("channels", channels, 1), ("width", width, 2)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"{name} must be a whole number of at least {least}, got {value!r}")
        if len(size) != 2 or min(size) < 4 or any(side % 4 for side in size):
            raise InputError(
                f"size must be two multiples of 4, got {list(size)}; generate larger images and cut them to size"
            )
        self.noise, self.start = noise, (width, size[0] // 4, size[1] // 4)
        self.fc = nn.Linear(noise, width * self.start[1] * self.start[2])
        self.layers = nn.Sequential(
            _norm(width),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(width, width, 3, padding=1),
            _norm(width),
            nn.LeakyReLU(0.2),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(width, width // 2, 3, padding=1),
            _norm(width // 2),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width // 2, channels, 3, padding=1),
            nn.Tanh(),
            _norm(channels, affine=False),
        )

    def forward(self, noise: Tensor) -> Tensor:
        """Returns images [B, C, H, W] of noise [B, Z].

        Args:
            noise: normal numbers, B at least 2.

        Raises:
            InputError: the noise has another shape.
        """
        if noise.ndim != 2 or noise.shape[1] != self.noise or len(noise) < 2:
            raise InputError(f"noise must be [B, {self.noise}] with B at least 2, got {list(noise.shape)}")
        images: Tensor = self.layers(self.fc(noise).view(-1, *self.start))
        return images
