"""Normalisation, augmentation, and batches that depend on seed and step alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npsqueeze.data import (
    CIFAR10_MEAN,
    CIFAR10_STD,
    Dataset,
    augment,
    batches_per_epoch,
    cut_out,
    downloads_folder,
    evaluation_batches,
    load_cifar10,
    normalize,
    permutation,
    training_batch,
)

seeds = st.integers(0, 2**40)


def random_images(n, height=32, width=32, seed=0):
    shape = (n, 3, height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def make_dataset(n):
    """Pictures that are told apart by their label and by their one colour."""
    images = np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None, None], (n, 3, 8, 8))
    return Dataset(images.copy(), np.arange(n, dtype=np.int64), tuple(map(str, range(n))))


@pytest.mark.parametrize(("mean", "std"), [(0.5, 0.25), (CIFAR10_MEAN, CIFAR10_STD)])
@pytest.mark.parametrize("shape", [(3, 5, 4), (2, 3, 5, 4), (0, 3, 5, 4)])
def test_normalize_is_the_formula(shape, mean, std):
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    x = normalize(images, mean, std)
    assert (x.dtype, x.shape) == (np.float32, shape)
    for channel, (m, s) in enumerate(zip(np.resize(mean, 3), np.resize(std, 3), strict=True)):
        expected = (images[..., channel, :, :].astype(np.float64) / 255 - m) / s
        np.testing.assert_allclose(x[..., channel, :, :], expected, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.zeros((1, 3, 2, 2), np.float32),), TypeError, "images: expected uint8, got float32"),
        ((random_images(1), (0.5, 0.5)), ValueError, "mean: expected one or three values"),
        ((random_images(1), 0.5, (1.0, 1.0, 0.0)), ValueError, "std: expected values above 0"),
        ((random_images(1), 0.5, float("nan")), ValueError, "std: expected values above 0"),
    ],
)
def test_normalize_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        normalize(*arguments)


def test_channel_constants_are_those_of_the_training_pictures():
    try:
        train_set, _ = load_cifar10(downloads_folder())
    except ValueError:
        pytest.skip("the whole CIFAR-10 is not in the user's cache")
    for channel in range(3):
        values = train_set.images[:, channel] / np.float32(255)
        assert values.mean(dtype=np.float64) == pytest.approx(CIFAR10_MEAN[channel], abs=5e-5)
        assert values.std(dtype=np.float64) == pytest.approx(CIFAR10_STD[channel], abs=6e-5)


def shifted_and_flipped(image):
    """All 2 * 9 * 9 results that augmentation may have, by plain loops."""
    _, height, width = image.shape

    def mirror(index, size):
        index = abs(index)
        return index if index < size else 2 * (size - 1) - index

    for down in range(-4, 5):
        for right in range(-4, 5):
            rows = [mirror(row + down, height) for row in range(height)]
            columns = [mirror(column + right, width) for column in range(width)]
            window = image[:, rows][:, :, columns]
            yield down, right, False, window
            yield down, right, True, window[:, :, ::-1]


@given(seed=seeds, height=st.integers(5, 12), width=st.integers(5, 12))
def test_augment_is_one_of_the_shifts_and_flips(seed, height, width):
    images = random_images(3, height, width, seed=seed)
    result = augment(images, (seed, 0, 0))
    assert (result.dtype, result.shape) == (np.uint8, images.shape)
    for image, augmented in zip(images, result, strict=True):
        candidates = [candidate for *_, candidate in shifted_and_flipped(image)]
        assert any(np.array_equal(augmented, candidate) for candidate in candidates)


def test_augment_draws_every_shift_and_flip_evenly():
    image = random_images(1, 12, 12)[0]  # at 9 pixels a shift by 4 is its own mirror image
    result = augment(np.repeat(image[None], 4000, axis=0), (0, 0, 0))
    names = {window.tobytes(): drawn for *drawn, window in shifted_and_flipped(image)}
    drawn = [names[augmented.tobytes()] for augmented in result]
    downs, rights, flips = (np.array(column) for column in zip(*drawn, strict=True))
    for shifts in (downs, rights):  # 4000 / 9 = 444 each, standard deviation 20
        counts = np.bincount(shifts + 4, minlength=9)
        assert counts.min() > 344
        assert counts.max() < 544
    assert abs(flips.mean() - 0.5) < 0.04
    assert abs(np.corrcoef([downs, rights, flips]) - np.eye(3)).max() < 0.08


def test_augment_depends_on_every_part_of_its_key_and_leaves_its_input():
    images = random_images(16)
    before = images.copy()
    result = augment(images, (1, 2, 3))
    np.testing.assert_array_equal(result, augment(images, (1, 2, 3)))
    for other in [(0, 2, 3), (1, 0, 3), (1, 2, 0)]:
        assert not np.array_equal(result, augment(images, other))
    np.testing.assert_array_equal(images, before)


def test_cut_out_hides_one_square_of_each_picture():
    x = np.random.default_rng(0).normal(size=(200, 3, 12, 9)).astype(np.float32)
    result = cut_out(x, 4, (1, 2, 3))
    hidden = result == 0
    assert (hidden == hidden[:, :1]).all()  # in all channels alike
    np.testing.assert_array_equal(result[~hidden], x[~hidden])
    rows, columns = hidden[:, 0].any(axis=2).sum(axis=1), hidden[:, 0].any(axis=1).sum(axis=1)
    np.testing.assert_array_equal(hidden[:, 0].sum(axis=(1, 2)), rows * columns)  # a rectangle
    assert rows.max() == columns.max() == 4
    assert rows.min() == columns.min() == 2  # half of it beyond the edge
    assert hidden.any(axis=(0, 1)).all()  # any pixel may be hidden
    np.testing.assert_array_equal(cut_out(x, 4, (1, 2, 3)), result)
    assert not np.array_equal(cut_out(x, 4, (1, 2, 4)), result)


def test_training_batches_with_cutout_are_those_without_but_for_the_squares():
    dataset = Dataset(random_images(10), np.arange(10, dtype=np.int64))
    options = {"batch_size": 4, "seed": 5}
    (x, _), (cut, _) = (training_batch(dataset, 1, cutout=size, **options) for size in (0, 3))
    np.testing.assert_array_equal(cut[cut != 0], x[cut != 0])
    assert 4 <= (cut == 0)[:, 0].sum() <= 36


@given(n=st.integers(0, 50), seed=seeds, epoch=st.integers(0, 1000))
def test_permutation_is_a_permutation(n, seed, epoch):
    assert sorted(permutation(n, seed, epoch)) == list(range(n))


def test_permutation_depends_on_seed_and_epoch():
    order = permutation(100, 0, 0)
    np.testing.assert_array_equal(order, permutation(100, 0, 0))
    assert not np.array_equal(order, permutation(100, 1, 0))
    assert not np.array_equal(order, permutation(100, 0, 1))
    assert not np.array_equal(permutation(100, 1, 0), permutation(100, 0, 1))


@given(n=st.integers(1, 40), batch_size=st.integers(1, 50), seed=seeds, epoch=st.integers(0, 99))
def test_an_epoch_visits_every_picture_once(n, batch_size, seed, epoch):
    dataset = make_dataset(n)
    count = batches_per_epoch(n, batch_size)
    steps = range(epoch * count, (epoch + 1) * count)
    batches = [training_batch(dataset, step, batch_size=batch_size, seed=seed) for step in steps]
    sizes = [len(labels) for _, labels in batches]
    assert sizes[:-1] == [batch_size] * (count - 1)
    assert sum(sizes) == n
    assert sorted(np.concatenate([labels for _, labels in batches])) == list(range(n))
    for x, labels in batches:  # one colour a picture: shifts and flips leave it
        np.testing.assert_array_equal(x, normalize(dataset.images[labels]))


def test_training_batch_is_computed_directly_and_augmented_by_step():
    images = random_images(10)
    dataset = Dataset(images, np.arange(10, dtype=np.int64))
    options = {"batch_size": 4, "seed": 5}
    in_order = [training_batch(dataset, step, **options) for step in range(9)]
    for step in (8, 2, 5):
        x, labels = training_batch(dataset, step, **options)
        np.testing.assert_array_equal(x, in_order[step][0])
        np.testing.assert_array_equal(labels, in_order[step][1])
    x, labels = training_batch(dataset, 4, **options, augmented=False, mean=0.5, std=0.25)
    np.testing.assert_array_equal(labels, in_order[4][1])
    np.testing.assert_array_equal(labels, permutation(10, 5, 1)[4:8])
    np.testing.assert_array_equal(x, normalize(images[labels], 0.5, 0.25))
    assert not np.array_equal(normalize(images[labels]), in_order[4][0])


@pytest.mark.parametrize(
    ("step", "batch_size", "seed", "message"),
    [(0, 0, 0, "batch_size"), (-1, 2, 0, "step.*-1"), (0, 2, -3, "seed.*-3")],
)
def test_training_batch_refuses(step, batch_size, seed, message):
    with pytest.raises(ValueError, match=message):
        training_batch(make_dataset(4), step, batch_size=batch_size, seed=seed)


@given(n=st.integers(0, 40), batch_size=st.integers(1, 50))
def test_evaluation_batches_keep_the_order_and_the_rest(n, batch_size):
    dataset = make_dataset(n)
    batches = list(evaluation_batches(dataset, batch_size, 0.5, 0.25))
    assert [len(x) for x, _ in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert [label for _, labels in batches for label in labels] == list(range(n))
    for x, labels in batches:
        np.testing.assert_array_equal(x, normalize(dataset.images[labels], 0.5, 0.25))
