import numpy as np

from npsqueeze import functional as F  # noqa: N812, as in the notebooks
from tests.exercise_checks import Planted

planted = Planted()


def _fire(x, parameters):
    """The first lines of every student: the forward pass, step by step."""
    s, squeeze = F.conv2d_forward(x, parameters["squeeze.weight"], parameters["squeeze.bias"])
    h = np.maximum(s, 0)
    caches, outputs = {}, []
    for k in (1, 3, 5):
        if f"expand{k}x{k}.weight" in parameters:
            w, b = parameters[f"expand{k}x{k}.weight"], parameters[f"expand{k}x{k}.bias"]
            y, caches[f"expand{k}x{k}"] = F.conv2d_forward(h, w, b, padding=k // 2)
            outputs.append(y)
    return s, squeeze, caches, np.concatenate(outputs, axis=1)


def _with_bypass(dx, g, dy, x, parameters, bypass):
    """The last lines of every student: what the bypass sends back."""
    if bypass == "simple":
        dx = dx + dy
    if bypass == "complex":
        _, cache = F.conv2d_forward(x, parameters["bypass.weight"], parameters["bypass.bias"])
        d, g["bypass.weight"], g["bypass.bias"] = F.conv2d_backward(dy, cache)
        dx = dx + d
    return dx, g


@planted("concat_backward", "cut into equal parts", "it returned 2 values")
def concat_backward_halves(dy, arrays):
    half = dy.shape[1] // 2
    return [dy[:, :half], dy[:, half:]]


@planted("concat_backward", "cut into equal parts")
def concat_backward_equal_parts(dy, arrays):
    c = dy.shape[1] // len(arrays)
    return [dy[:, k * c : (k + 1) * c] for k in range(len(arrays))]


@planted("concat_backward", "starts at channel 0")
def concat_backward_never_advances(dy, arrays):
    return [dy[:, : a.shape[1]] for a in arrays]


@planted("concat_backward", "the numbers are right, but they come in the order")
def concat_backward_reversed(dy, arrays):
    out, end = [], dy.shape[1]
    for a in arrays[::-1]:
        out.append(dy[:, end - a.shape[1] : end])
        end -= a.shape[1]
    return out


@planted("concat_backward", "cut along axis 0")
def concat_backward_wrong_axis(dy, arrays):
    return np.split(dy, np.cumsum([a.shape[1] for a in arrays])[:-1], axis=0)


@planted("concat_backward", "the places to cut")
def concat_backward_sizes_instead_of_positions(dy, arrays):
    return np.split(dy, [a.shape[1] for a in arrays[:-1]], axis=1)


@planted("concat_backward", "gets all of dy")
def concat_backward_returns_dy(dy, arrays):
    return [dy for _ in arrays]


@planted("concat_backward", "the arrays themselves")
def concat_backward_returns_arrays(dy, arrays):
    return [a.copy() for a in arrays]


@planted("concat_backward", "the last channel of each part is missing")
def concat_backward_offset_of_one(dy, arrays):
    out, first = [], 0
    for a in arrays:
        last = first + a.shape[1] - 1
        out.append(dy[:, first:last])
        first = last + 1
    return tuple(out)


@planted("concat_backward", "it returned one array of float64")
def concat_backward_stacked(dy, arrays):
    return np.stack([dy[:, : arrays[0].shape[1]] for _ in arrays])


@planted("concat_backward", "dy is multiplied by the arrays")
def concat_backward_adds_the_array(dy, arrays):
    out, first = [], 0
    for a in arrays:
        out.append(dy[:, first : first + a.shape[1]] * a)
        first += a.shape[1]
    return out


@planted("concat_backward", "first += channels, not first = channels")
def concat_backward_start_overwritten(dy, arrays):
    parts, first = [], 0
    for a in arrays:
        channels = a.shape[1]
        parts.append(dy[:, first : first + channels])
        first = channels
    return parts


@planted("fire_backward", "dx: the bypass is missing")
def fire_backward_forgets_bypass(dy, x, parameters, bypass):
    s, squeeze, caches, joined = _fire(x, parameters)
    g = {}
    dj = dy * (joined > 0)
    dh, first = 0, 0
    for name, cache in caches.items():
        last = first + len(parameters[f"{name}.bias"])
        part = np.ascontiguousarray(dj[:, first:last])
        d, g[f"{name}.weight"], g[f"{name}.bias"] = F.conv2d_backward(part, cache)
        dh, first = dh + d, last
    dx, g["squeeze.weight"], g["squeeze.bias"] = F.conv2d_backward(dh * (s > 0), squeeze)
    if bypass == "complex":
        _, cache = F.conv2d_forward(x, parameters["bypass.weight"], parameters["bypass.bias"])
        d, g["bypass.weight"], g["bypass.bias"] = F.conv2d_backward(dy, cache)
    return dx, g


@planted("fire_backward", "through the ReLU; here the bypass")
def fire_backward_bypass_through_relu(dy, x, parameters, bypass):
    s, squeeze, caches, joined = _fire(x, parameters)
    g = {}
    dj = dy * (joined > 0)
    dh, first = 0, 0
    for name, cache in caches.items():
        last = first + len(parameters[f"{name}.bias"])
        part = np.ascontiguousarray(dj[:, first:last])
        d, g[f"{name}.weight"], g[f"{name}.bias"] = F.conv2d_backward(part, cache)
        dh, first = dh + d, last
    dx, g["squeeze.weight"], g["squeeze.bias"] = F.conv2d_backward(dh * (s > 0), squeeze)
    if bypass == "simple":
        dx = dx + dj
    if bypass == "complex":
        _, cache = F.conv2d_forward(x, parameters["bypass.weight"], parameters["bypass.bias"])
        d, g["bypass.weight"], g["bypass.bias"] = F.conv2d_backward(dj, cache)
        dx = dx + d
    return dx, g


@planted("fire_backward", "only the last expand branch")
def fire_backward_last_branch_only(dy, x, parameters, bypass):
    s, squeeze, caches, joined = _fire(x, parameters)
    g = {}
    dj = dy * (joined > 0)
    first = 0
    for name, cache in caches.items():
        last = first + len(parameters[f"{name}.bias"])
        part = np.ascontiguousarray(dj[:, first:last])
        dh, g[f"{name}.weight"], g[f"{name}.bias"] = F.conv2d_backward(part, cache)
        first = last
    dx, g["squeeze.weight"], g["squeeze.bias"] = F.conv2d_backward(dh * (s > 0), squeeze)
    return _with_bypass(dx, g, dy, x, parameters, bypass)


@planted("fire_backward", "the ReLU behind the squeeze convolution is missing")
def fire_backward_forgets_the_squeeze_relu(dy, x, parameters, bypass):
    _s, squeeze, caches, joined = _fire(x, parameters)
    g = {}
    dj = dy * (joined > 0)
    dh, first = 0, 0
    for name, cache in caches.items():
        last = first + len(parameters[f"{name}.bias"])
        part = np.ascontiguousarray(dj[:, first:last])
        d, g[f"{name}.weight"], g[f"{name}.bias"] = F.conv2d_backward(part, cache)
        dh, first = dh + d, last
    dx, g["squeeze.weight"], g["squeeze.bias"] = F.conv2d_backward(dh, squeeze)
    return _with_bypass(dx, g, dy, x, parameters, bypass)


@planted("fire_backward", "the ReLU behind the expand convolutions is missing")
def fire_backward_forgets_the_outer_relu(dy, x, parameters, bypass):
    s, squeeze, caches, _joined = _fire(x, parameters)
    g = {}
    dh, first = 0, 0
    for name, cache in caches.items():
        last = first + len(parameters[f"{name}.bias"])
        part = np.ascontiguousarray(dy[:, first:last])
        d, g[f"{name}.weight"], g[f"{name}.bias"] = F.conv2d_backward(part, cache)
        dh, first = dh + d, last
    dx, g["squeeze.weight"], g["squeeze.bias"] = F.conv2d_backward(dh * (s > 0), squeeze)
    return _with_bypass(dx, g, dy, x, parameters, bypass)


@planted("fire_backward", "right for branches of equal size, wrong for branches of different size")
def fire_backward_split_in_halves(dy, x, parameters, bypass):
    s, squeeze, caches, joined = _fire(x, parameters)
    g = {}
    dj = dy * (joined > 0)
    half = dj.shape[1] // 2
    parts = [dj[:, :half], dj[:, half:]]
    dh = 0
    for part, (name, cache) in zip(parts, caches.items(), strict=True):
        part = np.ascontiguousarray(part)
        d, g[f"{name}.weight"], g[f"{name}.bias"] = F.conv2d_backward(part, cache)
        dh = dh + d
    dx, g["squeeze.weight"], g["squeeze.bias"] = F.conv2d_backward(dh * (s > 0), squeeze)
    return _with_bypass(dx, g, dy, x, parameters, bypass)


@planted("fire_backward", "the mask of the ReLU behind the squeeze convolution")
def fire_backward_squeeze_mask_of_the_gradient(dy, x, parameters, bypass):
    _s, squeeze, caches, joined = _fire(x, parameters)
    g = {}
    dj = dy * (joined > 0)
    dh, first = 0, 0
    for name, cache in caches.items():
        last = first + len(parameters[f"{name}.bias"])
        part = np.ascontiguousarray(dj[:, first:last])
        d, g[f"{name}.weight"], g[f"{name}.bias"] = F.conv2d_backward(part, cache)
        dh, first = dh + d, last
    dx, g["squeeze.weight"], g["squeeze.bias"] = F.conv2d_backward(dh * (dh > 0), squeeze)
    return _with_bypass(dx, g, dy, x, parameters, bypass)


@planted("fire_backward", "wrong for a 5x5 branch", "expand5x5.bias are missing")
def fire_backward_two_branches(dy, x, parameters, bypass):
    s, squeeze, caches, joined = _fire(x, parameters)
    g = {}
    dj = dy * (joined > 0)
    e1 = len(parameters["expand1x1.bias"])
    e3 = len(parameters["expand3x3.bias"])
    d1 = np.ascontiguousarray(dj[:, :e1])
    d3 = np.ascontiguousarray(dj[:, e1 : e1 + e3])
    dh1, g["expand1x1.weight"], g["expand1x1.bias"] = F.conv2d_backward(d1, caches["expand1x1"])
    dh3, g["expand3x3.weight"], g["expand3x3.bias"] = F.conv2d_backward(d3, caches["expand3x3"])
    ds = (dh1 + dh3) * (s > 0)
    dx, g["squeeze.weight"], g["squeeze.bias"] = F.conv2d_backward(ds, squeeze)
    return _with_bypass(dx, g, dy, x, parameters, bypass)


@planted("fire_backward", "dx, squeeze.weight and squeeze.bias: the mean of what the branches")
def fire_backward_mean_of_the_branches(dy, x, parameters, bypass):
    s, squeeze, caches, joined = _fire(x, parameters)
    g = {}
    dj = dy * (joined > 0)
    dh, first = 0, 0
    for name, memory in caches.items():
        last = first + len(parameters[f"{name}.bias"])
        part = np.ascontiguousarray(dj[:, first:last])
        d, g[f"{name}.weight"], g[f"{name}.bias"] = F.conv2d_backward(part, memory)
        dh, first = dh + d / len(caches), last
    dx, g["squeeze.weight"], g["squeeze.bias"] = F.conv2d_backward(dh * (s > 0), squeeze)
    return _with_bypass(dx, g, dy, x, parameters, bypass)


@planted("fire_backward", "dx: right for no bypass, wrong for a bypass")
def fire_backward_bypass_overwrites_dx(dy, x, parameters, bypass):
    s, squeeze, caches, joined = _fire(x, parameters)
    g = {}
    dj = dy * (joined > 0)
    dh, first = 0, 0
    for name, memory in caches.items():
        last = first + len(parameters[f"{name}.bias"])
        part = np.ascontiguousarray(dj[:, first:last])
        d, g[f"{name}.weight"], g[f"{name}.bias"] = F.conv2d_backward(part, memory)
        dh, first = dh + d, last
    dx, g["squeeze.weight"], g["squeeze.bias"] = F.conv2d_backward(dh * (s > 0), squeeze)
    if bypass == "simple":
        dx = dy
    if bypass == "complex":
        _, memory = F.conv2d_forward(x, parameters["bypass.weight"], parameters["bypass.bias"])
        dx, g["bypass.weight"], g["bypass.bias"] = F.conv2d_backward(dy, memory)
    return dx, g


@planted("fire_backward", "the last ReLU is masked with y, bypass included")
def fire_backward_masked_with_y(dy, x, parameters, bypass):
    s, squeeze, caches, _joined = _fire(x, parameters)
    y = F.fire_forward(x, parameters, bypass)[0]
    g = {}
    dj = dy * (y > 0)
    dh, first = 0, 0
    for name, cache in caches.items():
        last = first + len(parameters[f"{name}.bias"])
        part = np.ascontiguousarray(dj[:, first:last])
        d, g[f"{name}.weight"], g[f"{name}.bias"] = F.conv2d_backward(part, cache)
        dh, first = dh + d, last
    dx, g["squeeze.weight"], g["squeeze.bias"] = F.conv2d_backward(dh * (s > 0), squeeze)
    return _with_bypass(dx, g, dy, x, parameters, bypass)


@planted("fire_backward", "in the order of the dictionary")
def fire_backward_branches_as_stored(dy, x, parameters, bypass):
    s, squeeze = F.conv2d_forward(x, parameters["squeeze.weight"], parameters["squeeze.bias"])
    h = np.maximum(s, 0)
    names = [n[:-7] for n in parameters if n.startswith("expand") and n.endswith(".weight")]
    outputs, caches = [], []
    for name in names:
        w, b = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
        y, cache = F.conv2d_forward(h, w, b, padding=w.shape[2] // 2)
        outputs.append(y)
        caches.append(cache)
    dj = dy * (np.concatenate(outputs, axis=1) > 0)
    g, dh, first = {}, 0, 0
    for name, y, cache in zip(names, outputs, caches, strict=True):
        last = first + y.shape[1]
        part = np.ascontiguousarray(dj[:, first:last])
        d, g[f"{name}.weight"], g[f"{name}.bias"] = F.conv2d_backward(part, cache)
        dh, first = dh + d, last
    dx, g["squeeze.weight"], g["squeeze.bias"] = F.conv2d_backward(dh * (s > 0), squeeze)
    return _with_bypass(dx, g, dy, x, parameters, bypass)


test_a_planted_mistake_is_named = planted.test()
