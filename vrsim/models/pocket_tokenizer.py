"""The pocket model's tokenizer: a token per title of a catalog and per frequent phrase, pieces for all other text."""

from typing import TYPE_CHECKING, Any

from vrsim.seeding import generator
from vrsim.text.quoting import quote
from vrsim.text.templates import TITLES, US_AGENT, US_AGENT_DIRECT
from vrsim.text.writer import Writer
from vrsim.world import World

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["make_tokenizer", "title_token"]

CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
END, SPECIAL = "<|endoftext|>", ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TAGS = ("Watched:", "\nShown:", "<think>", "</think>", "<answer>", "</answer>")  # one token each, and ordinary text
PIECES = 1024  # byte-level pieces, the 256 bytes among them
PHRASE = 6  # characters of a phrase at least


def title_token(world: World, item: int) -> str:
    """An item's title as prompts show it, with the blank in front: one token."""
    return f" {quote(world.catalog.label(item))}"


def make_tokenizer(world: World) -> "PreTrainedTokenizerFast":
    """A tokenizer with one token per title, and per frequent phrase between titles, beside byte-level pieces.

    The pieces are cut and joined as Qwen2's are: that is how ``AutoTokenizer`` reads the tokenizer of any Qwen2.
    """
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen2Tokenizer

    words = _between_titles(world)
    qwen = Qwen2Tokenizer().backend_tokenizer
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = qwen.normalizer, qwen.pre_tokenizer, qwen.decoder
    tokenizer.train_from_iterator(words, _trainer())
    across = Tokenizer(models.BPE())  # the same, but a piece may hold several words
    across.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    across.decoder = qwen.decoder
    across.train_from_iterator(words, _trainer())
    pieces = (across.decode([place]) for place in range(len(SPECIAL), across.get_vocab_size()))
    phrases = sorted(piece for piece in pieces if len(piece) >= PHRASE and not piece.isalpha())
    titles = sorted({title_token(world, item) for item in range(1, world.n_items + 1)})
    tokenizer.add_tokens([AddedToken(text, normalized=False, special=False) for text in (*TAGS, *phrases, *titles)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token=END, padding_side="left", chat_template=CHAT
    )


def _trainer() -> Any:
    from tokenizers import pre_tokenizers, trainers

    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return trainers.BpeTrainer(
        vocab_size=PIECES, show_progress=False, special_tokens=list(SPECIAL), initial_alphabet=alphabet
    )


def _between_titles(world: World) -> list[str]:
    """What prompts consist of beside titles."""
    templates = (US_AGENT, US_AGENT_DIRECT, TITLES)
    often = world.n_items // 4  # a template's words come with every prompt
    words = [text for t in templates for text in (t.system, t.judgment, t.selection)] * often
    rng = generator(0, "pocket", "pieces")
    writer = Writer(world, US_AGENT)
    for about in map(writer.description, range(1, world.n_items + 1)):
        words += [f"{about}, rated {rng.integers(1, 6)} of 5\n-", f"{about}\n"]  # no label: those stay alone
    return words
