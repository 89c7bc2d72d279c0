"""The names and shapes of the weights, which checkpoints of earlier versions share."""

import jax

from macsgr_jax.config import ModelConfig
from macsgr_jax.models import build_network
from tests.testing.tiny_network import CLASSES, PACKED, draw_table, gather

# The default network for audio with 4 features, text with 5, and 4 emotions.
PARAMETERS = [
    ("classifier_hidden/bias", (100,)),
    ("classifier_hidden/kernel", (500, 100)),
    ("classifier_out/bias", (4,)),
    ("classifier_out/kernel", (100, 4)),
    ("distribution/LayerNorm_0/bias", (2, 300)),
    ("distribution/LayerNorm_0/scale", (2, 300)),
    ("distribution/feed_forward/bias", (2, 300)),
    ("distribution/feed_forward/kernel", (2, 150, 300)),
    ("distribution/key/kernel", (2, 300, 4, 75)),
    ("distribution/log_std_in/bias", (2, 150)),
    ("distribution/log_std_in/kernel", (2, 150, 150)),
    ("distribution/log_std_out/bias", (2, 150)),
    ("distribution/log_std_out/kernel", (2, 150, 150)),
    ("distribution/mean_in/bias", (2, 150)),
    ("distribution/mean_in/kernel", (2, 150, 150)),
    ("distribution/mean_out/bias", (2, 150)),
    ("distribution/mean_out/kernel", (2, 150, 150)),
    ("distribution/query/bias", (2, 4, 75)),
    ("distribution/query/kernel", (2, 300, 4, 75)),
    ("distribution/value/bias", (2, 4, 75)),
    ("distribution/value/kernel", (2, 300, 4, 75)),
    ("encoder/candidate_bias", (4, 75)),
    ("encoder/input_audio/bias", (450,)),
    ("encoder/input_audio/kernel", (4, 450)),
    ("encoder/input_text/bias", (450,)),
    ("encoder/input_text/kernel", (5, 450)),
    ("encoder/recurrent_kernel", (4, 75, 225)),
    ("fusion/branch_0/bias", (50,)),
    ("fusion/branch_0/kernel", (100, 50)),
    ("fusion/branch_1/bias", (50,)),
    ("fusion/branch_1/kernel", (100, 50)),
    ("fusion/key_0_1/kernel", (150, 4, 25)),
    ("fusion/key_1_0/kernel", (150, 4, 25)),
    ("fusion/query_0_1/kernel", (150, 4, 25)),
    ("fusion/query_1_0/kernel", (150, 4, 25)),
    ("fusion/residual_0/bias", (50,)),
    ("fusion/residual_0/kernel", (150, 50)),
    ("fusion/residual_1/bias", (50,)),
    ("fusion/residual_1/kernel", (150, 50)),
    ("fusion/value_0_1/kernel", (150, 4, 25)),
    ("fusion/value_1_0/kernel", (150, 4, 25)),
    ("projection/bias", (2, 150)),
    ("projection/kernel", (2, 150, 150)),
    ("prototypes", (500, 150)),
    ("semantic/hop_embedding", (2, 9)),
    ("semantic/key/kernel", (100, 2, 25)),
    ("semantic/query/kernel", (100, 2, 25)),
    ("semantic/value/kernel", (100, 2, 25)),
    ("syntactic/layer_1/own/bias", (100,)),
    ("syntactic/layer_1/own/kernel", (100, 100)),
    ("syntactic/layer_1/relation/kernel", (4, 100, 100)),
    ("syntactic/layer_2/own/bias", (50,)),
    ("syntactic/layer_2/own/kernel", (100, 50)),
    ("syntactic/layer_2/relation/kernel", (4, 100, 50)),
]


def test_names_and_shapes_of_the_weights_are_fixed() -> None:
    """A changed name would make every published checkpoint unreadable."""
    network = build_network(ModelConfig(), CLASSES)
    params = jax.eval_shape(network.init, jax.random.key(0), gather(draw_table(2), PACKED))["params"]
    found = [("/".join(key.key for key in path), leaf.shape) for path, leaf in jax.tree.leaves_with_path(params)]
    assert found == PARAMETERS
