import numpy as np

from tests.exercise_checks import Planted

planted = Planted()


@planted("normalize", "divide by 255")
def normalize_without_255(images, mean, std):
    mean = np.array(mean).reshape(1, 3, 1, 1)
    std = np.array(std).reshape(1, 3, 1, 1)
    return (images - mean) / std


@planted("normalize", "blue, green, red")
def normalize_bgr(images, mean, std):
    x = images[:, [2, 1, 0]].astype(float) / 255.0
    return (x - np.array(mean)[:, None, None]) / np.array(std)[:, None, None]


@planted("normalize", "in reverse order; they come as red")
def normalize_mean_of_the_wrong_channel(images, mean, std):
    x = np.empty(images.shape)
    for c in range(3):
        x[:, c] = (images[:, c] / 255.0 - mean[2 - c]) / std[2 - c]
    return x


@planted("normalize", "by the variance")
def normalize_by_variance(images, mean, std):
    x = images / 255
    return (x - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1)) ** 2


@planted("normalize", "not divided by std")
def normalize_without_std(images, mean, std):
    x = images.astype(np.float64) / 255
    x -= np.asarray(mean)[None, :, None, None]
    return x


@planted("normalize", "multiplied by std; divide")
def normalize_times_std(images, mean, std):
    x = images.astype(np.float64) / 255
    return (x - np.asarray(mean)[:, None, None]) * np.asarray(std)[:, None, None]


@planted("normalize", "// 255")
def normalize_integer_division(images, mean, std):
    x = images // 255
    return (x - np.asarray(mean)[:, None, None]) / np.asarray(std)[:, None, None]


@planted("normalize", "of the type uint8", "whole numbers only")
def normalize_into_bytes(images, mean, std):
    x = np.zeros_like(images)
    for c in range(3):
        x[:, c] = (images[:, c] / 255 - mean[c]) / std[c]
    return x


@planted("normalize", "mean and std of this batch")
def normalize_with_the_images_own_statistics(images, mean, std):
    x = images / 255
    m = x.mean(axis=(0, 2, 3), keepdims=True)
    s = x.std(axis=(0, 2, 3), keepdims=True)
    return (x - m) / s


@planted("normalize", "for all channels")
def normalize_one_mean_for_all(images, mean, std):
    return (images / 255 - np.mean(mean)) / np.mean(std)


@planted("normalize", "not 256")
def normalize_by_256(images, mean, std):
    mean, std = np.array(mean)[:, None, None], np.array(std)[:, None, None]
    return (images / 256 - mean) / std


@planted("normalize", "could not be broadcast", "mean and std lie along the width")
def normalize_on_the_last_axis(images, mean, std):
    return (images / 255 - np.array(mean)) / np.array(std)


@planted("normalize", "brackets")
def normalize_without_brackets(images, mean, std):
    mean, std = np.array(mean)[:, None, None], np.array(std)[:, None, None]
    return images / 255 - mean / std


@planted("normalize", "255 times what it should be")
def normalize_mean_in_bytes(images, mean, std):
    mean, std = np.array(mean)[:, None, None], np.array(std)[:, None, None]
    return (images - 255 * mean) / std


@planted("normalize", "the axes stand in another order")
def normalize_channels_last(images, mean, std):
    return (images.transpose(0, 2, 3, 1) / 255 - np.array(mean)) / np.array(std)


test_a_planted_mistake_is_named = planted.test()
