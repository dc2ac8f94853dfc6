"""How objects of a cluster are: rules over what the API server shows of them, and nothing else."""

from agent.core.health.judge import EXTENDED, KSTATUS, Rules, judge
from agent.core.health.judgement import Judgement, Status
from agent.core.health.summary import aggregate, worst_first

__all__ = ["EXTENDED", "KSTATUS", "Judgement", "Rules", "Status", "aggregate", "judge", "worst_first"]
