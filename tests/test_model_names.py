"""The model in an agent's name: wrong names are refused, prices, contexts and stores are those of the options."""

import pytest

from vrsim.errors import OptionError, UnknownNameError
from vrsim.models import names
from vrsim.models.ledger import Ledger, Price
from vrsim.registry import make_agent


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (
            "us-agent:model=hg:some/model",
            UnknownNameError,
            "unknown kind of model 'hg'.*Known: checkpoint, hf, openai",
        ),
        ("us-agent:model=hf:", OptionError, "needs a name"),
        ("us-agent:model=hf:a/b,adaptor=x", UnknownNameError, "Did you mean 'adapter'"),
        ("us-agent:model=pocket,hiden=3", UnknownNameError, "Did you mean 'hidden'"),
        ("us-agent:model=pocket:folder,hidden=8", UnknownNameError, "unknown option"),
        ("us-agent:answer=word", UnknownNameError, "Did you mean 'words'"),
        ("us-agent:prompt=us-agnt", UnknownNameError, "Did you mean 'us-agent'"),
        ("us-agent:temperature=3", OptionError, "temperature must be a number from 0 to 2"),
        ("us-agent:max_tokens=-1", OptionError, "max_tokens must be an integer from 0"),
        ("us-agent:replay=True", OptionError, "needs store=FILE"),
        ("us-agent:replay=1,store=x", OptionError, "replay must be True or False"),
        ("us-agent:model=openai:x,input_price=1", OptionError, "go together"),
        ("us-agent:model=openai:x,concurrency=0", OptionError, "concurrency"),
    ],
)
def test_wrong_names_are_refused_before_anything_is_loaded(name, error, message):
    with pytest.raises(error, match=message):
        make_agent(name)


def test_the_context_of_a_server_is_that_of_the_options(monkeypatch, tmp_path, tiny):
    store = tmp_path / "answers.sqlite"
    for context in (None, 512, 9999):
        spec = names.ModelSpec.parse("openai:m", {"store": str(store), "context": context, "key": ""})
        assert names.make_model(spec, tiny).context == context


def test_prices_are_known_given_or_unknown():
    specs = [make_agent(f"us-agent:model={name}")._spec for name in ("openai:gpt-4o", "openai:mine", "pocket")]
    assert [spec.price for spec in specs] == [Price(2.5, 10.0), None, Price(0.0, 0.0)]
    spec = make_agent("us-agent:model=openai:mine,input_price=1,output_price=2.5")._spec
    assert spec.price == Price(1.0, 2.5)
    with pytest.raises(OptionError, match="price of openai:mine is not known"):
        make_agent("us-agent:model=openai:mine").account("me", Ledger(limit=1.0))


def test_all_but_pocket_is_recorded_unless_told_otherwise(monkeypatch, tmp_path):
    monkeypatch.setenv("VRSIM_HOME", str(tmp_path))
    kept = str(tmp_path / "answers.sqlite")
    for name, store in {"openai:m": kept, "openai:m,store=off": "off", "pocket": "off", "hf:m": kept}.items():
        assert make_agent(f"us-agent:model={name}")._spec.store == store
