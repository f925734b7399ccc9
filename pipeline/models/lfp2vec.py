"""Lfp2Vec: wav2vec 2.0 on single channels of LFP, self-supervised and fine-tuned.

Source: He et al. 2025 (NeurIPS); the network is ``transformers``' Wav2Vec2ForPreTraining, masks,
negatives and the loss on masked frames are ours.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn
from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining

from ..nn import masking
from ..nn.dense import Precision
from ..nn.fast_wav2vec import FastWav2Vec
from ..nn.losses import contrastive_sum, sample_negatives
from ..nn.quantise import Usage, codeword_usage, perplexity, quantise
from ..nn.resample import resample_to, standardise
from ..nn.unfolded import UnfoldedConv
from ..training.batches import Batch
from .context import DataContext
from .draws import Draws, LossInShares, Pool
from .head import AT_REST, Head, at_rest, label_weight, region_loss, solve_head
from .parameters import CONV_KERNEL, CONV_STRIDE, EmbedParams, Lfp2VecParams
from .wav2vec_weights import load_audio


class Lfp2Vec(LossInShares, nn.Module):
    """Self-supervised parts and, when there are classes, the head, in one module."""

    def __init__(self, params: Lfp2VecParams, context: DataContext) -> None:
        super().__init__()
        self.params = params
        self.context = context
        self.objective = "ssl"
        self.provenance: dict[str, Any] = {}
        self._frozen: FastWav2Vec | None = None
        self.network = Wav2Vec2ForPreTraining(network_config(params))
        self.network.quantizer.temperature = params.gumbel_temperature
        first = self.network.wav2vec2.feature_extractor.conv_layers[0]
        first.conv = UnfoldedConv.like(first.conv)
        n_classes = len(context.classes)
        self.head = (
            Head(params.hidden, params.head_dim, n_classes, relu=params.head == "relu")
            if n_classes
            else None
        )

    @classmethod
    def build(
        cls,
        params: Lfp2VecParams,
        context: DataContext,
        *,
        seed: int,
        weights: Path | None = None,
    ) -> "Lfp2Vec":
        """A model with random or audio weights; the head is always random."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = cls(params, context)
        if params.init == "audio":
            model.provenance = load_audio(model.network, params.audio, weights)
        return model

    def prepare(self, batches: Iterable[Batch]) -> None:
        """Nothing before the first step; without steps a regression on the hidden states."""
        if self.objective == "none" and self.head is not None:
            weights = getattr(self, "class_weights", None)
            solve_head(self.head, batches, self._at_rest, weights)

    def draw(self, batch: Batch, rng: Generator) -> Draws:
        """Spans of hidden frames, and for self-supervision the frames to tell them from."""
        p, ssl = self.params, self.objective == "ssl"
        sequences = batch.channel.numel()
        seen = 0.0 if self.objective in AT_REST else p.finetune_mask_probability
        hidden = self._mask(sequences, rng, p.mask_probability if ssl else seen)
        negatives = sample_negatives(hidden, p.negatives, rng) if ssl else None
        scored = float(hidden.sum()) if ssl else label_weight(batch.region.flatten(), self)
        rows = hidden.view(len(batch), -1)  # (B, C F)
        return Draws(rows, rows, scored, negatives=negatives)

    def share(self, batch: Batch, draws: Draws, pool: Pool | None = None) -> dict[str, Tensor]:
        """Contrastive and diversity loss per masked frame, or cross-entropy of the regions."""
        region = batch.region.flatten()
        if self.objective in AT_REST:
            logits = self._require_head()(self._at_rest(batch))
            self.head.trained |= self.objective == "frozen"
            return {"total": region_loss(logits, region, self) / draws.scored}
        audio = self.audio(batch)
        # masks of ours even if empty: else transformers draws its own from numpy's global stream
        hidden = draws.hidden.view(len(audio), -1).to(audio.device)
        if self.objective == "ssl":
            parts = ssl_parts(self.network, audio, hidden, draws, pool)
            parts = {name: value / draws.scored for name, value in parts.items()}
            total = parts["contrastive"] + self.params.diversity_weight * parts["diversity"]
            return {"total": total, **parts}
        head = self._require_head()
        head.trained.fill_(True)
        out = self.network.wav2vec2(audio, mask_time_indices=hidden)
        logits = head(out.last_hidden_state)
        return {"total": region_loss(logits, region, self) / draws.scored}

    def pooled(self, batch: Batch, draws: Draws) -> Tensor | None:
        """How often each codeword is used: the diversity loss is about the whole batch."""
        if self.objective != "ssl":
            return None
        audio, body = self.audio(batch), self.network.wav2vec2
        hidden = draws.hidden.view(len(audio), -1).to(audio.device)
        frames = body.feature_extractor(audio).transpose(1, 2)  # (S, F, D)
        features = body.feature_projection.layer_norm(frames)[hidden]
        return codeword_usage(self.network.quantizer, features)

    def embed(self, batch: Batch, params: EmbedParams) -> Float[Tensor, "batch token dim"]:
        """One vector per channel: pooled hidden state, or the input of the last linear layer."""
        if batch.lfp is None:
            raise ValueError("lfp2vec embeds LFP, the batch has none")
        at = params.at
        if at == "default":
            at = "head" if self.head is not None and bool(self.head.trained) else "hidden"
        layer = params.layer % self.params.layers + 1
        hidden = self.hidden(self.audio(batch), layers=layer)
        if at == "head":
            pooled = self._require_head().pooled(hidden)
        else:
            pooled = hidden.mean(dim=1) if params.pooling == "mean" else hidden.amax(dim=1)
        return pooled.float().unflatten(0, (len(batch), -1))  # (B, C, D)

    def predict(self, batch: Batch) -> Float[Tensor, "batch channel klass"]:
        """Class probabilities of each channel."""
        logits = self._require_head()(self.hidden(self.audio(batch)))
        return logits.float().softmax(dim=-1).unflatten(0, (len(batch), -1))

    def audio(self, batch: Batch) -> Float[Tensor, "sequence sample"]:
        """Each channel of each window at the model's rate, mean 0 and SD 1."""
        n_out = round(self.context.window_s * self.params.model_rate)
        sequences = batch.lfp.transpose(1, 2).flatten(0, 1)  # (B C, T)
        return standardise(resample_to(sequences, n_out))

    def _at_rest(self, batch: Batch) -> Float[Tensor, "sequence frame dim"]:
        with at_rest(self.network):
            return self.hidden(self.audio(batch))

    def hidden(
        self, audio: Float[Tensor, "sequence sample"], *, layers: int | None = None
    ) -> Float[Tensor, "sequence frame dim"]:
        """Hidden states of the last layer, or of an earlier one (counted from 1)."""
        if self._frozen is not None:
            return self._frozen(audio, layers=layers)
        body = self.network.wav2vec2
        if layers is None or layers == self.params.layers:
            return body(audio).last_hidden_state
        return body(audio, output_hidden_states=True).hidden_states[layers]

    @contextmanager
    def frozen(self, precision: Precision) -> Iterator[None]:
        """Read hidden states through a faster equal of the network, without gradients."""
        self._frozen = FastWav2Vec(self.network.wav2vec2, precision)
        try:
            yield
        finally:
            self._frozen = None

    def _mask(
        self, sequences: int, rng: Generator, probability: float
    ) -> Bool[Tensor, "sequence frame"]:
        """Spans of frames to hide; none where the probability is 0."""
        n_out = round(self.context.window_s * self.params.model_rate)
        step = torch.arange(n_frames(n_out)).expand(sequences, -1)
        if probability == 0:
            return torch.zeros_like(step, dtype=torch.bool)
        return masking.spans(
            step,
            torch.ones_like(step, dtype=torch.bool),
            rng,
            probability=probability,
            length=self.params.mask_span,
            min_spans=self.params.mask_min_spans,
        ).hidden

    def _require_head(self) -> Head:
        if self.head is None:
            raise ValueError(
                "this lfp2vec has no head: its context names no classes. Build it with classes and "
                "fine-tune it, or use its hidden embedding"
            )
        return self.head


def ssl_parts(
    network: Wav2Vec2ForPreTraining,
    audio: Float[Tensor, "sequence sample"],
    hidden: Tensor,
    draws: Draws,
    pool: Pool | None = None,
) -> dict[str, Tensor]:
    """Contrastive and diversity sums over hidden frames.

    Equals the loss of ``Wav2Vec2ForPreTraining``, but quantises and compares hidden frames only:
    about a fifth of them, and no other frame enters that loss.

    Parameters
    ----------
    hidden
        ``(sequence, frame)`` bool, on the device of the network.
    pool
        Where these are some rows of a batch: sums codeword usage over the others. The diversity
        is then the whole batch's, counted by these rows' frames, with the gradient through them.
    """
    out = network.wav2vec2(audio, mask_time_indices=hidden)
    features = network.dropout_features(out.extract_features[hidden])
    query = network.project_hid(out.last_hidden_state[hidden])
    cells = round(draws.scored)
    codes, codeword, usage = quantise(network.quantizer, features, first=draws.first, of=cells)
    positive = network.project_q(codes.to(network.project_q.weight.dtype))
    with torch.autocast(audio.device.type, enabled=False):
        contrastive = contrastive_sum(
            query.float(),
            positive.float(),
            draws.negatives.to(audio.device),
            temperature=network.config.contrastive_logits_temperature,
            codeword=codeword,
        )
    return {"contrastive": contrastive, "diversity": _diversity(usage, len(query), cells, pool)}


def _diversity(usage: Usage, own: int, cells: int, pool: Pool | None) -> Float[Tensor, ""]:
    """The unused part of the codebook times the number of frames."""
    whole = usage if pool is None else pool(usage.detach()) + usage - usage.detach()
    unused = cells * (1 - perplexity(whole, cells) / usage.numel())
    return unused if pool is None else unused - unused.detach() * (1 - own / cells)


def network_config(params: Lfp2VecParams) -> Wav2Vec2Config:
    """The ``transformers`` configuration: group norm over the whole window in the first layer."""
    return Wav2Vec2Config(
        conv_dim=list(params.conv_dim),
        conv_kernel=list(CONV_KERNEL),
        conv_stride=list(CONV_STRIDE),
        conv_bias=False,
        feat_extract_norm="group",
        hidden_size=params.hidden,
        num_hidden_layers=params.layers,
        num_attention_heads=params.heads,
        intermediate_size=params.feedforward,
        num_conv_pos_embeddings=params.position_kernel,
        num_conv_pos_embedding_groups=params.position_groups,
        num_codevectors_per_group=params.codewords,
        num_codevector_groups=2,
        codevector_dim=params.code_dim,
        proj_codevector_dim=params.code_dim,
        hidden_dropout=params.dropout,
        attention_dropout=params.dropout,
        feat_proj_dropout=params.dropout,
        feat_quantizer_dropout=0.0,
        activation_dropout=0.0,
        layerdrop=params.layerdrop,
        mask_time_prob=params.mask_probability,
        mask_time_length=params.mask_span,
        mask_feature_prob=0.0,
        num_negatives=params.negatives,
        contrastive_logits_temperature=params.contrastive_temperature,
        diversity_loss_weight=params.diversity_weight,
        attn_implementation="sdpa",
    )


def n_frames(n_samples: int) -> int:
    """Frames the convolutional stem makes of so many samples (48,000 give 149)."""
    for kernel, stride in zip(CONV_KERNEL, CONV_STRIDE, strict=True):
        n_samples = (n_samples - kernel) // stride + 1
    return n_samples
