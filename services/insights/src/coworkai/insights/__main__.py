"""`python -m coworkai.insights`"""

import sys

from coworkai.common.service import main
from coworkai.insights.app import create_app
from coworkai.insights.settings import InsightsSettings

sys.exit(main("insights", InsightsSettings, create_app))
