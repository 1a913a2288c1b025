"""clconv/conformance/words.py: strings come apart and go together again."""

from __future__ import annotations

import pytest

from clconv.conformance.cases import list_cases
from clconv.conformance.words import Words
from clconv.spec.parse import parse


def test_every_case_survives():
    for case in list_cases("edges", ("auto",)):
        assert Words.of(case.problem).problem == case.problem


def test_layouts_name_every_axis_of_every_tensor():
    for case in list_cases("edges", ("auto",)):
        words = Words.of(case.problem)
        for name, tensor in {**case.problem.operands, **case.problem.results}.items():
            sizes = dict(zip(words.layouts[name], tensor.shape, strict=True))
            assert sizes.get("O", words.sizes.get("o")) == words.sizes.get("o")
            if name in words.images and words.name != "conv_bwd_bias":
                layout = words.layouts["w"] if words.is_convolution else words.layouts[name]
                spatial = [letter for letter in layout if letter in "DHW"]
                assert tuple(sizes[letter] for letter in spatial) == words.axes["i"]


@pytest.mark.parametrize(
    ("text", "raised"),
    [
        ("conv_fwd:f32:n1c2o3g1:i7:k3:s2:p1.0:d2", "i1x7:k1x3:s1x2:p0.0x1.0:d1x2"),
        (
            "conv_fwd:f16:n1c2o3g1:i7:k3:s2:p1.0:d2:NWC,WIO->NCW",
            "i1x7:k1x3:s1x2:p0.0x1.0:d1x2:NHWC,HWIO->NCHW",
        ),
        ("max_pool:f32:n1c2:i7x5:k3x3:s2:CNWH", "i1x7x5:k1x3x3:s1x2x2:p0.0:d1:CNDWH"),
        ("max_unpool:f32:n1c2:i7x5:o3x2", "i1x7x5:o1x3x2"),
    ],
)
def test_one_more_axis(text, raised):
    assert str(Words.of(parse(text)).raised().problem).endswith(str(raised))
