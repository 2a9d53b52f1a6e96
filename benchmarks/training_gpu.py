"""GRPO of large shapes on a GPU: seconds a step, memory, tokens a second, and an estimate of the paper's run.

Run: python benchmarks/training_gpu.py            (Qwen2.5-0.5B and 7B made from their configs)
     python benchmarks/training_gpu.py --shapes rehearsal  (without a GPU)
"""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from training import LOGGED, NEVER, Changes, Name, asked, history, in_child

from vrsim.text.templates import US_AGENT
from vrsim.text.writer import Writer
from vrsim.threads import import_torch
from vrsim.training.config import GrpoConfig
from vrsim.training.presets import make_training
from vrsim.world import World

VOCABULARY = 4000  # pieces of the tokenizer that is trained for the large shapes
LENGTHS = (256, 512, 1024, 2048)  # tokens of a reply for which the paper's run is estimated
SHAPES: dict[str, dict[str, Any]] = {  # how each is trained; the rest is the preset vragent-paper
    "Qwen2.5-0.5B": {"per_device": 8, "gradient_checkpointing": False},
    "Qwen2.5-7B": {"per_device": 4, "lora_rank": 16},
    "rehearsal": {"per_device": 8, "lora_rank": 4, "gpu": False, "precision": "float32"},
}

app = typer.Typer(add_completion=False, help=__doc__, pretty_exceptions_enable=False)


@app.command()
def gpu(
    shapes: Annotated[
        str, typer.Option(help=f"Of {', '.join(SHAPES)}; rehearsal needs no GPU.")
    ] = "Qwen2.5-0.5B,Qwen2.5-7B",
    tokens: Annotated[str, typer.Option(help="Lengths of replies; two allow an estimate of others.")] = "64,256",
    world: Name = "tiny",
    option: Changes = [],  # noqa: B006
    steps: Annotated[int, typer.Option(min=3, max=LOGGED, help="Steps of a run; the first does not count.")] = 4,
) -> None:
    """Seconds a step, memory and tokens a second of GRPO of random weights; replies always have their full length."""
    torch = import_torch()
    from local_model import LARGE
    from transformers import Qwen2Config

    small = Qwen2Config(
        vocab_size=4096,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    names, lengths = shapes.split(","), [int(length) for length in tokens.split(",")]
    if unknown := sorted(set(names) - set(SHAPES)):
        raise typer.BadParameter(f"expected shapes of {', '.join(SHAPES)}, found {', '.join(unknown)}")
    if not torch.cuda.is_available() and names != ["rehearsal"]:
        print("There is no GPU here: nothing was measured. --shapes rehearsal shows that the script works.")
        raise typer.Exit(1)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            work, seconds = Path(folder), []
            size = make_shape(World.load(world), small if name == "rehearsal" else LARGE[name], work / "shape")
            for length in lengths:
                own = {"world": world, "model": f"hf:{work / 'shape'}", "steps": steps, "max_tokens": length, "log": ""}
                own |= {"check_every": 0, "save_every": NEVER, "precision": "bfloat16", **SHAPES[name], **asked(option)}
                config = make_training(GrpoConfig, "vragent-paper", own)
                facts = in_child("ours", config, work, work / "run")
                seconds.append(float(np.median(facts["seconds"])))
                kind = f"LoRA {config.lora_rank}" if config.lora_rank else "all weights"
                print(f"{name}, {size / 1e6:,.1f} M parameters, {kind}, {config.batch} replies a step, {device}")
                print(speed(history(work / "run" / "checkpoints"), seconds[-1], config.batch, facts), flush=True)
                shutil.rmtree(work / "run")
        estimate(f"{name}, {kind}, {device}", lengths, seconds, config)


def make_shape(world: World, shape: Any, folder: Path) -> int:
    """Write random weights and a tokenizer of the world's own words; returns the number of parameters."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen2ForCausalLM, Qwen2Tokenizer

    writer, qwen = Writer(world, US_AGENT), Qwen2Tokenizer().backend_tokenizer
    words = [US_AGENT.system, US_AGENT.judgment, US_AGENT.selection]
    words += [writer.item(item) for item in range(1, world.n_items + 1)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = qwen.normalizer, qwen.pre_tokenizer, qwen.decoder
    alphabet, end = pre_tokenizers.ByteLevel.alphabet(), "<|endoftext|>"
    tokenizer.train_from_iterator(
        words, trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=[end], initial_alphabet=alphabet)
    )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=end, pad_token=end).save_pretrained(folder)
    shape.eos_token_id, shape.pad_token_id = 0, 0
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = Qwen2ForCausalLM(shape).to(torch.bfloat16)
    model.save_pretrained(folder)
    size = sum(weight.numel() for weight in model.parameters())
    del model
    torch.cuda.empty_cache()
    return size


def speed(logged: list[dict[str, Any]], seconds: float, batch: int, facts: dict[str, Any]) -> str:
    """One line about a run; ``logged``: what TRL logged of it."""
    read = (logged[-1]["num_tokens"] - logged[0]["num_tokens"]) / (len(logged) - 1)
    written = batch * float(np.mean([row["completions/mean_length"] for row in logged]))
    return (
        f"  prompts of {(read - written) / batch:.0f} tokens, replies of {written / batch:.0f}: {seconds:.2f} s a "
        f"step, {read / seconds:,.0f} tokens a second, {written / seconds:,.0f} of them written; peak memory "
        f"{facts['gpu'] / 2**30:.1f} GiB of the GPU, {facts['memory'] / 2**30:.1f} GiB beside it"
    )


def estimate(what: str, lengths: list[int], seconds: list[float], config: GrpoConfig) -> None:
    """Print how long the paper's run would take, if the time of a step grows evenly with the length of replies."""
    paper = make_training(GrpoConfig, "vragent-paper", {})
    slope, base = np.polyfit(lengths, seconds, 1) if len(lengths) > 1 else (0.0, seconds[0])
    for length in LENGTHS if len(lengths) > 1 else lengths:
        hours = paper.steps * paper.batch / config.batch * (base + slope * length) / 3600
        print(f"  {what}: {paper.steps} steps of {paper.batch} replies of {length} tokens in about {hours:,.1f} h")


if __name__ == "__main__":
    app()
