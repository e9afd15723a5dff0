"""`python -m coworkai.local.bus`"""

import sys

from coworkai.common.service import main
from coworkai.local.bus.app import create_app
from coworkai.local.bus.settings import BusSettings

sys.exit(main("bus", BusSettings, create_app))
