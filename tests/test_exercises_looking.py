import numpy as np

from tests.exercise_checks import Planted

planted = Planted()


@planted("class_activation_map", "the bias is left out")
def cam_of_the_paper(features, weight, bias, labels):
    maps = np.zeros((len(features), *features.shape[2:]))
    for n, c in enumerate(labels):
        for k in range(features.shape[1]):
            maps[n] += weight[c, k] * features[n, k]
    return maps


@planted("class_activation_map", "negative numbers cut off, and without the bias")
def cam_of_the_paper_as_it_is_drawn(features, weight, bias, labels):
    maps = np.einsum("nk,nkhw->nhw", weight[labels], features)
    return np.where(maps > 0, maps, 0)


@planted("class_activation_map", "negative numbers are cut off")
def cam_behind_a_relu(features, weight, bias, labels):
    maps = (weight[labels][:, :, None, None] * features).sum(1) + bias[labels][:, None, None]
    return np.maximum(maps, 0)


@planted("class_activation_map", "stretched to 0 … 1")
def cam_from_0_to_1(features, weight, bias, labels):
    maps = []
    for f, c in zip(features, labels, strict=True):
        m = np.tensordot(weight[c], f, axes=1)
        m -= m.min()
        maps.append(m / m.max())
    return np.array(maps)


@planted("class_activation_map", "divided by its largest number")
def cam_divided_by_its_maximum(features, weight, bias, labels):
    maps = np.einsum("nk,nkhw->nhw", weight[labels], features) + bias[labels][:, None, None]
    return maps / maps.max((1, 2), keepdims=True)


@planted("class_activation_map", "w is read by columns")
def cam_by_columns(features, weight, bias, labels):
    maps = [
        (weight[:, c][:, None, None] * f).sum(axis=0) + bias[c]
        for f, c in zip(features, labels, strict=True)
    ]
    return np.stack(maps)


@planted("class_activation_map", "the sum runs over the pixels")
def cam_summed_over_the_pixels(features, weight, bias, labels):
    w = weight[labels][:, :, None, None]
    return (w * features).sum(axis=(2, 3)) + bias[labels][:, None]


@planted("class_activation_map", "averaged over the pixels first", "where something lies is lost")
def cam_that_is_a_logit(features, weight, bias, labels):
    z = features.mean(axis=(2, 3)) @ weight.T + bias
    return z[np.arange(len(z)), labels]


@planted("class_activation_map", "averaged over the pixels first", "the same number")
def cam_that_is_a_logit_everywhere(features, weight, bias, labels):
    pooled = features.mean(axis=(2, 3), keepdims=True)
    z = (weight[labels][:, :, None, None] * pooled).sum(1) + bias[labels][:, None, None]
    return z * np.ones(features.shape[2:])


@planted("class_activation_map", "the channels are averaged;")
def cam_averaged_over_the_channels(features, weight, bias, labels):
    return (weight[labels][..., None, None] * features).mean(1) + bias[labels][:, None, None]


@planted("class_activation_map", "the channels are averaged, and the bias is left out")
def cam_averaged_without_bias(features, weight, bias, labels):
    return (weight[labels][..., None, None] * features).mean(1)


@planted("class_activation_map", "the bias is added to every channel")
def cam_with_a_bias_for_each_channel(features, weight, bias, labels):
    w, b = weight[labels][..., None, None], bias[labels][:, None, None, None]
    return (w * features + b).sum(axis=1)


@planted("class_activation_map", "the bias is divided by P")
def cam_with_a_shared_bias(features, weight, bias, labels):
    P = features.shape[2] * features.shape[3]
    return np.stack(
        [
            np.tensordot(weight[c], features[n], 1) + bias[c] / P
            for n, c in enumerate(labels.tolist())
        ]
    )


@planted("class_activation_map", "plain sum of the channels")
def cam_without_weights(features, weight, bias, labels):
    return features.sum(axis=1)


@planted("class_activation_map", "plain mean of the channels")
def cam_that_is_a_mean(features, weight, bias, labels):
    return features.mean(axis=1)


@planted("class_activation_map", "the sign of the weights is lost")
def cam_of_sizes(features, weight, bias, labels):
    maps = (np.abs(weight[labels])[..., None, None] * features).sum(1)
    return maps + bias[labels][:, None, None]


@planted("class_activation_map", "the class of the first one")
def cam_of_the_first_label(features, weight, bias, labels):
    c = labels[0]
    return np.einsum("k,nkhw->nhw", weight[c], features) + bias[c]


@planted("class_activation_map", "the number of a picture is taken for its label: the row")
def cam_by_the_number_of_the_picture(features, weight, bias, labels):
    n = np.arange(len(features))
    return np.einsum("nk,nkhw->nhw", weight[n], features) + bias[n][:, None, None]


@planted("class_activation_map", "the number of a picture is taken for its label: the row")
def cam_with_the_rows_of_the_numbers(features, weight, bias, labels):
    maps = [np.tensordot(weight[n], f, 1) + bias[labels[n]] for n, f in enumerate(features)]
    return np.stack(maps)


@planted("class_activation_map", "is taken for its label in the bias")
def cam_with_the_first_biases(features, weight, bias, labels):
    maps = np.einsum("nk,nkhw->nhw", weight[labels], features)
    return maps + bias[: len(features)][:, None, None]


@planted("class_activation_map", "the bias is subtracted")
def cam_minus_bias(features, weight, bias, labels):
    return np.einsum("nk,nkhw->nhw", weight[labels], features) - bias[labels][:, None, None]


@planted("class_activation_map", "class 0 for every picture")
def cam_of_class_0(features, weight, bias, labels):
    return np.einsum("k,nkhw->nhw", weight[0], features) + bias[0]


@planted("class_activation_map", "the class with the highest logit")
def cam_of_the_answer(features, weight, bias, labels):
    c = (features.mean((2, 3)) @ weight.T + bias).argmax(1)
    return np.einsum("nk,nkhw->nhw", weight[c], features) + bias[c][:, None, None]


@planted("class_activation_map", "the maps of all classes")
def cam_of_all_classes(features, weight, bias, labels):
    return np.einsum("ck,nkhw->nchw", weight, features) + bias[:, None, None]


@planted("class_activation_map", "[:, labels] gives every picture the classes of all")
def cam_indexed_by_a_list(features, weight, bias, labels):
    maps = np.einsum("ck,nkhw->nchw", weight, features) + bias[:, None, None]
    return maps[:, labels]


@planted("class_activation_map", "a softmax over the classes")
def cam_of_probabilities(features, weight, bias, labels):
    maps = np.einsum("ck,nkhw->nchw", weight, features) + bias[:, None, None]
    e = np.exp(maps - maps.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return p[np.arange(len(p)), labels]


@planted("class_activation_map", "P (the number of pixels) times too small")
def cam_that_adds_up_to_the_logit(features, weight, bias, labels):
    maps = np.einsum("nk,nkhw->nhw", weight[labels], features) + bias[labels][:, None, None]
    return maps / maps[0].size


@planted("class_activation_map", "height and width")
def cam_turned(features, weight, bias, labels):
    return np.einsum("nk,nkhw->nwh", weight[labels], features) + bias[labels][:, None, None]


test_a_planted_mistake_is_named = planted.test()
