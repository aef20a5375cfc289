"""Systems: whole procedures of related papers, each a run with its controls and its answer."""

from rolewise.systems.known_systems import SYSTEMS
from rolewise.systems.system import Claim, Piece, System, SystemSettings
from rolewise.systems.system_result import SystemResult
from rolewise.systems.system_run import run_system

__all__ = ["SYSTEMS", "Claim", "Piece", "System", "SystemResult", "SystemSettings", "run_system"]
