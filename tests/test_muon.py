"""vrsim.models.muon: the same steps as torch's two optimizers, and nothing lost between two runs."""

import copy

import peft
import pytest
import torch

from tests.small_models import make_model
from vrsim.models.muon import MuonAdamW


class Small(torch.nn.Module):
    """A table, two layers, a norm and an output layer, which may be the table, or none."""

    def __init__(self, head="own"):
        super().__init__()
        self.table = torch.nn.Embedding(7, 6)
        self.inside = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.LayerNorm(8), torch.nn.Linear(8, 6))
        self.kind, self.head = head, torch.nn.Linear(6, 7, bias=False)
        if head == "tied":
            self.head.weight = self.table.weight

    def forward(self, tokens):
        return self.head(self.inside(self.table(tokens)))

    def get_output_embeddings(self):
        return None if self.kind == "unnamed" else self.head


@pytest.fixture
def model():
    return small("own")


def small(head):
    torch.manual_seed(0)
    return Small(head)


def learn(model, optimizers, steps, begin=0):
    for step in range(begin, begin + steps):
        tokens = torch.arange(7).roll(step)
        model.zero_grad()
        torch.nn.functional.cross_entropy(model(tokens), tokens.flip(0)).backward()
        for optimizer in optimizers:
            optimizer.step()


@pytest.mark.parametrize("head", ["own", "tied"])
def test_the_steps_are_those_of_the_two_optimizers(head):
    model = small(head)
    other = copy.deepcopy(model)
    learn(model, [MuonAdamW(model, 1e-2, weight_decay=0.1)], 3)
    matrices = [other.inside[0].weight, other.inside[2].weight]
    tables = [other.table.weight] if head == "tied" else [other.table.weight, other.head.weight]
    vectors = [weight for weight in other.parameters() if weight.ndim == 1]
    muon = torch.optim.Muon(matrices, lr=1e-2, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    adamw = torch.optim.AdamW(
        [{"params": tables, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}], lr=1e-2
    )
    learn(other, [muon, adamw], 3)
    assert len(vectors) == 4
    for ours, theirs in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_a_run_that_goes_on_ends_with_the_same_weights(model):
    other = copy.deepcopy(model)
    learn(model, [MuonAdamW(model, 1e-2)], 6)
    first = MuonAdamW(other, 1e-2)
    learn(other, [first], 3)
    stored = copy.deepcopy(first.state_dict())
    assert len(stored["state"]) == len(list(other.parameters()))
    second = MuonAdamW(other, 5e-2)
    second.load_state_dict(stored)
    learn(other, [second], 3, begin=3)
    for ours, theirs in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_a_schedule_reaches_every_weight(model):
    optimizer = MuonAdamW(model, 1e-2)
    before = copy.deepcopy(model.state_dict())
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.0)
    learn(model, [optimizer], 2)
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(weight, before[name], rtol=0, atol=0)


def test_what_needs_no_gradient_is_left_alone(model):
    model.inside[0].weight.requires_grad_(False)
    optimizer = MuonAdamW(model, 1e-2)
    owned = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
    assert owned == {id(weight) for weight in model.parameters() if weight.requires_grad}


@pytest.mark.parametrize(("head", "inside"), [("own", 2), ("tied", 2), ("unnamed", 3)])
def test_muon_has_the_linear_layers_that_are_no_table(head, inside):
    groups = MuonAdamW(small(head), 1e-2).param_groups
    assert [len(group["params"]) for group in groups] == [inside, 4 - inside if head != "tied" else 1, 4]


def test_muon_has_the_adapters_of_lora():
    lora = peft.LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    groups = MuonAdamW(peft.get_peft_model(make_model("qwen2", 50), lora), 1e-2).param_groups
    assert [len(group["params"]) for group in groups] == [28, 0, 0]  # two of each of seven matrices, in two layers
