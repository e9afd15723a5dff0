"""`python -m coworkai.local.bus`"""

import gc
import sys

# What is imported stays: there is no garbage to look for until the service runs.
gc.disable()

from coworkai.common.service import main
from coworkai.local.bus.app import create_app
from coworkai.local.bus.settings import BusSettings

sys.exit(main("bus", BusSettings, create_app))
