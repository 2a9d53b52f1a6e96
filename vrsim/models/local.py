"""Models that run in this process: language models of Hugging Face transformers, batched by length.

Those whose config has a vision part see the images of prompts (vrsim.models.vision).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, final

from vrsim.errors import ModelError, OptionError
from vrsim.models.checkpoints import ADAPTER_CONFIG, find_checkpoint
from vrsim.models.images import check_images, refuse_images
from vrsim.models.loading import load_model, load_processor, load_tokenizer, quiet, sees
from vrsim.models.model import Completion, Done, Listener, Model, Prompt, Sampling, ignore
from vrsim.models.sampling import Draw, Speaker, Stops, until_stop
from vrsim.models.tokens import Request, Tokens, join_cue
from vrsim.models.vision import Vision
from vrsim.models.weighing import pad_left, weigh, weigh_beside
from vrsim.text.writer import FRAME

__all__ = ["LocalConfig", "LocalModel"]

BATCH_TOKENS = {"cpu": 8192, "cuda": 65536}  # a CPU gains nothing from more, and loses by their padding


@dataclass(frozen=True)
class LocalConfig:
    """Which model is loaded, and how."""

    model: str  # name on the Hugging Face hub, or a folder
    adapter: str = ""  # LoRA weights on the hub or in a folder, "" = none
    revision: str = ""  # branch, tag or commit of the model on the hub, "" = its main branch
    dtype: str = "auto"  # "bfloat16", "float16", "float32"; "auto" = bfloat16 on GPUs, float32 without
    device_map: str = "auto"  # as in transformers; "auto" = all GPUs, or the CPU where there are none
    batch_tokens: int = 0  # prompts and completions of a batch, with padding; 0 = 8192 on a CPU, 65536 on GPUs
    thinking: bool | None = None  # told to chat templates that know enable_thinking, None = their default

    def __post_init__(self) -> None:
        if self.thinking not in (None, True, False) or type(self.thinking) is int:
            raise OptionError(f"thinking must be True, False or None, found {self.thinking!r}")
        if type(self.batch_tokens) is not int or self.batch_tokens < 0:
            raise OptionError(f"batch_tokens must be an integer from 0, found {self.batch_tokens!r}")


@dataclass(frozen=True)
class _Words:
    """What was written after a prompt."""

    text: str = ""
    finish: str = "stop"
    tokens: int = 0


@final
class LocalModel(Model):
    """A transformers model behind vrsim's interface.

    Completions are written with a KV cache, prompts of similar length together, the longest first. Greedy answers
    are those of the bare model; drawn ones depend on the prompt and the seed alone. (Sums in another order can turn
    a tie between two tokens, mostly in half precision.) Settings of the model's own generation config that change
    probabilities, such as a repetition penalty, are not used: ``Sampling`` says everything.

    A batch that does not fit into the memory of the GPU is done again in halves.
    """

    def __init__(self, config: LocalConfig) -> None:
        """Load the model. Raises ModelError."""
        checkpoint = find_checkpoint(config.model, config.revision)
        adapter = find_checkpoint(config.adapter, config=ADAPTER_CONFIG) if config.adapter else None
        tokenizer = load_tokenizer(checkpoint)
        model = load_model(checkpoint, adapter, config.dtype, config.device_map)
        facts = [str(checkpoint), *([f"adapter={adapter}"] if adapter else []), str(model.dtype).removeprefix("torch.")]
        if config.thinking is not None:
            facts.append(f"thinking={str(config.thinking).lower()}")
        vision = Vision(load_processor(checkpoint), tokenizer) if sees(model.config) else None
        self._hold(model, tokenizer, f"hf:{','.join(facts)}", config.batch_tokens, config.thinking, vision)

    @classmethod
    def around(
        cls, model: Any, tokenizer: Any, name: str, batch_tokens: int = 0, thinking: bool | None = None
    ) -> "LocalModel":
        """The interface around a loaded model and its tokenizer; ``name`` must change with the weights."""
        made = cls.__new__(cls)
        made._hold(model, tokenizer, name, batch_tokens, thinking)
        return made

    def _hold(
        self,
        model: Any,
        tokenizer: Any,
        name: str,
        batch_tokens: int,
        thinking: bool | None,
        vision: Vision | None = None,
    ) -> None:
        self.model, self.tokenizer, self.name, self._vision = model, tokenizer, name, vision
        self.batch_tokens = batch_tokens or BATCH_TOKENS["cpu" if model.device.type == "cpu" else "cuda"]
        settings = model.config.get_text_config()
        self.context = getattr(settings, "max_position_embeddings", None)  # some architectures have no limit
        self._vocabulary = settings.vocab_size
        self._tokens = Tokens(tokenizer, self.context, thinking, vision)
        if self.context is not None and tokenizer.chat_template is not None:
            self.context -= max(0, self._tokens.markup() - FRAME)
        own = model.generation_config.eos_token_id
        ends = {*(own if isinstance(own, list) else [own]), tokenizer.eos_token_id}
        self._ends = sorted(token for token in ends if token is not None)

    def count(self, texts: Sequence[str]) -> list[int]:
        return self._tokens.count(texts)

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, done: Done = ignore, listen: Listener | None = None
    ) -> list[Completion]:
        if listen is not None and len(prompts) != 1:
            raise OptionError(f"only a single prompt can be listened to, found {len(prompts)}")
        if self._vision is None:
            refuse_images(prompts, self.name)
        check_images(prompts)
        requests = self._tokens.requests(prompts, sampling.max_tokens)
        order = sorted(range(len(requests)), key=lambda place: (not prompts[place].images, -requests[place].length))
        completions: dict[int, Completion] = {}
        limit = self.batch_tokens
        while order:
            longest = requests[order[0]].length
            batch = order[: max(1, limit // longest)]
            batch = [place for place in batch if bool(prompts[place].images) == bool(prompts[order[0]].images)]
            size = len(batch)
            answers = self._in_memory(lambda batch=batch: self._answer([requests[i] for i in batch], sampling, listen))
            if answers is None and size == 1:
                raise ModelError(
                    f"the GPU has no memory for one prompt with {longest} tokens; use shorter prompts, fewer "
                    "max_tokens or dtype=bfloat16"
                )
            if answers is None:
                limit = longest * (size // 2)
                continue
            completions.update(zip(batch, answers, strict=True))
            order = order[size:]
            with ExitStack() as whole_batch:  # the rest of it is passed on too when one raises an error
                for place, answer in zip(reversed(batch), reversed(answers), strict=True):
                    whole_batch.callback(done, place, answer)
        return [completions[place] for place in range(len(prompts))]

    @staticmethod
    def _in_memory(work: Callable[[], list[Completion]]) -> list[Completion] | None:
        """What the work gives, None if it needs more memory than the GPU has."""
        import torch

        try:
            return work()
        except torch.cuda.OutOfMemoryError:
            pass
        torch.cuda.empty_cache()  # now that the error, and the tensors in its frames, are gone
        return None

    def _answer(self, batch: list[Request], sampling: Sampling, listen: Listener | None) -> list[Completion]:
        import torch

        began = time.perf_counter()
        with quiet(), _at_rest(self.model), torch.inference_mode():
            speaker = None if listen is None else Speaker(self._tokens, sampling.stop, batch[0].lead, listen)
            words = self._write(batch, sampling, speaker) if sampling.max_tokens else [_Words()] * len(batch)
            texts = [join_cue(each.text, request.prompt) for each, request in zip(words, batch, strict=True)]
            logprobs = self._weigh(batch, texts)
        if speaker is not None:
            speaker.say(texts[0])
        share = (time.perf_counter() - began) / len(batch)
        return [
            Completion(
                text, each.finish, len(request.ids) + request.added, each.tokens, share, weights, request.dropped
            )
            for request, each, text, weights in zip(batch, words, texts, logprobs, strict=True)
        ]

    def _write(self, batch: list[Request], sampling: Sampling, speaker: Speaker | None) -> list[_Words]:
        inputs = self._inputs(batch)
        ids = inputs.pop("input_ids")
        start, stop = ids.shape[1], [text for text in sampling.stop if text]
        draw = [request.prompt for request in batch], sampling.seed, sampling.max_tokens
        leads = [request.lead for request in batch]
        stops = Stops(self._tokens, stop, leads, start, self._vocabulary, ids.device) if stop else None
        written = self.model.generate(
            ids,
            **inputs,
            max_new_tokens=sampling.max_tokens,
            do_sample=False,
            num_beams=1,
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
            eos_token_id=self._ends or None,
            pad_token_id=self._ends[0] if self._ends else 0,
            logits_processor=[Draw(*draw, sampling.temperature, sampling.top_p)] if sampling.temperature else [],
            stopping_criteria=[stops] if stops else [],
            streamer=speaker,
        )[:, start:].tolist()
        lengths = stops.lengths if stops else [None] * len(batch)
        rows = zip(written, lengths, leads, strict=True)
        return [self._words(row, length, stop, lead) for row, length, lead in rows]

    def _inputs(self, batch: list[Request]) -> dict[str, Any]:
        """What the model reads for a batch, in which all prompts have images or none has."""
        if batch[0].prompt.images:
            return self._vision.inputs([r.text for r in batch], [r.prompt for r in batch], self.model)
        ids, mask = pad_left([request.ids for request in batch], self.model.device)
        return {"input_ids": ids, "attention_mask": mask}

    def _words(self, ids: list[int], length: int | None, stop: Sequence[str], lead: str) -> _Words:
        """One row of a batch; ``length``: where a stop string ended it."""
        over = next((place + 1 for place, token in enumerate(ids) if token in self._ends), None)
        length = over if length is None else length
        ids = ids if length is None else ids[:length]
        text, stopped = until_stop(lead + self._tokens.text(ids), stop)
        return _Words(text, "length" if length is None and not stopped else "stop", len(ids))

    def _weigh(self, batch: list[Request], texts: list[str]) -> list[tuple[float, ...] | None]:
        found: list[tuple[float, ...] | None] = [None] * len(batch)
        asked = [place for place, request in enumerate(batch) if request.options]
        if not asked:
            return found
        if batch[0].prompt.images:
            for place in asked:
                behind = self._tokens.going_on([texts[place]])[0]
                inputs = self._inputs(batch[place : place + 1])
                found[place] = weigh_beside(self.model, inputs, behind, batch[place].options)
            return found
        read = [self._tokens.weighed_after(batch[place], texts[place]) for place in asked]
        options = [batch[place].options for place in asked]
        for place, logprobs in zip(asked, weigh(self.model, read, options, self.batch_tokens), strict=True):
            found[place] = logprobs
        return found


@contextmanager
def _at_rest(model: Any) -> Iterator[None]:
    """Without dropout; a model in training goes on with it afterwards."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
