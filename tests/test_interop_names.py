"""Caffe's names and ours, in both directions."""

import numpy as np
import pytest

import npsqueeze as nps
from npsqueeze.interop import from_caffe, to_caffe
from npsqueeze.interop.names import caffe_names
from tests.shared import shared


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_there_and_back(version):
    state = nps.squeezenet(version, seed=0).state_dict()
    theirs = to_caffe(state)
    assert list(theirs)[:3] == ["conv1.weight", "conv1.bias", "fire2/squeeze1x1.weight"]
    assert list(theirs)[-3:] == ["fire9/expand3x3.bias", "conv10.weight", "conv10.bias"]
    ours = from_caffe(theirs)
    assert list(ours) == list(state)
    assert all(ours[name] is array for name, array in zip(ours, theirs.values(), strict=True))


def test_numbers_leave_room_for_the_pooling_of_each_version():
    assert caffe_names("1.0")["fire2/squeeze1x1.weight"] == "features.3.squeeze.weight"
    assert caffe_names("1.0")["fire5/expand3x3.bias"] == "features.7.expand3x3.bias"
    assert caffe_names("1.0")["fire9/expand1x1.bias"] == "features.12.expand1x1.bias"
    assert caffe_names("1.1")["fire4/squeeze1x1.weight"] == "features.6.squeeze.weight"
    assert caffe_names("1.1")["fire6/squeeze1x1.weight"] == "features.9.squeeze.weight"
    assert caffe_names("1.1")["conv10.bias"] == "classifier.1.bias"


def test_the_published_names_are_known():
    with np.load(shared("pretrained/squeezenet_v1_1.npz")) as archive:
        assert list(archive) == list(caffe_names("1.1"))


def test_what_cannot_be_translated_is_named():
    state = to_caffe(nps.squeezenet("1.1", seed=0).state_dict())
    with pytest.raises(ValueError, match=r"conv1.weight: expected the first convolution"):
        from_caffe({})
    with pytest.raises(ValueError, match=r"fire10/squeeze1x1.weight: expected a name"):
        from_caffe(state | {"fire10/squeeze1x1.weight": np.ones(1)})
    other = nps.squeezenet("1.1", seed=0, batch_norm=True, num_classes=2)
    with pytest.raises(ValueError, match=r"features.0_norm.bias: expected a name"):
        to_caffe(other.state_dict())
