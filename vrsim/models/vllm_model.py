"""Models that vLLM runs in this process: the fast way to answer many prompts on a GPU.

Written against vLLM's documented offline interface (``LLM.generate`` with ``SamplingParams``, version 0.10 and
later). Prompts are rendered and cut as for ``vrsim.models.local``; drawn completions differ from those, since vLLM
draws with a generator of its own.
"""

import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, final

from vrsim.errors import DependencyError, ModelError, OptionError
from vrsim.models.checkpoints import ADAPTER_CONFIG, Checkpoint, find_checkpoint, first_sentence
from vrsim.models.images import refuse_images
from vrsim.models.loading import load_tokenizer
from vrsim.models.model import Completion, Done, Listener, Model, Prompt, Sampling, ignore
from vrsim.models.sampling import prompt_key, until_stop
from vrsim.models.tokens import Request, Tokens, join_cue
from vrsim.seeding import derive

__all__ = ["VLLMConfig", "VLLMModel"]

AT_ONCE = 512  # prompts handed to vLLM together; it forms its own batches of them
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # of LoRA weights that vLLM makes room for


@dataclass(frozen=True)
class VLLMConfig:
    """Which model vLLM loads, and how."""

    model: str  # name on the Hugging Face hub, or a folder
    adapter: str = ""  # LoRA weights on the hub or in a folder, "" = none
    revision: str = ""  # branch, tag or commit of the model on the hub, "" = its main branch
    dtype: str = "auto"  # "bfloat16", "float16", "float32"; "auto" = as stored, float32 becomes bfloat16
    gpus: int = 1  # the model is spread over
    memory: float = 0.9  # share of each GPU's memory that vLLM takes
    context: int = 0  # tokens of prompt and completion together, 0 = the model's; fewer need less memory
    thinking: bool | None = None  # told to chat templates that know enable_thinking, None = their default


@final
class VLLMModel(Model):
    """A vLLM engine behind vrsim's interface.

    Equal prompts and seeds are drawn from equal generators, but vLLM does not promise equal sums in other batches.
    An option costs one short call per token, which finds its prompt in vLLM's prefix cache; its log probability is
    taken before any restriction of the vocabulary (``logprobs_mode`` "raw_logprobs", vLLM's default). A listener
    hears the completion as a whole.
    """

    def __init__(self, config: VLLMConfig) -> None:
        """Start the engine. Raises DependencyError without vLLM, ModelError where the model cannot be loaded."""
        try:
            import vllm
            from vllm.lora.request import LoRARequest
        except ImportError:
            raise DependencyError("vllm is not installed: pip install vllm, or take the model as hf:...") from None
        checkpoint = find_checkpoint(config.model, config.revision)
        adapter = find_checkpoint(config.adapter, config=ADAPTER_CONFIG) if config.adapter else None
        tokenizer = load_tokenizer(checkpoint)
        settings: dict[str, Any] = {"enable_lora": True, "max_lora_rank": _rank(adapter)} if adapter else {}
        if config.context:
            settings["max_model_len"] = config.context
        try:
            self._engine = vllm.LLM(
                model=str(checkpoint.folder),
                dtype=config.dtype,
                tensor_parallel_size=config.gpus,
                gpu_memory_utilization=config.memory,
                enable_prefix_caching=True,
                **settings,
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelError(f"vLLM cannot load {checkpoint.name}: {first_sentence(error)}") from None
        self._params = vllm.SamplingParams
        self._adapter = LoRARequest(adapter.name, 1, str(adapter.folder)) if adapter else None
        self.context = self._engine.llm_engine.model_config.max_model_len
        self._tokens = Tokens(tokenizer, self.context, config.thinking)
        facts = [str(checkpoint), *([f"adapter={adapter}"] if adapter else []), config.dtype]
        if config.thinking is not None:
            facts.append(f"thinking={str(config.thinking).lower()}")
        self.name = f"vllm:{','.join(facts)}"

    def count(self, texts: Sequence[str]) -> list[int]:
        return self._tokens.count(texts)

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, done: Done = ignore, listen: Listener | None = None
    ) -> list[Completion]:
        if listen is not None and len(prompts) != 1:
            raise OptionError(f"only a single prompt can be listened to, found {len(prompts)}")
        refuse_images(prompts, self.name)
        requests = self._tokens.requests(prompts, sampling.max_tokens)
        completions: list[Completion] = []
        for start in range(0, len(requests), AT_ONCE):
            batch = self._answer(requests[start : start + AT_ONCE], sampling)
            completions += batch
            with ExitStack() as whole_batch:  # the rest of it is passed on too when one raises an error
                for place in reversed(range(start, len(completions))):
                    whole_batch.callback(done, place, completions[place])
        if listen is not None:
            listen(completions[0].text)
        return completions

    def _answer(self, batch: list[Request], sampling: Sampling) -> list[Completion]:
        began = time.perf_counter()
        words = self._write(batch, sampling) if sampling.max_tokens else [("", "stop", 0)] * len(batch)
        texts = [join_cue(text, request.prompt) for request, (text, _, _) in zip(batch, words, strict=True)]
        logprobs = self._weigh(batch, texts)
        share = (time.perf_counter() - began) / len(batch)
        return [
            Completion(text, finish, len(request.ids), tokens, share, weights, request.dropped)
            for request, (_, finish, tokens), text, weights in zip(batch, words, texts, logprobs, strict=True)
        ]

    def _write(self, batch: list[Request], sampling: Sampling) -> list[tuple[str, str, int]]:
        """Text, finish and number of tokens of each completion."""
        stop = [text for text in sampling.stop if text]
        params = [
            self._params(
                max_tokens=sampling.max_tokens,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                stop=[] if request.prompt.messages else stop,  # thoughts may speak of an answer
                include_stop_str_in_output=True,
                seed=derive(sampling.seed, "completion", prompt_key(request.prompt)),
            )
            for request in batch
        ]
        words = []
        for request, answer in zip(batch, self._ask([request.ids for request in batch], params), strict=True):
            written = answer.outputs[0]
            finish = "length" if written.finish_reason == "length" else "stop"
            words.append((until_stop(request.lead + written.text, stop)[0], finish, len(written.token_ids)))
        return words

    def _weigh(self, batch: list[Request], texts: list[str]) -> list[tuple[float, ...] | None]:
        calls = []  # (request, option, what is read, the token that is weighed)
        for row, (request, text) in enumerate(zip(batch, texts, strict=True)):
            read = self._tokens.weighed_after(request, text) if request.options else []
            for place, option in enumerate(request.options):
                calls += [(row, place, read + option[:size], token) for size, token in enumerate(option)]
        found = [[0.0] * len(request.options) for request in batch]
        params = [
            self._params(max_tokens=1, temperature=0.0, logprobs=0, allowed_token_ids=[token]) for *_, token in calls
        ]
        answers = self._ask([read for _, _, read, _ in calls], params) if calls else []
        for (row, place, _, token), answer in zip(calls, answers, strict=True):
            found[row][place] += answer.outputs[0].logprobs[0][token].logprob
        return [tuple(own) if own else None for own in found]

    def _ask(self, prompts: list[list[int]], params: list[Any]) -> list[Any]:
        inputs = [{"prompt_token_ids": ids} for ids in prompts]
        return self._engine.generate(inputs, params, use_tqdm=False, lora_request=self._adapter)


def _rank(adapter: Checkpoint) -> int:
    """The least rank vLLM knows that holds the adapter's. Raises ModelError."""
    try:
        rank = json.loads((adapter.folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))["r"]
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{adapter.name} is no LoRA adapter: {first_sentence(error)}") from None
    if rank > RANKS[-1]:
        raise ModelError(f"the adapter {adapter.name} has rank {rank}, vLLM takes at most {RANKS[-1]}")
    return min(known for known in RANKS if known >= rank)
