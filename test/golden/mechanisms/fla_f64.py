"""flash-linear-attention's layers in f64 on a CPU: its Triton kernels are replaced by the package's own naive functions, and the few modules that have none by
plain torch. What a layer does around them (projections, gates, norms, their order and epsilons) is the package's code.

    import fla_f64          (before anything else of torch is used; flash-linear-attention 0.6)
"""

import os
import sys

os.environ["CUDA_VISIBLE_DEVICES"] = ""

import torch
import torch.nn.functional as F

import fla.layers  # noqa: F401  (so that its modules are there to be patched)
import fla.models  # noqa: F401
from fla.modules.activations import ACT2FN
from fla.modules.causal_conv1d import ops as convolution
from fla.modules.layernorm import GroupNorm, LayerNorm, RMSNorm
from fla.modules.fused_norm_gate import FusedRMSNormGated
from fla.modules.rotary import RotaryEmbedding
from fla.ops.delta_rule.naive import delta_rule_recurrence
from fla.ops.gated_delta_product.naive import naive_recurrent_gated_delta_product  # noqa: F401
from fla.ops.gated_delta_rule.naive import naive_recurrent_gated_delta_rule
from fla.ops.gla.naive import naive_recurrent_gla
from fla.ops.kda.gate import naive_kda_gate, naive_kda_lowerbound_gate
from fla.ops.kda.naive import naive_recurrent_kda
from fla.ops.linear_attn.naive import naive_recurrent_linear_attn
from fla.ops.retention.naive import naive_retention
from fla.ops.rwkv6.recurrent_naive import naive_recurrent_rwkv6
from fla.ops.generalized_delta_rule.dplr.naive import dplr_recurrence

# The naive functions ask for f32 by these names.
torch.float32 = torch.float = torch.float64
torch.Tensor.float = torch.Tensor.double
torch.set_default_dtype(torch.float64)


def replace(name, function):
    for module in [m for n, m in sys.modules.items() if n.startswith("fla.") and m is not None]:
        if name in module.__dict__ and not module.__name__.endswith("naive"):
            setattr(module, name, function)


def unit(x):
    return x * torch.rsqrt(x.pow(2).sum(-1, keepdim=True) + 1e-6)


def root_mean_square(x, weight, bias, eps):
    y = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def group_norm(self, x, *_, **__):
    y = x.reshape(*x.shape[:-1], self.num_groups, -1)
    y = root_mean_square(y, None, None, self.eps) if self.is_rms_norm else F.layer_norm(y, y.shape[-1:], None, None, self.eps)
    y = y.reshape(x.shape)
    y = y if self.weight is None else y * self.weight
    return y if self.bias is None else y + self.bias


def convolution_of(x, weight=None, bias=None, activation=None, **_):
    weight = weight if weight.dim() == 3 else weight[:, None]
    y = F.conv1d(F.pad(x.transpose(1, 2), (weight.shape[-1] - 1, 0)), weight, bias, groups=x.shape[-1]).transpose(1, 2)
    return (F.silu(y) if activation in ("silu", "swish") else y), None


def short_convolution(self, x, *_, **__):
    return convolution_of(x, self.weight, self.bias, self.activation)


def rotary(self, q, k, *_, **__):
    angle = torch.arange(q.shape[1])[:, None] * self.base ** (-torch.arange(0, self.dim, 2) / self.dim)
    cos, sin = angle.cos()[None, :, None], angle.sin()[None, :, None]

    def turn(x):
        low, high = x.chunk(2, -1)
        return torch.cat([low * cos - high * sin, high * cos + low * sin], -1)

    return turn(q), turn(k)


RMSNorm.forward = lambda self, x, *_, **__: root_mean_square(x, self.weight, self.bias, self.eps)
LayerNorm.forward = lambda self, x, *_, **__: F.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)
GroupNorm.forward = group_norm
FusedRMSNormGated.forward = lambda self, x, g, *_, **__: root_mean_square(x, self.weight, None, self.eps) * (
    torch.sigmoid(g) if self.activation == "sigmoid" else F.silu(g))
convolution.ShortConvolution.forward = short_convolution
RotaryEmbedding.forward = rotary

heads_first = lambda *tensors: [x.transpose(1, 2) for x in tensors]


def gla(q, k, v, gk, **_):
    return naive_recurrent_gla(q, k, v, gk)


def retention(q, k, v, **_):
    return naive_retention(*heads_first(q, k, v)).transpose(1, 2), None


def linear_attention(q, k, v, scale=None, normalize=True, **_):
    return naive_recurrent_linear_attn(q, k, v, scale=scale, normalize=normalize)


def delta_rule(q, k, v, beta, **_):
    return delta_rule_recurrence(*heads_first(unit(q), unit(k), v, beta))[0].transpose(1, 2), None


def gated_delta_rule(q, k, v, g, beta, A_log=None, dt_bias=None, use_gate_in_kernel=False, use_beta_sigmoid_in_kernel=False, allow_neg_eigval=False, **_):
    if use_gate_in_kernel:
        g = -A_log.exp() * F.softplus(g + dt_bias)
    if use_beta_sigmoid_in_kernel:
        beta = beta.sigmoid() * (2 if allow_neg_eigval else 1)
    times = v.shape[2] // q.shape[2]
    q, k = (unit(x).repeat_interleave(times, 2) for x in (q, k))
    g = torch.zeros_like(beta) if g is None else g
    return naive_recurrent_gated_delta_rule(q, k, v, beta, g)[0], None


def kda(q, k, v, g, beta, A_log, dt_bias, allow_neg_eigval, lower_bound, **_):
    gate = naive_kda_gate if lower_bound is None else lambda *given, **_: naive_kda_lowerbound_gate(*given[:3], lower_bound=lower_bound, output_dtype=torch.float64)
    return naive_recurrent_kda(unit(q), unit(k), v, gate(g, A_log, dt_bias, output_dtype=torch.float64), beta.sigmoid() * (2 if allow_neg_eigval else 1))


def rwkv6(q=None, k=None, v=None, w=None, u=None, r=None, **_):
    return naive_recurrent_rwkv6(*heads_first(r if q is None else q, k, v, w), u, scale=1.0)[0].transpose(1, 2), None


def rwkv7(r, w, k, v, kk, a, **_):
    size = r.shape[-1] ** 0.5  # the function divides r by it
    return dplr_recurrence(*heads_first(r * size, k, v, -kk, kk * a, w))[0].transpose(1, 2), None


ACT2FN.update(swish=F.silu, silu=F.silu, sigmoid=torch.sigmoid)

for names, function in (
    (("fused_recurrent_gla",), gla),
    (("chunk_gla",), lambda q, k, v, g, **_: gla(q, k, v, g)),
    (("fused_recurrent_retention",), retention),
    (("fused_recurrent_linear_attn",), linear_attention),
    (("fused_recurrent_delta_rule",), delta_rule),
    (("fused_recurrent_gated_delta_rule",), gated_delta_rule),
    (("fused_recurrent_kda",), kda),
    (("fused_recurrent_rwkv6",), rwkv6),
    (("fused_mul_recurrent_rwkv7",), rwkv7),
    (("causal_conv1d",), convolution_of),
    (("swish",), F.silu),
    (("rms_norm_linear",), lambda x, norm, norm_bias, weight, bias, eps=1e-5, **_: F.linear(root_mean_square(x, norm, norm_bias, eps), weight, bias)),
    (("swiglu",), lambda x, y: F.silu(x) * y),
    (("swiglu_linear",), lambda x, y, weight, bias=None: F.linear(F.silu(x) * y, weight, bias)),
    (("l2_norm", "l2norm"), lambda x, *_, **__: unit(x)),
    (("token_shift",), lambda x, *_, **__: F.pad(x, (0, 0, 1, 0))[:, :-1] - x),
    (("fused_addcmul_rwkv7",), lambda x, delta, *mus: tuple(x + delta * mu for mu in mus)),
    (("fused_k_rwkv7",), lambda k, a, ka: k + k * (a - 1) * ka),
    (("gate_output_correction",), lambda o, r, k, r_k, v, g: (o + ((r * k * r_k).sum(-1, keepdim=True) * v).reshape(o.shape)) * g),
):
    for name in names:
        replace(name, function)
