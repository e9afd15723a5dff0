"""`python -m coworkai.insights`"""

import gc
import sys

# What is imported stays: there is no garbage to look for until the service runs.
gc.disable()

from coworkai.common.service import main
from coworkai.insights.app import create_app
from coworkai.insights.settings import InsightsSettings

sys.exit(main("insights", InsightsSettings, create_app))
