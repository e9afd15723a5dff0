"""`python -m coworkai.insights`"""

import sys

from coworkai.common.service import main
from coworkai.common.settings import CommonSettings
from coworkai.insights.app import create_app

sys.exit(main("insights", CommonSettings, create_app))
