"""Agents that read words: simulated users that ask a language model."""

if __name__ != "vrsim.agents":
    raise ImportError(f"this package is vrsim.agents, not {__name__}; import it under that name")

__all__ = ["AGENTS", "POLICIES"]

AGENTS: dict[str, str] = {  # name: where it lives; the registry reads this
    "human": "vrsim.agents.human:Human",
    "checkpoint": "vrsim.agents.checkpoint:Checkpoint",
    "us-agent": "vrsim.agents.user:UserAgent",
    "zero-shot": "vrsim.agents.zero_shot:ZeroShot",
    "agent4rec": "vrsim.agents.agent4rec:Agent4Rec",
    "recagent": "vrsim.agents.recagent:RecAgent",
    "llm-simulator": "vrsim.agents.llm_simulator:LLMSimulator",
    "tallrec": "vrsim.agents.tallrec:TALLRec",
    "mllm-msr": "vrsim.agents.mllm_msr:MLLMMSR",
}

POLICIES = {"llm": "vrsim.agents.recommender:LanguageRecommender"}  # recommender agents of sessions
