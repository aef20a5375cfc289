"""All systems by their names, and their settings."""

from __future__ import annotations

from collections.abc import Sequence

from rolewise.config.overrides import lone_settings
from rolewise.errors import InputError, dotted
from rolewise.registry import Registry
from rolewise.systems.beyond_compression.beyond_system import BEYOND_COMPRESSION
from rolewise.systems.ce_gan.gan_system import CE_GAN
from rolewise.systems.ctsl_mkt.ctsl_mkt_system import CTSL_MKT
from rolewise.systems.fedgen.fedgen_system import FEDGEN
from rolewise.systems.hkd.hkd_system import HKD
from rolewise.systems.ikd.ikd_system import IKD
from rolewise.systems.kd3.kd3_system import KD3
from rolewise.systems.knowledge_levels.levels_system import KNOWLEDGE_LEVELS
from rolewise.systems.learning_styles.styles_system import LEARNING_STYLES
from rolewise.systems.multi_view.multi_view_system import MULTI_VIEW
from rolewise.systems.pwkd.pwkd_system import PWKD
from rolewise.systems.quadratic.quadratic_system import QUADRATIC
from rolewise.systems.srd_open_set.open_set_system import SRD_OPEN_SET
from rolewise.systems.stkd.stkd_system import STKD
from rolewise.systems.system import System, SystemSettings

SYSTEMS: Registry[System] = Registry("system")

for _system in (
    BEYOND_COMPRESSION,
    CE_GAN,
    CTSL_MKT,
    FEDGEN,
    HKD,
    IKD,
    KD3,
    KNOWLEDGE_LEVELS,
    LEARNING_STYLES,
    MULTI_VIEW,
    PWKD,
    QUADRATIC,
    SRD_OPEN_SET,
    STKD,
):
    SYSTEMS.add(_system.name)(_system)


def system_settings(system: System, overrides: Sequence[str] = ()) -> SystemSettings:
    """Returns a system's settings with others laid over them.

    Raises:
        InputError: one is unknown, wrong, or does not fit the others.
    """
    try:
        settings = system.settings(**lone_settings(overrides))
    except InputError as error:
        if not error.path:
            raise
        # By the name that the user gave, and not by that of the class.
        rule = error.rule.replace(f'"{system.settings.__name__}"', f'"{system.name}"')
        raise InputError(f"the setting {dotted(error.path)}: {rule}", path=error.path, rule=rule) from error
    if len(set(settings.seeds)) < len(settings.seeds):
        raise InputError(f"seeds must differ from one another, got {list(settings.seeds)}")
    system.check(settings)
    return settings
