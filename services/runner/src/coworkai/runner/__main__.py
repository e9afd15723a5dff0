"""`python -m coworkai.runner`"""

import sys

from coworkai.common.service import main
from coworkai.runner.app import create_app
from coworkai.runner.settings import RunnerSettings

sys.exit(main("runner", RunnerSettings, create_app))
